/* Limits on subvolumes by btrfs's quota groups, in either of their two modes.
 *
 * Simple quotas (Linux 6.7) charge an extent to the subvolume that wrote it: their cost does not
 * depend on how many clones share it. Classic ones charge each subvolume with all it refers to, by
 * walking back the references of every shared block at commit: the cost grows with the number of
 * clones of an image. docs/storage.md has figures. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum quota_mode { QUOTA_OFF, QUOTA_CLASSIC, QUOTA_SIMPLE };

struct quota {
	int fd;		      /* of the pool's root; not owned */
	char sysfs[64];	      /* directory of its groups' live figures */
	enum quota_mode mode; /* never QUOTA_OFF after quota_open */
};

struct quota_figures {
	uint64_t limit;	  /* bytes; UINT64_MAX: none */
	uint64_t used;	  /* bytes charged at the last commit */
	uint64_t pending; /* bytes reserved since: with `used` the most that it can be now */
};

/* Finds out the mode; if quotas are off, enables simple ones where wanted and known to the kernel,
 * else classic ones, and waits until what exists is counted. */
int quota_open(struct quota *quota, int fd, bool want_simple);

int quota_set_limit(const struct quota *quota, uint64_t subvolume, uint64_t limit);
int quota_read(const struct quota *quota, uint64_t subvolume, struct quota_figures *ret);

/* Removes the group of a deleted subvolume. A kernel that still needs it, or removes it by itself
 * once the subvolume's blocks are freed, keeps it for now: that is success. */
int quota_remove(const struct quota *quota, uint64_t subvolume);

/* Removes every group whose subvolume is gone. Only for a file system that is wholly ours. */
int quota_sweep(const struct quota *quota);

/* Starts a recount in the background when the kernel has marked the figures as not to be trusted;
 * returns 1 when it did. */
int quota_repair(const struct quota *quota);
