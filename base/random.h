/* Random bytes from the kernel. */
#pragma once

#include <stddef.h>

/* Fills buf; aborts where the kernel has no randomness at all, which Linux does not do. */
void random_bytes(void *buf, size_t size);

/* Writes `digits` lower-case hexadecimal digits and a NUL. */
void random_hex(char *buf, size_t digits);
