/* Private to the sources of uploads. */
#pragma once

#include <pthread.h>
#include <sys/types.h>

#include "cli/source.h"

struct source_ops {
	/* At the end of the bytes: whether all was well. NULL: it was. */
	int (*finish)(struct source *source, struct err *err);
	/* Ends what still runs; the descriptor is closed already. NULL: nothing does. */
	void (*stop)(struct source *source);
};

struct source {
	const struct source_ops *ops; /* NULL: a plain descriptor */
	int fd;
	int64_t size; /* -1: not known */
	char *path;   /* for messages */
	pid_t pid;    /* of a program, until it is waited for */
	struct packer *packer;
};

struct source *source_create(const struct source_ops *ops, int fd);
