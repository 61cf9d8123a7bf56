/* The audit log: who asked for what, when, from where, and what came of it. Lines of JSON in a file
 * that is only ever appended to, one write for each; the file and the older ones beside it (.1 is
 * the newest of them) are bounded. docs/access.md says what the records hold.
 *
 * A line that a crash or a full disk cut off is never taken for a record: it does not end, or does
 * not parse, and the next record begins a line of its own. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct audit;

#define AUDIT_READ_MAX 1000

/* Opens or makes the file. `size`: bytes after which a new one is begun; `files`: how many older
 * ones are kept. */
int audit_open(
	const char *path, uint64_t size, unsigned files, struct audit **ret, struct err *err);

/* Accepts NULL, returns NULL. */
struct audit *audit_close(struct audit *audit);

/* Adds "time" and appends; takes the record over. Nothing of it is written when it fails. */
int audit_write(struct audit *audit, json_t *record, struct err *err);

/* Opens the path anew: somebody moved the file. On failure it goes on with the old one. */
int audit_reopen(struct audit *audit, struct err *err);

/* The newest records, newest first, at most `limit`: an array. From any thread. */
int audit_read(const char *path, unsigned files, size_t limit, json_t **ret, struct err *err);
