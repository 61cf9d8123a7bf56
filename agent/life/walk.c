/* Walks through the guests in order, group after group: starting those that wait for it (after a
 * boot, or when maintenance ends), and bringing those that run to rest. A group is submitted at
 * once, and the engine runs as many side by side as it does of anything; the next one follows when
 * all of it have ended, well or not. Who is still to come is found anew for each group, so what
 * people do meanwhile counts. */
#include <errno.h>
#include <stdlib.h>

#include "agent/engine/engine.h"
#include "agent/life/internal.h"
#include "agent/life/order.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

struct walk_kind {
	const char *name; /* for logs */
	enum guest_verb verb;
	enum op_cause cause;
	bool backwards;
	bool (*wanted)(const struct agent *agent);
	bool (*awaits)(const struct guest_entry *entry);
	bool (*reached)(const struct guest *guest);
};

static bool wake_wanted(const struct agent *agent)
{
	return agent->mode != NODE_MAINTENANCE && !agent->node_ends;
}

/* One whose driver cannot tell what it is gets its turn when it can. */
static bool awaits_wake(const struct guest_entry *entry)
{
	return entry->guest->resting && entry->projected != GUEST_RUNNING &&
	       entry->projected != GUEST_DESTROYING && entry->guest->state != GUEST_UNKNOWN;
}

static bool is_awake(const struct guest *guest)
{
	return guest->state == GUEST_RUNNING;
}

static bool rest_wanted(const struct agent *agent)
{
	return agent->node_ends || (agent->mode == NODE_MAINTENANCE && agent->guests_rest);
}

static bool awaits_rest(const struct guest_entry *entry)
{
	return entry->projected == GUEST_RUNNING || entry->projected == GUEST_FROZEN;
}

static bool is_at_rest(const struct guest *guest)
{
	return guest->state == GUEST_STOPPED;
}

static const struct walk_kind WAKE = {.name = "wake",
	.verb = VERB_START,
	.cause = CAUSE_WAKE,
	.wanted = wake_wanted,
	.awaits = awaits_wake,
	.reached = is_awake};

static const struct walk_kind REST = {.name = "rest",
	.verb = VERB_STOP,
	.cause = CAUSE_REST,
	.backwards = true,
	.wanted = rest_wanted,
	.awaits = awaits_rest,
	.reached = is_at_rest};

/* --- Who is next ----------------------------------------------------------------------------- */

/* All that it awaits, in order; the caller frees it. NULL without memory. */
static struct order_item *collect(const struct agent *agent, const struct walk_kind *kind,
	const struct walk *untried, size_t *ret_count)
{
	size_t count, n = 0;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	struct order_item *items = calloc(count + 1, sizeof(*items));

	for (size_t i = 0; items && i < count; i++) {
		const struct guest *guest = sorted[i]->guest;

		if (!kind->awaits(sorted[i]) ||
			(untried && sorted[i]->life && sorted[i]->life->tried == untried))
			continue;
		items[n++] = (struct order_item){.order = guest->autostart.order,
			.delay_s = guest->autostart.delay_s,
			.name = guest->name,
			.data = sorted[i]};
	}
	if (items)
		order_sort(items, n, kind->backwards);
	*ret_count = n;
	return items;
}

/* --- A group --------------------------------------------------------------------------------- */

static void leave_group(struct life_guest *guest)
{
	if (guest->walk)
		guest->walk->under_way--;
	guest->walk = NULL;
}

static void join(struct walk *walk, struct life_guest *guest)
{
	leave_group(guest);
	guest->tried = guest->walk = walk;
	walk->under_way++;
}

/* It cannot even be tried: it does not wait any more. */
static void cannot(struct walk *walk, struct life_guest *guest, const struct err *err)
{
	struct agent *agent = walk->life->agent;
	struct guest *g = guest->entry->guest;
	struct db_txn *txn = db_txn_create();

	log_warning("life.not_moved", "walk=%s guest=%s error=%s", walk->kind->name, g->name,
		LOG_Q(err->message));
	walk->failed++;
	g->resting = false;
	guest->not_started = walk->kind->cause == CAUSE_WAKE;
	registry_refreshed(agent->registry, guest->entry);
	db_put_guest(txn, g);
	agent_commit(agent, txn, false, NULL, NULL);
	life_retell(walk->life);
}

