/* A growing string, for text that is rendered piece by piece. After the first failed allocation it
 * stays failed and ignores what follows, so only the end has to be checked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct strbuf {
	char *text; /* NUL-terminated, or NULL while empty */
	size_t used;
	size_t room;
	bool failed;
};

void strbuf_add(struct strbuf *buf, const char *text);
void strbuf_add_bytes(struct strbuf *buf, const void *data, size_t size);
void strbuf_addf(struct strbuf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_add_u64(struct strbuf *buf, uint64_t number); /* decimal; many times faster than %llu */

/* The text (never NULL on success; the caller frees it), or NULL when memory ran out. The buffer is
 * empty afterwards. */
char *strbuf_take(struct strbuf *buf);
void strbuf_finish(struct strbuf *buf);
