/* Changing a machine while it runs. Each part of a change can be told to be so, however it is now:
 * so what was done of a change that failed is taken back by telling each part to be as before. What
 * a machine cannot do while it runs it has after its next start. */
#include "drivers/kvm/update.h"

#include <errno.h>
#include <jansson.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "drivers/definition.h"
#include "drivers/kvm/limits.h"
#include "drivers/kvm/machine.h"
#include "drivers/kvm/start.h"
#include "drivers/protocol/value.h"

#define LIVE	VIR_DOMAIN_AFFECT_LIVE
#define STEP_NS (20 * 1000000L) /* between looks at what cannot be waited for */

/* How long each may take until that is not waited for any more, and all of them: of a call's 15 s
 * some are left for an agent that does not answer, and for taking back. */
#define REACT_MS   6000
#define BALLOON_MS 3000
#define REFRESH_MS 2000 /* until it has said what it uses */
#define NOTICE_MS  5000 /* until its kernel has seen what was plugged */
#define RETURN_MS  2000 /* until its agent is there again after it stood still */
#define AGENT_S	   3	/* for one answer */

struct change {
	struct kvm_guest *guest;
	struct machine machine;
	bool runs; /* not frozen: something in it can react */
	uint64_t given_kib;
	uint64_t module_kib; /* to plug */
	int64_t end_ns;	     /* then nothing is waited for any more */
};

/* One side of a change. */
struct side {
	const struct driver_guest *facts;
	struct limits_plan plan;
	uint64_t given_kib; /* what the balloon leaves it */
};

static bool pause_until(int64_t end_ns)
{
	if (clock_monotonic_ns() >= end_ns)
		return false;
	nanosleep(&(struct timespec){.tv_nsec = STEP_NS}, NULL);
	return true;
}

static int64_t in_ms(int64_t ms)
{
	return clock_monotonic_ns() + ms * 1000000;
}

static int64_t within(const struct change *c, int64_t ms)
{
	int64_t end = in_ms(ms);

	return end < c->end_ns ? end : c->end_ns;
}

/* --- Errors ----------------------------------------------------------------------------------- */

static int failed(struct err *err, const char *field)
{
	int r = connect_error(err, "%s cannot be changed while the guest runs", field);

	if (err)
		snprintf(err->field, sizeof(err->field), "%s", field);
	return r;
}

/* What this hypervisor does not know at all comes with the next start. */
static int result(int r, struct err *err, const char *field)
{
	return r >= 0 || connect_errnum() == VIR_ERR_NO_SUPPORT ? 0 : failed(err, field);
}

/* --- The agent in the guest ------------------------------------------------------------------- */

/* It has not done its part: the guest is told of the change, but may not use all of it. */
static void tell_unheard(const struct change *c, const char *what)
{
	log_warning("driver.kvm.agent_unheard", "guest=%s about=%s error=%s",
		c->guest->definition.guest.id, what, LOG_Q(virGetLastErrorMessage()));
}

/* What it answers; NULL when it does not, or says no. A guest that is busy may be slow. */
static json_t *ask_agent(const struct change *c, const char *command)
{
	int64_t end = within(c, NOTICE_MS);
	AUTOFREE char *text = NULL;
	json_t *answer, *value;

	do
		text = virDomainQemuAgentCommand(c->guest->domain, command, AGENT_S, 0);
	while (!text && connect_errnum() == VIR_ERR_AGENT_UNRESPONSIVE && pause_until(end));
	if (!text)
		tell_unheard(c, "memory");
	answer = text ? json_loads(text, 0, NULL) : NULL;
	value = json_incref(json_object_get(answer, "return"));
	json_decref(answer);
	return value;
}

static size_t count_blocks(const struct change *c)
{
	json_t *blocks = ask_agent(c, "{\"execute\":\"guest-get-memory-blocks\"}");
	size_t n = json_array_size(blocks);

	json_decref(blocks);
	return n;
}

/* Has it use all blocks of memory that its kernel leaves alone. */
static void use_all_blocks(const struct change *c)
{
	json_t *blocks = ask_agent(c, "{\"execute\":\"guest-get-memory-blocks\"}");
	json_t *wanted = json_array(), *block, *command;
	AUTOFREE char *text = NULL;
	size_t i;

	json_array_foreach (blocks, i, block)
		if (json_is_false(json_object_get(block, "online")))
			json_array_append_new(
				wanted, json_pack("{s:O, s:b}", "phys-index",
						json_object_get(block, "phys-index"), "online", 1));
	command = json_pack("{s:s, s:{s:O}}", "execute", "guest-set-memory-blocks", "arguments",
		"mem-blks", wanted);
	text = json_array_size(wanted) ? json_dumps(command, JSON_COMPACT) : NULL;
	if (text)
		json_decref(ask_agent(c, text));
	json_decref(command);
	json_decref(wanted);
	json_decref(blocks);
}

