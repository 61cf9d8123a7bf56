/* Users as a guest knows them: by its own /etc/passwd and /etc/group, read as text. The node's name
 * service is never asked, and no code of the guest is run. */
#pragma once

#include <limits.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define USER_GROUPS_MAX 256

struct user {
	uid_t uid;
	gid_t gid;
	gid_t groups[USER_GROUPS_MAX]; /* supplementary */
	size_t groups_count;
	char home[PATH_MAX];
};

/* Finds "name", "uid", "name:group" or "uid:gid" below the root; NULL is root. Numbers need not be
 * known to the guest: without a group they are their own. ERR_INVALID (user). */
int user_find(int root, const char *who, struct user *ret, struct err *err);
