/* A guest's life after creation: start, stop, restart, kill, freeze, thaw, destroy. */
#include <errno.h>

#include "agent/config/config.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/internal.h"
#include "agent/ops/task.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"

/* Each start defines the guest anew: what was changed while it was stopped is taken up, and a
 * definition that was lost comes back. */
static const struct step START_STEPS[] = {
	{"define", step_define, NULL},
	{"start", step_start, step_kill},
	{"link", step_link, NULL},
};

const struct op_verb GUEST_START = {
	.name = "guest.start",
	.steps = START_STEPS,
	.steps_count = ARRAY_SIZE(START_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step STOP_STEPS[] = {{"stop", step_stop, NULL}};

const struct op_verb GUEST_STOP = {
	.name = "guest.stop",
	.steps = STOP_STEPS,
	.steps_count = ARRAY_SIZE(STOP_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step RESTART_STEPS[] = {
	{"stop", step_stop, NULL},
	{"define", step_define, NULL},
	{"start", step_start, step_kill},
	{"link", step_link, NULL},
};

const struct op_verb GUEST_RESTART = {
	.name = "guest.restart",
	.steps = RESTART_STEPS,
	.steps_count = ARRAY_SIZE(RESTART_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step KILL_STEPS[] = {{"kill", step_kill, NULL}};

const struct op_verb GUEST_KILL = {
	.name = "guest.kill",
	.steps = KILL_STEPS,
	.steps_count = ARRAY_SIZE(KILL_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

/* One that was not frozen in time goes on. */
static const struct step FREEZE_STEPS[] = {{"freeze", step_freeze, step_thaw}};

const struct op_verb GUEST_FREEZE = {
	.name = "guest.freeze",
	.steps = FREEZE_STEPS,
	.steps_count = ARRAY_SIZE(FREEZE_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static const struct step THAW_STEPS[] = {{"thaw", step_thaw, NULL}};

const struct op_verb GUEST_THAW = {
	.name = "guest.thaw",
	.steps = THAW_STEPS,
	.steps_count = ARRAY_SIZE(THAW_STEPS),
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = op_state_end,
	.reject = op_guest_reject,
};

static void destroy_end(struct op *op, struct db_txn *txn)
{
	struct guest_entry *entry = op_guest(op);

	if (!entry)
		return;
	if (op->info.state == OPERATION_DONE)
		guest_gone(op->agent, entry, txn);
	else
		op_guest_failed(op, entry, txn);
}

static const struct step DESTROY_STEPS[] = {
	{"unpublish", step_unpublish_all, NULL},
	{"undefine", step_end, NULL},
	{"volume", step_remove_volume, NULL},
};

const struct op_verb GUEST_DESTROY = {
	.name = "guest.destroy",
	.steps = DESTROY_STEPS,
	.steps_count = ARRAY_SIZE(DESTROY_STEPS),
	.forward_only = true,
	.restore = op_guest_restore,
	.begin = op_state_begin,
	.end = destroy_end,
	.reject = op_guest_reject,
};

static const struct op_verb *const SIMPLE[VERB_MAX_] = {
	[VERB_START] = &GUEST_START,
	[VERB_STOP] = &GUEST_STOP,
	[VERB_RESTART] = &GUEST_RESTART,
	[VERB_KILL] = &GUEST_KILL,
	[VERB_DESTROY] = &GUEST_DESTROY,
	[VERB_FREEZE] = &GUEST_FREEZE,
	[VERB_THAW] = &GUEST_THAW,
};

/* A driver that was not asked yet is taken at its word when the turn comes. */
static int check_driver(
	struct agent *agent, enum guest_verb verb, const struct guest *guest, struct err *err)
{
	const struct agent_driver *driver = agent_driver(agent, guest->driver, NULL);

	if ((verb != VERB_FREEZE && verb != VERB_THAW) || !driver || !driver->info.name[0] ||
		driver->info.capabilities & DRIVER_CAN_FREEZE)
		return 0;
	return err_set(err, ERR_UNSUPPORTED, NULL, "driver %s cannot %s guests", guest->driver,
		guest_verb_to_string(verb));
}

int plan_guest_simple(struct agent *agent, struct op_plan *plan, enum guest_verb verb,
	struct guest_entry *entry, uint64_t timeout_ms, struct err *err)
{
	uint64_t timeout = timeout_ms ? timeout_ms : agent->config->stop_timeout_ms;
	enum guest_state after = guest_verb_after(verb);
	int r = guest_verb_check(verb, entry->projected, entry->guest->name, err);

	if (r == 0)
		r = check_driver(agent, verb, entry->guest, err);
	if (r < 0)
		return r;
	r = op_plan_guest(agent, plan, SIMPLE[verb], entry,
		json_pack("{s:I}", "timeout_ms", (json_int_t)timeout), err);
	if (r < 0)
		return r;
	entry->projected = verb == VERB_DESTROY ? GUEST_DESTROYING : after;
	return 0;
}