/* --- Processors ------------------------------------------------------------------------------- */

static int apply_quota(struct change *c, const struct side *to, struct err *err)
{
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0, r;
	long long quota = to->plan.quota_us ? (long long)to->plan.quota_us : -1;

	if (to->plan.period_us)
		virTypedParamsAddULLong(
			&params, &n, &max, VIR_DOMAIN_SCHEDULER_GLOBAL_PERIOD, to->plan.period_us);
	virTypedParamsAddLLong(&params, &n, &max, VIR_DOMAIN_SCHEDULER_GLOBAL_QUOTA, quota);
	r = virDomainSetSchedulerParametersFlags(c->guest->domain, params, n, LIVE);
	virTypedParamsFree(params, n);
	return result(r, err, "limits.cpus");
}

/* Has its kernel use so many, where an agent helps: at once, or when it has noticed them. */
static void use_vcpus(const struct change *c, unsigned n)
{
	int64_t end = within(c, NOTICE_MS);

	if (!c->machine.agent || !c->runs)
		return;
	virDomainAgentSetResponseTimeout(c->guest->domain, AGENT_S, 0);
	while (virDomainSetVcpusFlags(c->guest->domain, n, LIVE | VIR_DOMAIN_VCPU_GUEST) < 0)
		if (!pause_until(end)) {
			tell_unheard(c, "processors");
			return;
		}
}

/* Its kernel has to let go of them. When it does not, the quota holds all the same. Emulated ones
 * are not unplugged: QEMU 7.2 dies of that. */
static void unplug(const struct change *c, unsigned n)
{
	if (c->machine.accelerated && c->runs)
		(void)virDomainSetVcpusFlags(c->guest->domain, n, LIVE);
}

static int apply_vcpus(struct change *c, const struct side *to, struct err *err)
{
	int now = virDomainGetVcpusFlags(c->guest->domain, LIVE);
	int max = virDomainGetVcpusFlags(c->guest->domain, LIVE | VIR_DOMAIN_VCPU_MAXIMUM);
	unsigned n = to->plan.vcpus;
	int r = 0;

	if (now < 0 || max < 0)
		return result(-1, err, "limits.cpus");
	if (n > (unsigned)max)
		n = (unsigned)max;
	if (n > (unsigned)now)
		r = virDomainSetVcpusFlags(c->guest->domain, n, LIVE);
	if (r < 0)
		return result(r, err, "limits.cpus");
	use_vcpus(c, n);
	if (n < (unsigned)now)
		unplug(c, n);
	return 0;
}

/* --- Memory ----------------------------------------------------------------------------------- */

static uint64_t tag(const virDomainMemoryStatStruct *stats, int n, int tag)
{
	for (int i = 0; i < n; i++)
		if (stats[i].tag == tag)
			return stats[i].val;
	return 0;
}

static uint64_t told_at(const struct change *c)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int n = virDomainMemoryStats(c->guest->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);

	return tag(stats, n, VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE);
}

/* The guest tells every few seconds what it uses, and at once when it is asked to begin with that;
 * of when it did so libvirt knows the second. */
static void refresh(const struct change *c)
{
	uint64_t before = told_at(c), asked;
	int64_t end = within(c, REFRESH_MS);

	if (before == 0 || !c->runs)
		return;
	while ((uint64_t)clock_realtime_ms() / 1000 <= before && pause_until(end))
		;
	asked = (uint64_t)clock_realtime_ms() / 1000;
	virDomainSetMemoryStatsPeriod(c->guest->domain, 0, LIVE);
	virDomainSetMemoryStatsPeriod(c->guest->domain, LIMITS_BALLOON_PERIOD_S, LIVE);
	while (told_at(c) < asked && pause_until(end))
		;
}

static int look_at_memory(struct change *c, struct limits_memory *ret, struct err *err)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int n = virDomainMemoryStats(c->guest->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
	uint64_t given;
	virDomainInfo info;

	if (n < 0 && connect_errnum() == VIR_ERR_NO_SUPPORT)
		n = 0;
	if (n < 0 || virDomainGetInfo(c->guest->domain, &info) < 0)
		return failed(err, "limits.memory");
	given = tag(stats, n, VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON);
	*ret = (struct limits_memory){
		.total_kib = info.maxMem,
		.max_kib = c->machine.memory_max_kib,
		.slots_free = c->machine.slots_free,
		.given_kib = given ? given : info.memory,
		.usable_kib = tag(stats, n, VIR_DOMAIN_MEMORY_STAT_USABLE),
		.known = tag(stats, n, VIR_DOMAIN_MEMORY_STAT_USABLE) > 0,
	};
	return 0;
}

