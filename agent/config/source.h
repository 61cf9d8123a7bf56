/* A YAML file as a tree whose every node knows its line. Inside agent/config/ only.
 *
 * libyaml's own tree, not a mapping library's: what is wrong with a value (a unit, a range, a name
 * that does not exist) is found when it is read, and has to be told with its line. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct err;

struct source {
	const char *file;
	yaml_document_t document;
	bool loaded;
};

/* A value and the dotted path of the key that it belongs to. */
struct place {
	struct source *source;
	yaml_node_t *node;
	char path[64];
};

/* Reads and parses the file; `file` must stay valid. ERR_NOT_FOUND, ERR_MALFORMED with the line. */
int source_load(struct source *source, const char *file, struct err *err);
void source_finish(struct source *source);

/* The topmost value; its node is NULL in a file of nothing but comments. */
struct place source_root(struct source *source);

/* The value of that key, by its dotted path, from the top; node is NULL when it is not there. */
struct place source_find(struct source *source, const char *path);

/* "FILE:LINE: PATH text" as ERR_INVALID with the path as field. */
int place_fail(const struct place *place, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "FILE:LINE:" before an error whose sentence names the field already. Returns -EINVAL. */
int place_prefix(const struct place *place, struct err *err);

/* The text of a scalar; fails for anything else, and for a key without a value. */
int place_text(const struct place *place, const char **ret, struct err *err);

/* The i-th entry of a list, or pair of a mapping; false beyond the last. */
bool place_entry(const struct place *place, size_t i, struct place *ret);
bool place_pair(const struct place *place, size_t i, struct place *ret_key, struct place *ret);
