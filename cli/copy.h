/* A copy between here and a guest; used by cmd_cp.c and copy_fetch.c only. */
#pragma once

#include <stdbool.h>

struct cli;
struct err;

#define COPY_TYPE_MAX 16

struct copy {
	struct cli *cli;
	const char *guest;
	bool recursive;
	bool archive;	     /* owners too, and the bits of suid and sgid */
	const char *subject; /* what is copied just now */
	unsigned depth;	     /* of directories */
	unsigned skipped;    /* links, sockets and the like */
};

/* From a guest, to a path here ("-": standard output). */
int copy_fetch(struct copy *copy, const char *from, const char *to, struct err *err);

/* The URL of a path in the guest; the path of a name below a directory. NULL without memory. */
char *copy_url(const struct copy *copy, const char *path);
char *copy_below(const char *directory, const char *name);

/* What stands behind the last slash of a path; "" when nothing does. */
const char *copy_last_part(const char *path);

/* Says that something is left out. */
void copy_skip(struct copy *copy, const char *path, const char *why);
