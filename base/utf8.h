/* UTF-8 (RFC 3629), as far as text from outside has to be made fit for JSON and for logs. */
#pragma once

#include <stddef.h>

/* Bytes of the well-formed character that `text` begins with: 1-4, or 0 when it is none (NUL
 * counts as none). */
size_t utf8_length(const char *text);

/* Makes text harmless in place: control characters become blanks, bytes that are not UTF-8 become
 * question marks. */
void utf8_scrub(char *text);
