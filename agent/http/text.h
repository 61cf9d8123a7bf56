/* Checks on text that strangers sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Valid UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF). */
bool text_is_utf8(const char *text, size_t size);

/* Replaces bytes that are no UTF-8 with '?', in place. */
void text_make_utf8(char *text);

/* Undoes percent-encoding from `in` up to `end` into `out`, which has room for as many bytes and a
 * NUL, and terminates it. With `plus`, '+' is a blank, as in queries. Returns the length; -EBADMSG
 * where a '%' is not followed by two digits, or the result holds control characters or no UTF-8. */
int text_percent_decode(const char *in, const char *end, bool plus, char *out);