static void move(struct walk *walk, struct guest_entry *entry)
{
	struct agent *agent = walk->life->agent;
	struct life_guest *guest = life_guest(walk->life, entry);
	struct op_plan plan = {0};
	struct err err;

	if (!guest)
		return;
	guest->tried = walk;
	if (plan_guest_simple(agent, &plan, walk->kind->verb, entry, 0, &err) < 0) {
		cannot(walk, guest, &err);
		return;
	}
	op_set_cause(plan.op, walk->kind->cause);
	entry->guest->resting = true;
	registry_refreshed(agent->registry, entry);
	db_put_guest(plan.txn, entry->guest);
	join(walk, guest);
	engine_submit(agent->engine, plan.op, plan.txn);
}

static void end(struct walk *walk)
{
	if (walk->walking)
		log_info("life.walk_ended", "walk=%s guests=%u failed=%u", walk->kind->name,
			walk->moved, walk->failed);
	walk->walking = false;
	walk->moved = walk->failed = 0;
}

/* False when nobody is left. */
static bool begin_group(struct walk *walk)
{
	size_t count, group;
	AUTOFREE struct order_item *items = collect(walk->life->agent, walk->kind, walk, &count);

	if (!items || count == 0)
		return false;
	group = order_group(items, count);
	walk->walking = true;
	walk->delay_s = order_delay(items, group);
	log_info("life.walk", "walk=%s order=%u guests=%zu left=%zu", walk->kind->name,
		items[0].order, group, count - group);
	for (size_t i = 0; i < group; i++)
		move(walk, items[i].data);
	return true;
}

static int paused(sd_event_source *source, uint64_t usec, void *data)
{
	struct walk *walk = data;

	(void)source;
	(void)usec;
	walk->pause = sd_event_source_disable_unref(walk->pause);
	walks_go_on(walk->life);
	return 0;
}

static void go_on(struct walk *walk)
{
	while (walk->under_way == 0 && !walk->pause) {
		if (!walk->kind->wanted(walk->life->agent) || !begin_group(walk)) {
			end(walk);
			return;
		}
	}
}

/* Also one that is not of the walk: somebody asked for its end just before. */
static bool is_being_stopped(const struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		if (sorted[i]->pending > 0 && sorted[i]->projected == GUEST_STOPPED &&
			sorted[i]->guest->state != GUEST_STOPPED)
			return true;
	return false;
}

void walks_go_on(struct life *life)
{
	go_on(&life->rest);
	go_on(&life->wake);
	if (life->agent->node_ends && !life->rest.walking && !is_being_stopped(life->agent))
		sd_event_exit(life->agent->loop, 0);
}

/* The next group waits as long as one of this group asked for; without a timer, not at all. */
static void group_ended(struct walk *walk)
{
	size_t left = 0;

	free(collect(walk->life->agent, walk->kind, walk, &left));
	if (walk->kind->cause == CAUSE_WAKE && walk->delay_s > 0 && left > 0)
		sd_event_add_time_relative(walk->life->agent->loop, &walk->pause, CLOCK_MONOTONIC,
			walk->delay_s * UINT64_C(1000000), 0, paused, walk);
}

/* It runs without having been started: it was to be stopped and is not any more, or it outlived
 * what looked like a boot. */
static void keep_running(struct life_guest *guest)
{
	struct agent *agent = guest->life->agent;
	struct db_txn *txn = db_txn_create();

	guest->entry->guest->resting = false;
	registry_refreshed(agent->registry, guest->entry);
	db_put_guest(txn, guest->entry->guest);
	agent_commit(agent, txn, false, NULL, NULL);
}

