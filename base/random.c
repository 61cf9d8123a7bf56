/* Random bytes from the kernel. */
#include "base/random.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

void random_bytes(void *buf, size_t size)
{
	char *p = buf;

	while (size > 0) {
		ssize_t n = getrandom(p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		p += n;
		size -= (size_t)n;
	}
}

void random_hex(char *buf, size_t digits)
{
	uint8_t byte = 0;

	for (size_t i = 0; i < digits; i++) {
		if (i % 2 == 0)
			random_bytes(&byte, 1);
		buf[i] = "0123456789abcdef"[byte & 15];
		byte >>= 4;
	}
	buf[digits] = '\0';
}
