/* Text for a POSIX shell. */
#pragma once

struct strbuf;

/* Adds one word that the shell reads as exactly these bytes. What is added is ASCII without control
 * characters but line feeds: it can be said in JSON, and in any locale. */
void quote_add(struct strbuf *buf, const char *word);

/* "set -- 'A' 'B'…", a line, for words that end with NULL; NULL: none. */
void quote_add_set(struct strbuf *buf, const char *const *words);
