/* What a driver keeps of a guest between calls: the facts that it was given, as one JSON file, and
 * what the driver found out for itself beside them. Which file that is each driver decides. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "drivers/driver.h"

struct err;

struct definition {
	json_t *json; /* the whole file; it keeps the strings */
	struct driver_guest guest;
	json_t *own; /* of the driver itself, an object; NULL: none. Belongs to `json` */
};

/* Whether the guest is defined. */
bool definition_exists(const char *path);

/* `title` is the driver's, for people ("LXC"). ERR_NOT_FOUND as definition_missing. */
int definition_load(const char *path, const char *title, const char *id, struct definition *ret,
	struct err *err);
/* Of one that was loaded, or zeroed. */
void definition_finish(struct definition *definition);

/* That the driver has no such guest: ERR_NOT_FOUND. */
int definition_missing(const char *title, const char *id, struct err *err);

/* The same, unless it has one. */
int definition_need(const char *path, const char *title, const char *id, struct err *err);

/* Writes the facts, and makes the directory that the file lies in. `own` stays the caller's, and
 * may be NULL; what was kept before is gone, so that a change hands on what it has loaded. */
int definition_save(
	const char *path, const struct driver_guest *guest, const json_t *own, struct err *err);

/* From then on the guest is not defined. One that is not there is no error. */
int definition_remove(const char *path, struct err *err);
/* The same, and then the directory `dir` that it lies in, with all that is there. */
int definition_remove_with(const char *path, const char *dir, struct err *err);

/* Where a driver keeps something of a guest: DIR/ID and what comes behind it. */
struct definition_path {
	char *buf; /* of PATH_MAX */
	const char *dir, *rest;
};

/* Fills them all; ERR_INVALID for an id that cannot be ours. */
int definition_paths(
	const char *id, const struct definition_path *paths, size_t count, struct err *err);

/* Refuses control characters and those in `refused`, by the field's name; NULL is fine. */
int definition_check_text(
	const char *field, const char *text, const char *refused, struct err *err);
/* The same, and what is no absolute path. */
int definition_check_path(const char *field, const char *path, struct err *err);
/* The same of the name, and of bridge and link, which belong together. */
int definition_check_names(const struct driver_guest *guest, const char *refused, struct err *err);

/* What a guest is; false when it is not defined, or this is no id. */
typedef bool (*definition_look_fn)(void *data, const char *id, struct driver_status *ret);

/* As driver_ops.list: looks at all that the directory has definitions of, as ID or ID.json. */
int definition_list(const char *path, definition_look_fn look, void *data,
	struct driver_status **ret, size_t *ret_count, struct err *err);
