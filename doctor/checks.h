/* The checks: facts in, lines of a report out. None of them reads anything by itself, so that tests
 * can hand in any host; read.c gathers the facts of this one. Texts of files that could not be read
 * are NULL. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "doctor/report.h"

/* --- kernel.c ---------------------------------------------------------------------------------
 */

struct kernel_facts {
	const char *release; /* uname -r */
	bool idmapped_mounts, pidfd, openat2;
};

void check_kernel(struct report *report, const struct kernel_facts *facts);

struct cgroup_facts {
	const char *mountinfo;	 /* /proc/self/mountinfo */
	const char *controllers; /* cgroup.controllers at the top of v2 */
	const char *delegated;	 /* CORPUS_CGROUP */
	bool systemd;		 /* it is what started this machine */
};

void check_cgroups(struct report *report, const struct cgroup_facts *facts);

/* Files below /proc/sys, and whether AppArmor is there. */
struct namespace_facts {
	const char *max_user_namespaces, *apparmor_restricts;
};

void check_namespaces(struct report *report, const struct namespace_facts *facts);

/* Text of /etc/subuid or /etc/subgid (subuid(5)); `base` 0: root's first range is taken. */
void check_subids(
	struct report *report, const char *path, const char *text, uint32_t base, uint32_t count);

/* --- host.c -----------------------------------------------------------------------------------
 */

struct btrfs_facts {
	const char *filesystems; /* /proc/filesystems */
	bool module;		 /* the kernel has one that can be loaded */
	bool mkfs;		 /* mkfs.btrfs is in PATH */
	bool loop;		 /* the pool is a file, which has to be made */
	bool classic;		 /* storage.quota: classic */
	const char *release;
};

void check_btrfs(struct report *report, const struct btrfs_facts *facts);

/* A place that things are written to. */
struct space_facts {
	const char *what, *path;
	uint64_t total, free;	      /* bytes */
	uint64_t inodes, inodes_free; /* 0 of 0: the file system makes them as it needs */
	uint64_t wanted;	      /* bytes that should be free, or it is a warning */
};

void check_space(struct report *report, const struct space_facts *facts);

void check_time(struct report *report, bool synchronised, int year);

struct limit_facts {
	uint64_t files;		    /* RLIMIT_NOFILE, hard */
	uint64_t inotify;	    /* fs.inotify.max_user_instances; 0: not known */
	uint64_t memory, available; /* bytes */
};

void check_limits(struct report *report, const struct limit_facts *facts);

/* --- traffic.c --------------------------------------------------------------------------------
 */

/* Texts of files of one digit; `bridge_forwarding` is NULL while there is no bridge. */
void check_forwarding(struct report *report, const char *ip_forward, const char *bridge,
	const char *bridge_forwarding);

/* `ruleset`: what `nft -j list ruleset` gives, parsed; NULL with the reason why it could not be
 * had. Names every chain of others that drops what guests send or get. */
void check_ruleset(
	struct report *report, const json_t *ruleset, const char *reason, const char *bridge);

/* The same for the rules of the older iptables, as `iptables-legacy-save -t filter` prints them. */
void check_legacy(struct report *report, const char *rules, const char *bridge);

/* --- drivers.c --------------------------------------------------------------------------------
 */

struct driver_facts {
	const char *name, *version, *problem;
	bool usable;
};

void check_driver(struct report *report, const struct driver_facts *facts);