static int plug_memory(struct change *c, struct err *err)
{
	char xml[256];
	bool agent = c->machine.agent && c->runs;
	size_t blocks = agent ? count_blocks(c) : 0;
	int64_t end = within(c, NOTICE_MS);

	snprintf(xml, sizeof(xml),
		"<memory model='dimm'><target><size unit='KiB'>%llu</size><node>0</node></target>"
		"</memory>",
		(unsigned long long)c->module_kib);
	if (virDomainAttachDeviceFlags(c->guest->domain, xml, LIVE) < 0)
		return failed(err, "limits.memory");
	c->module_kib = 0;
	if (blocks == 0)
		return 0;
	while (count_blocks(c) <= blocks && pause_until(end))
		;
	use_all_blocks(c);
	return 0;
}

static void await_balloon(const struct change *c, uint64_t kib)
{
	virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
	int64_t end = within(c, BALLOON_MS);
	int n;

	do {
		n = virDomainMemoryStats(c->guest->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
	} while (n > 0 && tag(stats, n, VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON) != kib &&
		 tag(stats, n, VIR_DOMAIN_MEMORY_STAT_USABLE) > 0 && c->runs && pause_until(end));
}

static int apply_memory(struct change *c, const struct side *to, struct err *err)
{
	int r = c->module_kib ? plug_memory(c, err) : 0;

	if (r < 0)
		return r;
	if (virDomainSetMemoryFlags(c->guest->domain, to->given_kib, LIVE) < 0)
		return result(-1, err, "limits.memory");
	await_balloon(c, to->given_kib);
	return 0;
}

/* --- Its disk and its name -------------------------------------------------------------------- */

static int apply_io(struct change *c, const struct side *to, struct err *err)
{
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0, r;

	if (!c->machine.disk[0])
		return 0;
	virTypedParamsAddULLong(
		&params, &n, &max, VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC, to->plan.io_read);
	virTypedParamsAddULLong(
		&params, &n, &max, VIR_DOMAIN_BLOCK_IOTUNE_WRITE_BYTES_SEC, to->plan.io_write);
	r = virDomainSetBlockIoTune(c->guest->domain, c->machine.disk, params, n, LIVE);
	virTypedParamsFree(params, n);
	return result(r, err, to->plan.io_read ? "limits.io_read" : "limits.io_write");
}

#define WEIGHT_USUAL 100

/* Not every node has a scheduler that knows weights. */
static void set_weight(virDomainPtr domain, unsigned weight)
{
	virTypedParameterPtr params = NULL;
	int n = 0, max = 0;

	virTypedParamsAddUInt(&params, &n, &max, VIR_DOMAIN_BLKIO_WEIGHT, weight);
	(void)virDomainSetBlkioParameters(domain, params, n, LIVE);
	virTypedParamsFree(params, n);
}

static int apply_weight(struct change *c, const struct side *to, struct err *err)
{
	(void)err;
	set_weight(c->guest->domain, to->plan.io_weight ? to->plan.io_weight : WEIGHT_USUAL);
	return 0;
}

static int apply_name(struct change *c, const struct side *to, struct err *err)
{
	return result(virDomainSetMetadata(c->guest->domain, VIR_DOMAIN_METADATA_TITLE,
			      to->facts->name, NULL, NULL, LIVE),
		err, "name");
}

/* --- Changes ---------------------------------------------------------------------------------- */

static bool quota_differs(const struct side *a, const struct side *b)
{
	return a->plan.quota_us != b->plan.quota_us;
}

static bool vcpus_differ(const struct side *a, const struct side *b)
{
	return a->plan.vcpus != b->plan.vcpus;
}

static bool io_differs(const struct side *a, const struct side *b)
{
	return a->plan.io_read != b->plan.io_read || a->plan.io_write != b->plan.io_write;
}

static bool weight_differs(const struct side *a, const struct side *b)
{
	return a->plan.io_weight != b->plan.io_weight;
}

static bool memory_differs(const struct side *a, const struct side *b)
{
	return a->plan.memory_kib != b->plan.memory_kib;
}

static bool name_differs(const struct side *a, const struct side *b)
{
	return strcmp(a->facts->name, b->facts->name) != 0;
}

static const struct {
	bool (*differs)(const struct side *from, const struct side *to);
	int (*apply)(struct change *change, const struct side *to, struct err *err);
} PARTS[] = {
	{quota_differs, apply_quota},
	{vcpus_differ, apply_vcpus},
	{io_differs, apply_io},
	{weight_differs, apply_weight},
	{name_differs, apply_name},
	{memory_differs, apply_memory},
};

/* Back to `from`, of the first `n` parts. */
static void take_back(struct change *c, const struct side *from, const struct side *to, size_t n)
{
	c->module_kib = 0;
	while (n-- > 0)
		if (PARTS[n].differs(from, to))
			(void)PARTS[n].apply(c, from, NULL);
}

static int apply_all(
	struct change *c, const struct side *from, const struct side *to, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
		int r = PARTS[i].differs(from, to) ? PARTS[i].apply(c, to, err) : 0;

		if (r < 0) {
			take_back(c, from, to, i + 1);
			return r;
		}
		fault_point("driver.kvm.update.part%zu", i);
	}
	return 0;
}

