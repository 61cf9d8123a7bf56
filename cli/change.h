/* Changes: asked for with a key so that repeating is safe, then followed to their end. */
#pragma once

#include <jansson.h>

struct cli;
struct err;
struct source;

struct change {
	const char *method;
	const char *path;   /* may have a query; NULL is answered with ENOMEM */
	const json_t *body; /* or NULL */
	/* Only when this is its ETag still, or NULL. ERR_PRECONDITION then prints nothing: the
	 * caller reads it again. */
	const char *if_match;
	struct source *source; /* an upload, or NULL */
	const char *subject;   /* what it is about, for messages: the guest's name */
	const char *past; /* "started": said of the subject when it is done. NULL: say says it */
	/* Says what came out; `result` may be NULL. NULL: past says it. */
	void (*say)(struct cli *cli, const char *subject, const json_t *result);
};

/* Asks, waits unless told otherwise, and says what came out (the API's own JSON with --json).
 * An operation that failed is an error. */
int change_run(struct cli *cli, const struct change *change, struct err *err);

/* Waits for the end of an operation and reports it in the same way. */
int change_follow(struct cli *cli, const char *id, struct err *err);

/* Prints an answer as it came, with a line break; as YAML when that is wanted. */
void change_print_json(struct cli *cli, const char *text);

/* The same for one that was made or changed here. */
void change_print_value(struct cli *cli, const json_t *value);
