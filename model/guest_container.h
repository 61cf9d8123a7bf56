/* What runs in a guest that is made of an image of programs and their environment (IMAGE_OCI),
 * where that is to differ from what the image says. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "model/name.h"

struct err;
struct reader_field;

#define GUEST_CONTAINER_WORDS_MAX     256 /* of entrypoint or command */
#define GUEST_CONTAINER_VARIABLES_MAX 256 /* of the environment */
#define GUEST_CONTAINER_KEY_MAX	      255 /* bytes */
#define GUEST_CONTAINER_TEXT_MAX      32768 /* bytes of a word, a value, and as JSON of all together */
#define GUEST_CONTAINER_USER_MAX      255
#define GUEST_CONTAINER_PATH_MAX      1024
#define GUEST_CONTAINER_DATA_MAX      32

struct guest_container {
	/* Owned lists, end with NULL. NULL: as the image says; a list of none: none. */
	char **entrypoint; /* given, the image's command counts no more */
	char **command;
	char **environment;	  /* KEY=VALUE, sorted, beside the image's; NULL: none */
	char *user, *working_dir; /* owned; NULL: as the image says */
	char *stop_signal;	  /* "SIGTERM": its whole name; NULL: as the image says */
	bool terminal;		  /* its console is a terminal */
	/* Paths of directories that lie on its volume; NULL: the node decides, once. */
	char **data;

	/* Decided by the node. */
	char image_id[IMAGE_ID_MAX + 1]; /* what its image's name meant; "": not known yet */
};

/* As an image has it, with a terminal; NULL when memory ran out. */
struct guest_container *guest_container_create(void);
/* Releases it; accepts NULL; returns NULL. */
struct guest_container *guest_container_free(struct guest_container *container);
void guest_container_freep(struct guest_container **container);
/* A deep copy; a copy of NULL is NULL. False when memory ran out, with *ret NULL. */
bool guest_container_copy(struct guest_container **ret, const struct guest_container *container);

/* [struct guest_container *] owned, replaces what was there: as a request has it. */
int guest_container_read(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);
/* The same as a record has it: image_id, too, and without bounds. */
int guest_container_read_record(const struct reader_field *field, const json_t *value,
	const char *path, void *member, struct err *err);

/* New references; null for NULL. */
json_t *guest_container_to_json(const struct guest_container *container);
json_t *guest_container_to_record(const struct guest_container *container);

/* [char ***] An owned list of paths, as `data` has it; replaces what was there. ERR_INVALID names
 * the field below `path`. */
int guest_container_read_data(
	const json_t *list, const char *path, char ***member, struct err *err);

/* Whether it is an absolute path without empty, "." or ".." parts or control characters, and not
 * the root. */
int guest_container_check_path(const char *path, const char *field, struct err *err);
