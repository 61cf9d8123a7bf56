/* Other programs on data that guests or strangers wrote: qemu-img, e2fsprogs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* A file, which has a name in its file system and belongs to root, that the program finds in its
 * root directory, where it belongs to the program. */
struct confined_file {
	int fd;
	const char *name;
	bool writable;
};

#define CONFINED_OUTPUT 1000
#define CONFINED_FILES	4

struct confined {
	const char *const *argv; /* argv[0] is looked up in PATH; ends with NULL */
	const struct confined_file *files;
	size_t files_count;  /* CONFINED_FILES at most */
	bool fuse;	     /* it may mount by FUSE, on a file named "view" */
	uint64_t file_max;   /* bytes that it may make a file */
	uint64_t timeout_ms; /* ERR_TIMEOUT */
	int stdout_fd;	     /* -1: to `output`, as stderr */
	/* Called several times a second; non-zero ends it: ERR_CANCELLED. May be NULL. */
	int (*cancelled)(void *data);
	void *data;

	int status; /* its exit status; 128 and more: the signal that killed it */
	char output[CONFINED_OUTPUT + 1]; /* the end of what it wrote, as one line */
};

/* Runs it to its end, whatever its status. It has no network, sees no other process, and no other
 * files than programs and libraries (/usr, read-only) and those given; it is a user that nothing on
 * the host belongs to, and that no other such program is at the same time; its memory, its time and
 * what it writes are bounded. It ends with us. */
int confined_run(struct confined *confined, struct err *err);

/* ERR_UNSUPPORTED, with the package that brings it, where there is no such program; an absolute
 * path is looked for as it is. */
int confined_want(const char *program, const char *package, struct err *err);
