/* Limits of a guest. Sources: the kernel's Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.
 */
#include "drivers/lxc/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

#define PERIOD_US   100000 /* the kernel's default of cpu.max and cpu.cfs_period_us */
#define QUOTA_LEAST 1000   /* us, the least that the kernel takes */

static struct limit_write *add(
	struct limit_write *list, size_t *n, const char *controller, const char *file)
{
	list[*n] = (struct limit_write){.controller = controller, .file = file};
	return &list[(*n)++];
}

/* A number, or what stands for "no limit". */
static void set(struct limit_write *w, uint64_t n, const char *none)
{
	if (n)
		snprintf(w->value, sizeof(w->value), "%" PRIu64, n);
	else
		snprintf(w->value, sizeof(w->value), "%s", none);
}

static uint64_t quota_us(const struct guest_limits *l)
{
	uint64_t us = (uint64_t)l->cpu_milli * PERIOD_US / 1000;

	return l->cpu_milli && us < QUOTA_LEAST ? QUOTA_LEAST : us;
}

static size_t plan_v2(const struct guest_limits *l, bool live, struct limit_write *list)
{
	size_t n = 0;

	if (l->memory || live)
		set(add(list, &n, "memory", "memory.max"), l->memory, "max");
	if (l->swap || live) {
		struct limit_write *w = add(list, &n, "memory", "memory.swap.max");

		set(w, l->swap, "max");
		w->optional = true;
	}
	if (l->cpu_milli || live) {
		struct limit_write *w = add(list, &n, "cpu", "cpu.max");

		if (l->cpu_milli)
			snprintf(w->value, sizeof(w->value), "%" PRIu64 " %d", quota_us(l),
				PERIOD_US);
		else
			snprintf(w->value, sizeof(w->value), "max %d", PERIOD_US);
	}
	if (l->pids || live)
		set(add(list, &n, "pids", "pids.max"), l->pids, "max");
	if (l->io_weight || live) {
		struct limit_write *w = add(list, &n, "io", "io.weight");

		set(w, l->io_weight, "100");
		w->optional = true;
	}
	return n;
}

/* v1 limits memory and swap together, and only to a value not below that of memory alone: with
 * swap limited, the sum is first lifted, then set. */
static size_t plan_v1_memory(const struct guest_limits *l, bool live, struct limit_write *list)
{
	size_t n = 0;
	struct limit_write *w;

	if (live) {
		w = add(list, &n, "memory", "memory.memsw.limit_in_bytes");
		set(w, 0, "-1");
		w->optional = true;
	}
	if (l->memory || live)
		set(add(list, &n, "memory", "memory.limit_in_bytes"), l->memory, "-1");
	if (l->memory && l->swap) {
		w = add(list, &n, "memory", "memory.memsw.limit_in_bytes");
		set(w, l->memory + l->swap, "-1");
		w->optional = true;
	}
	return n;
}

/* Weights of v1 go from 10 to 1000 with 500 as the usual one. */
static uint64_t weight_v1(uint32_t weight)
{
	uint64_t w = (uint64_t)weight * 5;

	return weight == 0 ? 500 : w < 10 ? 10 : w > 1000 ? 1000 : w;
}

static size_t plan_v1(const struct guest_limits *l, bool live, struct limit_write *list)
{
	size_t n = plan_v1_memory(l, live, list);

	if (l->cpu_milli || live) {
		if (l->cpu_milli)
			set(add(list, &n, "cpu", "cpu.cfs_period_us"), PERIOD_US, "");
		set(add(list, &n, "cpu", "cpu.cfs_quota_us"), quota_us(l), "-1");
	}
	if (l->pids || live)
		set(add(list, &n, "pids", "pids.max"), l->pids, "max");
	if (l->io_weight || live) {
		struct limit_write *w = add(list, &n, "blkio", "blkio.bfq.weight");

		set(w, weight_v1(l->io_weight), "500");
		w->optional = true;
	}
	return n;
}

size_t limits_plan(const struct guest_limits *limits, bool v2, bool live,
	struct limit_write ret[static LIMIT_WRITES_MAX])
{
	return v2 ? plan_v2(limits, live, ret) : plan_v1(limits, live, ret);
}

static int check_memory(const struct cgroups *cgroups, const char *id,
	const struct guest_limits *limits, struct err *err)
{
	uint64_t used;

	if (limits->memory == 0 || cgroup_memory_used(cgroups, id, &used) < 0 ||
		limits->memory >= used)
		return 0;
	return err_set(err, ERR_INVALID, "limits.memory",
		"the guest uses %s now: the limit cannot be set to %s", FMT_SIZE(used),
		FMT_SIZE(limits->memory));
}

static int apply(
	const struct cgroups *cgroups, const char *id, const struct limit_write *w, struct err *err)
{
	int r;

	if (!cgroups_with(cgroups, w->controller))
		return 0;
	r = cgroup_write(cgroups, w->controller, id, w->file, w->value);
	if (r == -EBUSY && strcmp(w->controller, "memory") == 0)
		return err_set(err, ERR_INVALID, "limits.memory", "the guest uses more than %s now",
			w->value);
	if (r == -ENOENT && w->optional)
		return 0;
	return r < 0 ? err_errno(err, r, "cannot set %s to %s", w->file, w->value) : 0;
}

int limits_apply_optional(const struct cgroups *cgroups, const char *id,
	const struct guest_limits *limits, struct err *err)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	size_t n = limits_plan(limits, cgroups->unified, false, list);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (list[i].optional)
			r = apply(cgroups, id, &list[i], err);
	return r;
}

int limits_apply(const struct cgroups *cgroups, const char *id, const struct guest_limits *limits,
	struct err *err)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	size_t n = limits_plan(limits, cgroups->unified, true, list);
	int r = check_memory(cgroups, id, limits, err);

	for (size_t i = 0; r == 0 && i < n; i++)
		r = apply(cgroups, id, &list[i], err);
	return r;
}
