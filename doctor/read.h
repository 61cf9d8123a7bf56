/* What the gathering of facts has in common. */
#pragma once

#include <stdint.h>

/* A file's text, which the caller frees; NULL when it cannot be read. */
char *read_text(const char *path);

/* The number that a file begins with; 0 when it cannot be read. */
uint64_t read_number(const char *path);
