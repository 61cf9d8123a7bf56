/* Quoting for a POSIX shell. Between single quotes everything is itself but a single quote; what is
 * no plain ASCII is said by printf. */
#include "drivers/kvm/quote.h"

#include <stdbool.h>

#include "base/strbuf.h"

static bool is_plain(unsigned char c)
{
	return (c >= ' ' && c < 0x7f) || c == '\n';
}

/* As many bytes as are not plain. The shell would take a line feed off the end: there is none. */
static const char *add_coded(struct strbuf *buf, const char *word)
{
	strbuf_add(buf, "\"$(printf '");
	for (; *word && !is_plain((unsigned char)*word); word++)
		strbuf_addf(buf, "\\%03o", (unsigned char)*word);
	strbuf_add(buf, "')\"");
	return word;
}

static const char *add_plain(struct strbuf *buf, const char *word)
{
	strbuf_add(buf, "'");
	for (; *word && is_plain((unsigned char)*word); word++)
		if (*word == '\'')
			strbuf_add(buf, "'\\''");
		else
			strbuf_add_bytes(buf, word, 1);
	strbuf_add(buf, "'");
	return word;
}

void quote_add(struct strbuf *buf, const char *word)
{
	if (!*word)
		strbuf_add(buf, "''");
	while (*word)
		word = is_plain((unsigned char)*word) ? add_plain(buf, word) : add_coded(buf, word);
}

void quote_add_set(struct strbuf *buf, const char *const *words)
{
	strbuf_add(buf, "set --");
	for (; words && *words; words++) {
		strbuf_add(buf, " ");
		quote_add(buf, *words);
	}
	strbuf_add(buf, "\n");
}