/* Refuses less memory than is used, before anything is changed. */
static int plan_memory(struct change *c, struct side *from, struct side *to, struct err *err)
{
	struct limits_memory now = {0};
	struct limits_memory_change change;
	int r;

	if (!memory_differs(from, to))
		return 0;
	if (to->plan.memory_kib < from->plan.memory_kib)
		refresh(c);
	r = look_at_memory(c, &now, err);
	if (r == 0)
		r = limits_memory(&now, to->plan.memory_kib, &change, err);
	if (r < 0)
		return r;
	c->module_kib = change.module_kib;
	to->given_kib = change.balloon_kib;
	from->given_kib = now.given_kib;
	return 0;
}

static struct side side_of(const struct driver_guest *facts, const struct limits_host *host)
{
	struct side side = {.facts = facts};

	limits_plan(&facts->limits, host, facts->disk->kernel ? facts->disk->cmdline : NULL,
		&side.plan);
	return side;
}

static int update_running(struct kvm_guest *g, const struct driver_guest *guest,
	const struct limits_host *host, struct err *err)
{
	struct side from = side_of(&g->definition.guest, host), to = side_of(guest, host);
	struct change c = {
		.guest = g, .runs = g->state == VIR_DOMAIN_RUNNING, .end_ns = in_ms(REACT_MS)};
	int r = machine_look(g->domain, guest->disk->path, &c.machine, err);

	if (r == 0)
		r = plan_memory(&c, &from, &to, err);
	if (r == 0)
		r = apply_all(&c, &from, &to, err);
	if (r < 0)
		return r;
	fault_point("driver.kvm.update.applied");
	r = definition_save(g->paths.definition, guest, NULL, err);
	if (r < 0)
		take_back(&c, &from, &to, ARRAY_SIZE(PARTS));
	return r;
}

int kvm_update(struct driver *d, const struct driver_guest *guest, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	struct limits_host host;
	int r = guest_connect(d, guest->id, &g, err);

	if (r == 0)
		r = start_check(guest, err);
	if (r == 0)
		r = limits_host(&host, err);
	if (r < 0)
		return r;
	return guest_is_active(&g) ? update_running(&g, guest, &host, err)
				   : definition_save(g.paths.definition, guest, NULL, err);
}

/* --- After standing still --------------------------------------------------------------------- */

/* libvirt knows of an agent only once the guest's end of the port is heard of again. */
static int look_again(struct change *c, struct err *err)
{
	int64_t end = within(c, RETURN_MS);
	int r;

	do
		r = machine_look(
			c->guest->domain, c->guest->definition.guest.disk->path, &c->machine, err);
	while (r == 0 && !c->machine.agent && pause_until(end));
	return r;
}

/* It stood still as well. */
static void set_clock(const struct change *c)
{
	int64_t end = within(c, NOTICE_MS);

	if (!c->machine.agent)
		return;
	virDomainAgentSetResponseTimeout(c->guest->domain, AGENT_S, 0);
	while (virDomainSetTime(c->guest->domain, 0, 0, VIR_DOMAIN_TIME_SYNC) < 0)
		if (connect_errnum() != VIR_ERR_AGENT_UNRESPONSIVE || !pause_until(end)) {
			tell_unheard(c, "clock");
			return;
		}
}

/* More than it can be now it becomes later. */
static void take_up_limits(struct change *c)
{
	struct limits_memory_change memory;
	struct limits_memory now = {0};
	struct limits_host host;
	struct side to;

	if (limits_host(&host, NULL) < 0 || look_at_memory(c, &now, NULL) < 0)
		return;
	to = side_of(&c->guest->definition.guest, &host);
	to.given_kib = now.given_kib;
	if (limits_memory(&now, to.plan.memory_kib, &memory, NULL) == 0) {
		c->module_kib = memory.module_kib;
		to.given_kib = memory.balloon_kib;
	}
	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++)
		(void)PARTS[i].apply(c, &to, NULL);
}

void update_after_restore(struct kvm_guest *g)
{
	struct change c = {.guest = g, .runs = true, .end_ns = in_ms(REACT_MS)};

	if (look_again(&c, NULL) < 0)
		return;
	set_clock(&c);
	take_up_limits(&c);
}

void update_after_start(const struct kvm_guest *g)
{
	struct limits_host host;
	struct side side;

	if (limits_host(&host, NULL) < 0)
		return;
	side = side_of(&g->definition.guest, &host);
	if (side.plan.io_weight)
		set_weight(g->domain, side.plan.io_weight);
}
