/* Planning a machine's limits. Sources: libvirt's formatdomain page (vcpus, cputune, memory,
 * iotune, memory modules), the kernel's memory-hotplug.rst and swiotlb of x86. */
#include "drivers/kvm/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/err.h"
#include "base/parse.h"

#define MIB_KIB 1024ULL

#define PERIOD_US   100000 /* the kernel's default */
#define QUOTA_LEAST 1000   /* us, the least that it takes */

#define IO_MOST 1000000000000000ULL /* bytes a second: libvirt refuses more */

/* Linux takes memory in blocks of so much (section size of x86-64). */
#define MODULE_KIB (128 * MIB_KIB)

/* Where memory can be plugged it lies beyond 4 GiB, and every Linux then sets 64 MiB aside to reach
 * it from devices of 32 bits, unless it is told not to. Smaller machines are better off without. */
#define HOTPLUG_FROM_KIB (512 * MIB_KIB)
#define NO_BOUNCING	 "swiotlb=noforce"

/* Emulated processors address 1 TiB, of which devices take a part. */
#define HOTPLUG_MOST_KIB (512ULL << 20)

/* What a guest needs beyond what it says it uses, in order not to thrash. */
#define RESERVE_KIB (16 * MIB_KIB)

/* --- The node --------------------------------------------------------------------------------- */

int limits_host(struct limits_host *ret, struct err *err)
{
	struct sysinfo info;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (sysinfo(&info) < 0 || cpus < 1)
		return err_errno(err, errno, "cannot find out what this node has");
	ret->cpus = (unsigned)cpus;
	ret->memory_kib = (uint64_t)info.totalram * info.mem_unit / 1024;
	return 0;
}

int limits_check(const struct guest_limits *l, const struct limits_host *host, struct err *err)
{
	uint64_t kib = l->memory / 1024;

	if (l->memory && kib < LIMITS_MEMORY_MIN_KIB)
		return err_set(err, ERR_INVALID, "limits.memory",
			"limits.memory is %s: a machine does not boot with less than %s",
			FMT_SIZE(l->memory), FMT_SIZE(LIMITS_MEMORY_MIN_KIB * 1024));
	if (kib > host->memory_kib)
		return err_set(err, ERR_INVALID, "limits.memory",
			"limits.memory is %s: this node has only %s", FMT_SIZE(l->memory),
			FMT_SIZE(host->memory_kib * 1024));
	return 0;
}

/* --- Plans ------------------------------------------------------------------------------------ */

static uint64_t round_down(uint64_t n, uint64_t step)
{
	return n - n % step;
}

static uint64_t round_up(uint64_t n, uint64_t step)
{
	return round_down(n + step - 1, step);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void plan_cpu(uint32_t milli, unsigned cpus, struct limits_plan *ret)
{
	unsigned wanted = milli ? (unsigned)(((uint64_t)milli + 999) / 1000) : cpus;
	uint64_t quota = (uint64_t)milli * PERIOD_US / 1000;

	ret->vcpus_max = (unsigned)least(cpus, LIMITS_VCPUS_MAX);
	ret->vcpus = (unsigned)least(wanted, ret->vcpus_max);
	if (!milli)
		return;
	ret->period_us = PERIOD_US;
	ret->quota_us = quota < QUOTA_LEAST ? QUOTA_LEAST : quota;
}

static bool wants_hotplug(uint64_t kib, const char *cmdline)
{
	return kib >= HOTPLUG_FROM_KIB || (cmdline && strstr(cmdline, NO_BOUNCING));
}

static void plan_memory(
	uint64_t bytes, uint64_t host_kib, const char *cmdline, struct limits_plan *ret)
{
	uint64_t max = round_down(least(host_kib, HOTPLUG_MOST_KIB), MODULE_KIB);

	ret->memory_kib = bytes ? round_down(bytes / 1024, MIB_KIB) : LIMITS_MEMORY_DEFAULT_KIB;
	if (!wants_hotplug(ret->memory_kib, cmdline) || max < ret->memory_kib + MODULE_KIB)
		return;
	ret->memory_max_kib = max;
	ret->slots = LIMITS_SLOTS;
}

/* Our weights are those of io.weight: 1 to 10000, 100 is the usual one. BFQ has 1 to 1000 around
 * the same 100. */
static unsigned plan_weight(uint32_t weight)
{
	return weight <= 100 ? weight : 100 + (weight - 100) * 900 / 9900;
}

void limits_plan(const struct guest_limits *l, const struct limits_host *host, const char *cmdline,
	struct limits_plan *ret)
{
	*ret = (struct limits_plan){
		.io_read = least(l->io_read, IO_MOST),
		.io_write = least(l->io_write, IO_MOST),
		.io_weight = plan_weight(l->io_weight),
	};
	plan_cpu(l->cpu_milli, host->cpus, ret);
	plan_memory(l->memory, host->memory_kib, cmdline, ret);
}

/* --- Memory of a machine that runs ------------------------------------------------------------ */

/* Modules come in whole blocks; what is too much of the last one goes into the balloon. */
static uint64_t module_for(const struct limits_memory *now, uint64_t want_kib)
{
	uint64_t room = now->max_kib > now->total_kib ? now->max_kib - now->total_kib : 0;

	if (want_kib <= now->total_kib || now->slots_free == 0)
		return 0;
	return least(round_up(want_kib - now->total_kib, MODULE_KIB), round_down(room, MODULE_KIB));
}

int limits_memory(const struct limits_memory *now, uint64_t want_kib,
	struct limits_memory_change *ret, struct err *err)
{
	uint64_t used = now->given_kib - least(now->usable_kib, now->given_kib);
	uint64_t need = round_up(used + RESERVE_KIB, MIB_KIB);
	uint64_t module;

	if (now->known && want_kib < now->given_kib && want_kib < need)
		return err_set(err, ERR_INVALID, "limits.memory",
			"the guest uses %s now: limits.memory cannot be less than %s while it runs",
			FMT_SIZE(used * 1024), FMT_SIZE(need * 1024));
	module = module_for(now, want_kib);
	*ret = (struct limits_memory_change){
		.module_kib = module, .balloon_kib = least(want_kib, now->total_kib + module)};
	return 0;
}
