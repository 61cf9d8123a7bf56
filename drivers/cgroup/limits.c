/* Planning a guest's limits. Sources: the kernel's Documentation/admin-guide/cgroup-v1,
 * cgroup-v2.rst and block/bfq-iosched.rst. */
#include "drivers/cgroup/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define PERIOD_US   100000 /* the kernel's default of cpu.max and cpu.cfs_period_us */
#define QUOTA_LEAST 1000   /* us, the least that the kernel takes */

#define FIELD_MEMORY   "limits.memory"
#define FIELD_SWAP     "limits.swap"
#define FIELD_CPUS     "limits.cpus"
#define FIELD_PIDS     "limits.pids"
#define FIELD_WEIGHT   "limits.io_weight"
#define FIELD_IO_READ  "limits.io_read"
#define FIELD_IO_WRITE "limits.io_write"

/* --- What the node has ------------------------------------------------------------------------ */

static enum limit_version version_of(const struct cgroups *cgroups, const char *controller)
{
	const struct cgroup_hierarchy *h = cgroups_with(cgroups, controller);

	return !h ? LIMIT_ABSENT : h->v2 ? LIMIT_V2 : LIMIT_V1;
}

void limits_host(const struct cgroups *cgroups, struct limits_host *ret)
{
	*ret = (struct limits_host){
		.memory = version_of(cgroups, "memory"),
		.cpu = version_of(cgroups, "cpu"),
		.pids = version_of(cgroups, "pids"),
		/* The same controller, by the name of either version. */
		.io = version_of(cgroups, "io") ? LIMIT_V2 : version_of(cgroups, "blkio"),
	};
}

