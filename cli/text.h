/* Text on a terminal: what came from elsewhere is made harmless, and measured as it will look. */
#pragma once

#include <stddef.h>

struct strbuf;

/* Appends UTF-8 text. Control characters (C0, DEL, C1), characters that change the direction of
 * what follows, and bytes that are not UTF-8 appear as \n, \t, \r, \xNN or \u{NNNN}. */
void text_escape(struct strbuf *buf, const char *text);

/* The same as an allocation, NULL without memory. NULL counts as empty. */
char *text_escaped(const char *text);

/* Columns that an escaped text takes. */
size_t text_width(const char *text);
