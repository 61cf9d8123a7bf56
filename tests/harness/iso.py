"""Files of an ISO 9660 image with Joliet names, in its root: enough to see what corpusd has put there
(ECMA-119; the names are those of the supplementary volume descriptor)."""
import struct

SECTOR = 2048


def files(path):
    """Their bytes by their names."""
    image = path.read_bytes()
    descriptors = (image[at:at + SECTOR] for at in range(16 * SECTOR, len(image), SECTOR))
    root = next(d for d in descriptors if d[0] == 2 and d[1:6] == b"CD001")[156:190]
    found, at, (first, size) = {}, 0, _extent(root)
    directory = image[first:first + size]
    while at < size and directory[at]:
        record = directory[at:at + directory[at]]
        name = record[33:33 + record[32]]
        if not record[25] & 2:
            first, length = _extent(record)
            found[name.decode("utf-16-be").removesuffix(";1")] = image[first:first + length]
        at += directory[at]
    return found


def label(path):
    with open(path, "rb") as file:
        file.seek(16 * SECTOR + 40)
        return file.read(32).decode().rstrip()


def _extent(record):
    first, = struct.unpack_from("<I", record, 2)
    size, = struct.unpack_from("<I", record, 10)
    return first * SECTOR, size
