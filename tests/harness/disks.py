"""Images for virtual machines, made here and kept in the cache: what `corpus image build … --driver
kvm` builds, and the same small guest on disks that boot by themselves, by BIOS and by UEFI. They are
made anew when a builder, or this, has changed."""
import hashlib
import os
import pathlib
import struct
import subprocess
import sys

from .rootfs import BUILDERS, kept
from .shell import run

BUSYBOX = ("kvm.sh", "first-boot", "busybox", "busybox-kvm.sh")
DEBIAN = ("kvm.sh", "first-boot", "debian", "debian-kvm.sh")

SECTOR, MIB = 512, 1 << 20
BOOT_MIB = 48
MBR_CODE = "/usr/lib/syslinux/mbr/mbr.bin"
EFI_SYSTEM, LINUX = 0xef, 0x83  # types of partitions

SYSLINUX = """DEFAULT linux
LABEL linux
LINUX /kernel
INITRD /initrd
APPEND {cmdline}
"""
GRUB_EARLY = """search --no-floppy --file --set=root /kernel
linux /kernel {cmdline}
initrd /initrd
boot
"""
GRUB_MODULES = "part_msdos fat search search_fs_file linux normal boot".split()


def busybox_tar(cache):
    name = f"kvm-busybox-{version(*BUSYBOX)}.tar"
    return kept(cache, name, lambda path, _folder: _build(path, "busybox"), "kvm-busybox-*.tar")


def busybox_folder(cache):
    """The same, unpacked: kernel, initrd, cmdline, disk.qcow2."""
    def unpack(path, _folder):
        path.mkdir(mode=0o755)
        run("tar", "-C", path, "-xf", busybox_tar(cache))
    return kept(cache, f"kvm-busybox-{version(*BUSYBOX)}.d", unpack, "kvm-busybox-*.d")


def debian_tar(cache):
    name = f"kvm-debian-{version(*DEBIAN)}.tar"
    return kept(cache, name, lambda path, _folder: _build(path, "debian"), "kvm-debian-*.tar")


def debian_cloud_tar(cache):
    """With cloud-init."""
    name = f"kvm-debian-cloud-{version(*DEBIAN)}.tar"
    return kept(cache, name, lambda path, _folder: _build(path, "debian", "--include", "cloud-init"),
                "kvm-debian-cloud-*.tar")


def bios_disk(cache):
    """A raw disk with a master boot record."""
    name = f"kvm-bios-{version(*BUSYBOX, __file__)}.raw"
    return kept(cache, name, lambda path, folder: _make_disk(cache, path, folder), "kvm-bios-*.raw")


def uefi_disk(cache):
    """A qcow2 disk that UEFI finds a boot loader on."""
    def make(path, _folder):
        run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", bios_disk(cache), path)
    name = f"kvm-uefi-{version(*BUSYBOX, __file__)}.qcow2"
    return kept(cache, name, make, "kvm-uefi-*.qcow2")


def version(*files):
    digest = hashlib.sha256()
    for name in files:
        digest.update((BUILDERS / name).read_bytes())
    return digest.hexdigest()[:12]


def _build(path, kind, *options):
    with open(path, "wb") as out:
        subprocess.run([BUILDERS / kind, "--driver", "kvm", *options], stdout=out, check=True)


def _make_disk(cache, path, folder):
    """A FAT partition with kernel and boot loaders of both worlds, then the guest's root."""
    run("tar", "-C", folder, "-xf", busybox_tar(cache))
    cmdline = (folder / "cmdline").read_text().strip().replace("root=/dev/vda", "root=/dev/vda2")
    boot, root = folder / "boot", folder / "root"
    _make_boot(folder, boot, cmdline)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", folder / "disk.qcow2", root)
    second = MIB + BOOT_MIB * MIB
    with open(path, "wb") as disk:
        disk.write(_boot_record([(EFI_SYSTEM, MIB, BOOT_MIB * MIB),
                                 (LINUX, second, root.stat().st_size)]))
        disk.truncate(second + root.stat().st_size)
    for part, at in ((boot, MIB), (root, second)):
        run("dd", f"if={part}", f"of={path}", f"seek={at // MIB}", "bs=1M", "conv=notrunc,sparse")


def _make_boot(folder, boot, cmdline):
    (folder / "syslinux.cfg").write_text(SYSLINUX.format(cmdline=cmdline))
    (folder / "early.cfg").write_text(GRUB_EARLY.format(cmdline=cmdline))
    run("grub-mkimage", "-O", "x86_64-efi", "-p", "/", "-c", folder / "early.cfg",
        "-o", folder / "BOOTX64.EFI", *GRUB_MODULES)
    boot.touch()
    os.truncate(boot, BOOT_MIB * MIB)
    # The hidden sectors say where on the disk it begins; syslinux goes by them.
    run("mformat", "-i", boot, "-H", MIB // SECTOR, "-h", 64, "-s", 32, "-t", BOOT_MIB, "::")
    run("mmd", "-i", boot, "::/EFI", "::/EFI/BOOT")
    run("mcopy", "-i", boot, *(folder / name for name in ("kernel", "initrd", "syslinux.cfg")), "::/")
    run("mcopy", "-i", boot, folder / "BOOTX64.EFI", "::/EFI/BOOT/")
    run("syslinux", "--install", boot)


def _boot_record(parts):
    """Sector 0: code, then four entries of 16 bytes (flag, CHS, type, CHS, first sector, sectors), the
    first to be booted, and the signature."""
    entries = b"".join(
        struct.pack("<B3sB3sII", 0 if number else 0x80, b"\xfe\xff\xff", kind, b"\xfe\xff\xff",
                    at // SECTOR, size // SECTOR)
        for number, (kind, at, size) in enumerate(parts))
    code = pathlib.Path(MBR_CODE).read_bytes()[:440]
    return code.ljust(446, b"\0") + entries.ljust(64, b"\0") + b"\x55\xaa"


# What kvm_machines.c has, too: says "up" on COM1, then waits for the power button, by ICH9's power
# management where SeaBIOS puts it, or for ever with interrupts off.
SAY_UP = bytes.fromhex("baf803b075eeb070eeb00aee")
WAIT_FOR_BUTTON = bytes.fromhex("b0ffe6a1ba0206b80001effbf4ba0006edf6c40174f5ba0406b80020efebfe")
WAIT_FOR_EVER = bytes.fromhex("faf4ebfd")


def boot_sector_disk(path, ends=True, size=32 * MIB):
    """A raw disk that is one ext4 file system as a whole, with a machine's whole life in the boot
    sector that ext4 leaves free: it is up in 0.3 s, and obeys its power button or does not."""
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", path, size // 1024)
    code = SAY_UP + (WAIT_FOR_BUTTON if ends else WAIT_FOR_EVER)
    with open(path, "r+b") as disk:
        disk.write(code.ljust(SECTOR - 2, b"\0") + b"\x55\xaa")
    return path


KINDS = {"busybox": busybox_tar, "busybox-folder": busybox_folder, "bios": bios_disk,
         "uefi": uefi_disk}

if __name__ == "__main__":
    CACHE = pathlib.Path(os.environ.get("CORPUS_CACHE", "/var/cache/corpus-dev"))
    for kind in sys.argv[1:] or KINDS:
        print(KINDS[kind](CACHE))
