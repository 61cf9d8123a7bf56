/* Checks on text that strangers sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Undoes percent-encoding from `in` up to `end` into `out`, which has room for as many bytes and a
 * NUL, and terminates it. With `plus`, '+' is a blank, as in queries. Returns the length; -EBADMSG
 * where a '%' is not followed by two digits, a character should have been encoded, or the result
 * holds control characters or is no UTF-8. */
int text_percent_decode(const char *in, const char *end, bool plus, char *out);
