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

struct traffic_facts {
	const char *bridge;
	bool docker_user; /* corpusd has its guests pass Docker's chain: net.docker_user */
	bool guests;	  /* some run: their links are there */
};

/* `ruleset`: what `nft -j list ruleset` gives, parsed; NULL with the reason why it could not be
 * had. Names every chain of others that drops what guests send or get. */
void check_ruleset(struct report *report, const json_t *ruleset, const char *reason,
	const struct traffic_facts *facts);

/* The same for the rules of the older iptables, as `iptables-legacy-save -t filter` prints them. */
void check_legacy(struct report *report, const char *rules, const struct traffic_facts *facts);

/* --- drivers.c --------------------------------------------------------------------------------
 */

struct driver_facts {
	const char *name, *version, *problem;
	bool usable;
	const char *acceleration; /* of its machines; NULL or empty: they are none */
	const char *notice; /* what somebody should know, parts joined by "; "; NULL: nothing */
};

void check_driver(struct report *report, const struct driver_facts *facts);

/* --- libvirt.c --------------------------------------------------------------------------------
 */

/* Where a libvirt of this machine listens for who asks for a URI: paths, the usual one first, ends
 * with NULL. Nothing at all: it is elsewhere, or a daemon is not needed. `ret` has room for 3. */
#define LIBVIRT_SOCKETS 3
void libvirt_sockets(const char *uri, char ret[static LIBVIRT_SOCKETS][108]);

struct libvirtd_facts {
	const char *uri;
	const char *socket; /* NULL: see libvirt_sockets */
	int connected;	    /* 0, or the errno of connecting to it */
	bool elsewhere;	    /* its process is in another network namespace than ours */
	const char *bridge;
};

void check_libvirtd(struct report *report, const struct libvirtd_facts *facts);

/* libvirt starts QEMU with its output led to virtlogd, unless /etc/libvirt/qemu.conf says "file":
 * `connected` as above. */
void check_virtlogd(struct report *report, const char *qemu_conf, int connected);

/* `xml`: a network of libvirt's own, as in /etc/libvirt/qemu/networks. */
void check_libvirt_network(struct report *report, const char *xml, const char *bridge,
	uint32_t gateway, unsigned prefix);

struct apparmor_facts {
	const char *enabled;   /* /sys/module/apparmor/parameters/enabled */
	const char *confined;  /* /proc/PID/attr/current of libvirtd; NULL: it does not run */
	bool template, parser; /* what libvirt makes a guest's profile of, and with */
};

void check_apparmor(struct report *report, const struct apparmor_facts *facts);

/* --- machines.c -------------------------------------------------------------------------------
 */

struct qemu_facts {
	bool qemu, qemu_img, storage_daemon, e2fsck, resize2fs; /* are in PATH */
	bool uefi;						/* there is firmware for it */
};

void check_qemu(struct report *report, const struct qemu_facts *facts);

/* The user that QEMU runs as by qemu.conf, into `ret`: a name, or a number behind a '+'. */
void qemu_user(const char *qemu_conf, char ret[static 64]);

/* Whether it reaches the pool: `blocked` is the directory that stops it, NULL: nothing does. */
void check_reach(struct report *report, const char *user, const char *pool, const char *blocked);

struct acceleration_facts {
	bool device; /* /dev/kvm is there */
	bool hidden; /* but not where libvirtd looks */
	bool known, works;
	const char *reason;	  /* why it does not work */
	int64_t found_ms, now_ms; /* when that was found out; 0: it is seen at one look */
	const char *file;	  /* where that is kept */
};

void check_acceleration(struct report *report, const struct acceleration_facts *facts);