int limits_check(const struct limits_host *host, const struct guest_limits *l, const char *disk,
	struct err *err)
{
	const struct {
		bool wanted;
		enum limit_version version;
		const char *field, *controller;
	} needs[] = {
		{l->memory != 0, host->memory, FIELD_MEMORY, "memory"},
		{l->swap != 0, host->memory, FIELD_SWAP, "memory"},
		{l->cpu_milli != 0, host->cpu, FIELD_CPUS, "cpu"},
		{l->pids != 0, host->pids, FIELD_PIDS, "pids"},
		{l->io_weight != 0, host->io, FIELD_WEIGHT, "io"},
		{l->io_read != 0, host->io, FIELD_IO_READ, "io"},
		{l->io_write != 0, host->io, FIELD_IO_WRITE, "io"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
		if (needs[i].wanted && needs[i].version == LIMIT_ABSENT)
			return err_set(err, ERR_UNSUPPORTED, needs[i].field,
				"%s cannot be set: this node's kernel has no %s controller "
				"mounted; leave the limit out, or boot with it (cgroup_enable=%s)",
				needs[i].field, needs[i].controller, needs[i].controller);
	if ((l->io_read || l->io_write) && !disk)
		return err_set(err, ERR_UNSUPPORTED, l->io_read ? FIELD_IO_READ : FIELD_IO_WRITE,
			"the disk below the guest's files is not known: its bandwidth cannot be "
			"limited");
	if (l->swap && !l->memory && host->memory == LIMIT_V1)
		return err_set(err, ERR_UNSUPPORTED, FIELD_SWAP,
			"this node (cgroup v1) limits swap only together with memory: give "
			"limits.memory too");
	return 0;
}

/* --- Plans ------------------------------------------------------------------------------------ */

struct plan {
	const struct limits_host *host;
	const struct guest_limits *limits;
	const char *disk;
	bool live;
	struct limit_write *list;
	size_t n;
};

static struct limit_write *add(
	struct plan *p, const char *field, const char *controller, const char *file, bool none)
{
	p->list[p->n] = (struct limit_write){
		.field = field, .controller = controller, .file = file, .none = none};
	return &p->list[p->n++];
}

/* A number, or what stands for "no limit". */
static struct limit_write *add_number(struct plan *p, const char *field, const char *controller,
	const char *file, uint64_t n, const char *none)
{
	struct limit_write *w = add(p, field, controller, file, n == 0);

	if (n)
		snprintf(w->value, sizeof(w->value), "%" PRIu64, n);
	else
		snprintf(w->value, sizeof(w->value), "%s", none);
	return w;
}

static void plan_memory_v2(struct plan *p)
{
	const struct guest_limits *l = p->limits;

	if (l->memory || p->live)
		add_number(p, FIELD_MEMORY, "memory", "memory.max", l->memory, "max");
	if (l->swap || p->live)
		add_number(p, FIELD_SWAP, "memory", "memory.swap.max", l->swap, "max")->later =
			true;
}

static void plan_sum_v1(struct plan *p)
{
	const struct guest_limits *l = p->limits;

	add_number(p, FIELD_SWAP, "memory", "memory.memsw.limit_in_bytes",
		l->swap ? l->memory + l->swap : 0, "-1")
		->later = true;
}

/* v1 limits memory, and the sum of memory and swap, which may at no time be below the former: the
 * order follows from which way they go. */
static void plan_memory_v1(struct plan *p)
{
	const struct guest_limits *l = p->limits;
	bool sum = l->swap || p->live;
	bool sum_first =
		p->live &&
		(!l->swap || (p->host->memory_now && l->memory + l->swap >= p->host->memory_now));

	if (sum && sum_first)
		plan_sum_v1(p);
	if (l->memory || p->live)
		add_number(p, FIELD_MEMORY, "memory", "memory.limit_in_bytes", l->memory, "-1");
	if (sum && !sum_first)
		plan_sum_v1(p);
}

static uint64_t quota_us(const struct guest_limits *l)
{
	uint64_t us = (uint64_t)l->cpu_milli * PERIOD_US / 1000;

	return l->cpu_milli && us < QUOTA_LEAST ? QUOTA_LEAST : us;
}

static void plan_cpu_v2(struct plan *p)
{
	struct limit_write *w;

	if (!p->limits->cpu_milli && !p->live)
		return;
	w = add(p, FIELD_CPUS, "cpu", "cpu.max", p->limits->cpu_milli == 0);
	if (p->limits->cpu_milli)
		snprintf(w->value, sizeof(w->value), "%" PRIu64 " %d", quota_us(p->limits),
			PERIOD_US);
	else
		snprintf(w->value, sizeof(w->value), "max %d", PERIOD_US);
}

static void plan_cpu_v1(struct plan *p)
{
	uint64_t quota = quota_us(p->limits);

	if (quota)
		add_number(p, FIELD_CPUS, "cpu", "cpu.cfs_period_us", PERIOD_US, "");
	if (quota || p->live)
		add_number(p, FIELD_CPUS, "cpu", "cpu.cfs_quota_us", quota, "-1");
}

static void plan_pids(struct plan *p)
{
	if (p->limits->pids || p->live)
		add_number(p, FIELD_PIDS, "pids", "pids.max", p->limits->pids, "max");
}

/* Our weights are those of v2's io.weight: 1 to 10000, 100 is the usual one. BFQ has 1 to 1000
 * around the same 100; blkio.weight of kernels before 5.0 has 10 to 1000 around 500. */
static uint64_t weight_bfq(uint64_t weight)
{
	return weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900;
}

static uint64_t weight_cfq(uint64_t weight)
{
	return weight == 0     ? 0
	       : weight <= 100 ? 10 + (weight - 1) * 490 / 99
			       : 500 + (weight - 100) * 500 / 9900;
}

static void plan_weight(struct plan *p)
{
	uint64_t weight = p->limits->io_weight;
	struct limit_write *first, *second;

	if (!weight && !p->live)
		return;
	if (p->host->io == LIMIT_V2) {
		first = add_number(p, FIELD_WEIGHT, "io", "io.weight", weight, "100");
		second = add_number(
			p, FIELD_WEIGHT, "io", "io.bfq.weight", weight_bfq(weight), "100");
	} else {
		first = add_number(
			p, FIELD_WEIGHT, "blkio", "blkio.bfq.weight", weight_bfq(weight), "100");
		second = add_number(
			p, FIELD_WEIGHT, "blkio", "blkio.weight", weight_cfq(weight), "500");
	}
	first->or_next = true;
	first->later = second->later = true;
}

/* "max" or the number, of io.max. */
static int print_rate(char *buf, size_t size, const char *key, uint64_t rate)
{
	return rate ? snprintf(buf, size, " %s=%" PRIu64, key, rate)
		    : snprintf(buf, size, " %s=max", key);
}

static void plan_bandwidth_v2(struct plan *p)
{
	const struct guest_limits *l = p->limits;
	struct limit_write *w = add(p, l->io_read ? FIELD_IO_READ : FIELD_IO_WRITE, "io", "io.max",
		!l->io_read && !l->io_write);
	size_t n = (size_t)snprintf(w->value, sizeof(w->value), "%s", p->disk);

	n += (size_t)print_rate(w->value + n, sizeof(w->value) - n, "rbps", l->io_read);
	print_rate(w->value + n, sizeof(w->value) - n, "wbps", l->io_write);
	w->undo = " rbps=max wbps=max";
	w->later = true;
}

static void plan_rate_v1(struct plan *p, const char *field, const char *file, uint64_t rate)
{
	struct limit_write *w;

	if (!rate && !p->live)
		return;
	w = add(p, field, "blkio", file, rate == 0);
	snprintf(w->value, sizeof(w->value), "%s %" PRIu64, p->disk, rate);
	w->undo = " 0";
	w->later = true;
}

static void plan_bandwidth(struct plan *p)
{
	const struct guest_limits *l = p->limits;

	if (!p->disk)
		return;
	if (p->host->io == LIMIT_V1) {
		plan_rate_v1(p, FIELD_IO_READ, "blkio.throttle.read_bps_device", l->io_read);
		plan_rate_v1(p, FIELD_IO_WRITE, "blkio.throttle.write_bps_device", l->io_write);
	} else if (l->io_read || l->io_write || p->live) {
		plan_bandwidth_v2(p);
	}
}

size_t limits_plan(const struct limits_host *host, const struct guest_limits *limits,
	const char *disk, bool live, struct limit_write ret[static LIMIT_WRITES_MAX])
{
	struct plan p = {.host = host, .limits = limits, .disk = disk, .live = live, .list = ret};
	const struct {
		enum limit_version version;
		void (*plan)(struct plan *p);
	} parts[] = {
		{host->memory, host->memory == LIMIT_V2 ? plan_memory_v2 : plan_memory_v1},
		{host->cpu, host->cpu == LIMIT_V2 ? plan_cpu_v2 : plan_cpu_v1},
		{host->pids, plan_pids},
		{host->io, plan_weight},
		{host->io, plan_bandwidth},
	};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t first = p.n;

		if (parts[i].version != LIMIT_ABSENT)
			parts[i].plan(&p);
		for (size_t k = first; k < p.n; k++)
			p.list[k].v2 = parts[i].version == LIMIT_V2;
	}
	return p.n;
}
