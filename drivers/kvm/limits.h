/* A guest's limits as what libvirt is told of a machine: at its start (xml.c) and while it runs
 * (update.c); used inside drivers/kvm only. All of it is pure but limits_host. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/guest.h"

struct err;

/* What the node has. */
struct limits_host {
	unsigned cpus;	     /* that are online */
	uint64_t memory_kib; /* all of it */
};

#define LIMITS_MEMORY_DEFAULT_KIB (512ULL << 10) /* of a machine without limits.memory */
#define LIMITS_MEMORY_MIN_KIB	  (64ULL << 10)	 /* below it no kernel of today boots */
#define LIMITS_VCPUS_MAX	  255 /* with more x86 needs a virtual IOMMU (formatdomain) */
#define LIMITS_SLOTS		  16
#define LIMITS_BALLOON_PERIOD_S	  5 /* how often a guest tells how much of its memory it uses */

struct limits_plan {
	unsigned vcpus, vcpus_max; /* that it has now; that can be plugged into it */
	/* global_period and global_quota: all that runs for the machine, its emulation included;
	 * 0: not limited. */
	uint64_t period_us, quota_us;
	/* What it boots with; a multiple of 1 MiB. */
	uint64_t memory_kib;
	/* maxMemory, and how many modules can be plugged; 0: none can, there is no maxMemory.
	 * libvirt then wants one NUMA cell of memory_kib and all vcpus_max. */
	uint64_t memory_max_kib;
	unsigned slots;
	uint64_t io_read, io_write; /* bytes a second of its disk's iotune; 0: not limited */
	/* 1-1000, what BFQ knows; 0: the usual. No part of the machine's XML, with which a node
	 * that has no such scheduler would not start it: it is set once the machine runs. */
	unsigned io_weight;
};

/* What this node has. */
int limits_host(struct limits_host *ret, struct err *err);

/* Refuses what no machine here can have: ERR_INVALID with the field. */
int limits_check(
	const struct guest_limits *limits, const struct limits_host *host, struct err *err);

/* `cmdline` is that of a kernel which is started directly; NULL: there is none. Limits of pids and
 * swap are inside a machine its kernel's own: they have no effect. */
void limits_plan(const struct guest_limits *limits, const struct limits_host *host,
	const char *cmdline, struct limits_plan *ret);

/* --- Memory of a machine that runs --------------------------------------------------------------
 */

/* What it has and does now. */
struct limits_memory {
	uint64_t total_kib;  /* what it booted with and the modules plugged since */
	uint64_t max_kib;    /* up to which modules can be plugged; 0: none can */
	unsigned slots_free; /* for modules */
	uint64_t given_kib;  /* without what its balloon holds */
	uint64_t usable_kib; /* of that, what could be taken from it without swapping; by the
				balloon's statistics */
	bool known;	     /* there are such: something in the guest serves the balloon */
};

struct limits_memory_change {
	uint64_t module_kib;  /* to plug; 0: none */
	uint64_t balloon_kib; /* what to leave it, then */
};

/* How it comes to `want_kib`, as far as it can while it runs. ERR_INVALID (limits.memory) for less
 * than it uses. */
int limits_memory(const struct limits_memory *now, uint64_t want_kib,
	struct limits_memory_change *ret, struct err *err);
