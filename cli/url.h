/* Paths and queries of requests, percent-encoded (RFC 3986). */
#pragma once

struct strbuf;

/* Appends a path in which each %s stands for a segment, which is encoded: "/v1/guests/%s". Only %s
 * is known. */
void url_path(struct strbuf *buf, const char *fmt, ...);

/* Such a path by itself. NULL without memory: whoever is given it to ask by says so. */
char *url_of(const char *fmt, ...);

/* Appends "?name=value", or "&…" when there is a query already. A NULL value adds nothing. */
void url_query(struct strbuf *buf, const char *name, const char *value);
