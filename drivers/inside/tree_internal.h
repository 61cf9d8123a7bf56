/* What the two halves of tree share; used inside drivers/inside only. */
#pragma once

#include "drivers/inside/tree.h"

#define TREE_NAME_MAX 255

/* Opens the directory that holds the last part of a path, and copies that part. */
int tree_parent(const struct tree *tree, const char *path, char name[static TREE_NAME_MAX + 1],
	struct err *err);

/* Opens what a descriptor of O_PATH stands for. */
int tree_reopen(const struct tree *tree, int fd, int flags);

/* Copies at most `max` bytes; returns how many, or -1 with *err filled. */
int64_t tree_copy(int from, int to, uint64_t max, const char *path, struct err *err);

int tree_write(const struct tree *tree, const struct driver_file *asked, struct err *err);