void walk_look(struct life_guest *guest)
{
	struct walk *walk = guest->walk;
	const struct guest *g = guest->entry->guest;

	if (g->resting && is_awake(g) && wake_wanted(guest->life->agent))
		keep_running(guest);
	if (g->state == GUEST_RUNNING && guest->not_started) {
		guest->not_started = false;
		life_retell(guest->life);
	}
	if (!walk)
		return;
	leave_group(guest);
	if (walk->kind->reached(g)) {
		walk->moved++;
	} else {
		walk->failed++;
		guest->not_started = walk->kind->cause == CAUSE_WAKE;
		life_retell(guest->life);
	}
	if (walk->under_way == 0)
		group_ended(walk);
}

void walk_forget(struct life_guest *guest)
{
	struct walk *walk = guest->walk;

	leave_group(guest);
	if (walk && walk->under_way == 0)
		group_ended(walk);
}

/* --- The mode -------------------------------------------------------------------------------- */

void walks_begin_anew(struct life *life)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(life->agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		if (sorted[i]->life)
			sorted[i]->life->tried = NULL;
	life->wake.pause = sd_event_source_disable_unref(life->wake.pause);
}

static bool is_on(const struct guest *guest)
{
	return guest->state != GUEST_STOPPED && guest->state != GUEST_ERROR &&
	       guest->state != GUEST_UNKNOWN && guest->state != GUEST_DESTROYING;
}

/* One that runs may yet be stopped by what is accepted, and started after that. */
static bool is_to_start(const struct guest_entry *entry)
{
	const struct guest *guest = entry->guest;

	return guest->resting && (entry->pending > 0 || (guest->state != GUEST_RUNNING &&
								guest->state != GUEST_FROZEN));
}

struct node_rest life_rest(const struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	struct node_rest rest = {.state = NODE_AWAKE};

	for (size_t i = 0; i < count; i++) {
		rest.guests += is_to_start(sorted[i]);
		rest.running += is_on(sorted[i]->guest);
	}
	if (rest_wanted(agent))
		rest.state = agent->life->rest.walking || is_being_stopped(agent) ? NODE_STOPPING
										  : NODE_RESTING;
	else if (rest.guests > 0)
		rest.state = wake_wanted(agent) ? NODE_WAKING : NODE_RESTING;
	return rest;
}

/* A new reference. */
static json_t *names(const struct agent *agent, const struct walk_kind *kind)
{
	size_t count = 0;
	AUTOFREE struct order_item *items = collect(agent, kind, NULL, &count);
	json_t *json = json_array();

	for (size_t i = 0; items && i < count; i++)
		json_array_append_new(json, json_string(items[i].name));
	return json;
}

void life_foresee(const struct agent *agent, enum node_mode mode, bool rest, json_t **ret_stop,
	json_t **ret_start)
{
	struct agent then = {.registry = agent->registry, .mode = mode, .guests_rest = rest};

	*ret_stop = rest_wanted(&then) ? names(agent, &REST) : json_array();
	*ret_start = wake_wanted(&then) ? names(agent, &WAKE) : json_array();
}

/* --- The whole ------------------------------------------------------------------------------- */

/* The group of an operation that an agent before this one has submitted goes on. */
static void resume(void *data, const struct op *op)
{
	struct life *life = data;
	enum op_cause cause = op_cause(op);
	struct walk *walk = cause == CAUSE_REST	  ? &life->rest
			    : cause == CAUSE_WAKE ? &life->wake
						  : NULL;
	struct guest_entry *entry =
		walk ? registry_by_id(life->agent->registry, op->info.guest_id) : NULL;
	struct life_guest *guest = entry ? life_guest(life, entry) : NULL;

	if (!guest)
		return;
	join(walk, guest);
	walk->walking = true;
	if (walk->delay_s < entry->guest->autostart.delay_s)
		walk->delay_s = entry->guest->autostart.delay_s;
}

void walks_init(struct life *life)
{
	life->wake = (struct walk){.life = life, .kind = &WAKE};
	life->rest = (struct walk){.life = life, .kind = &REST};
	engine_each(life->agent->engine, resume, life);
}

void walks_finish(struct life *life)
{
	sd_event_source_disable_unref(life->wake.pause);
	sd_event_source_disable_unref(life->rest.pause);
}
