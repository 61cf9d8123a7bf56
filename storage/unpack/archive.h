/* Reads an archive from a descriptor and extracts it. */
#pragma once

struct err;
struct extract;

/* A tar archive, plain or compressed. Reads on to the end of the descriptor, whatever follows the
 * archive's end; an archive that has no end mark is cut short: ERR_INVALID. */
int archive_extract(int fd, struct extract *x, struct err *err);
