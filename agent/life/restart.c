/* Restart policies at work: a guest that ended without having been asked to is found here, what
 * decide.c says is told and done. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/engine/engine.h"
#include "agent/life/decide.h"
#include "agent/life/internal.h"
#include "agent/node/events.h"
#include "agent/state/db.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"

/* Restarts of guests that ended together stay as far apart as chance put them. */
#define ACCURACY_US UINT64_C(5000)

static bool ended_by_itself(const struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;

	return g->state == GUEST_STOPPED && g->want_running && !g->resting;
}

static bool may_be_restarted(const struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;

	return guest->life->agent->mode != NODE_MAINTENANCE && !guest->life->agent->node_ends &&
	       guest->entry->pending == 0 &&
	       (ended_by_itself(guest) || (guest->unhealthy && g->state == GUEST_RUNNING));
}

static struct restart_decision decide(const struct life_guest *guest)
{
	const struct config *config = guest->life->agent->config;
	const struct guest *g = guest->entry->guest;
	const struct restart_times times = {.delay_ms = config->restart.delay_ms,
		.delay_max_ms = config->restart.delay_max_ms,
		.reset_ms = config->restart.reset_ms};
	struct restart_facts facts = {.policy = g->restart.policy,
		.max = g->restart.max,
		.in_row = g->restarts_in_row,
		.unhealthy = guest->unhealthy,
		.exit_status = guest->entry->exit_status,
		.ran_ms = guest->unhealthy ? clock_realtime_ms() - guest->ran_since_ms
					   : guest->ran_ms};

	random_bytes(&facts.chance, sizeof(facts.chance));
	return restart_decide(&facts, &times);
}

/* --- Telling --------------------------------------------------------------------------------- */

static void say_how(const struct life_guest *guest, char *buf, size_t size)
{
	int status = guest->entry->exit_status;

	if (guest->unhealthy)
		snprintf(buf, size, "it is unhealthy");
	else if (status < 0)
		snprintf(buf, size, "%s",
			guest->ran_ms == 0 ? "it did not start, or ended at once"
					   : "it ended by itself");
	else if (WIFSIGNALED(status))
		snprintf(buf, size, "it ended by itself: signal %d ended its init",
			WTERMSIG(status));
	else
		snprintf(buf, size, "it ended by itself: its init exited with status %d",
			WEXITSTATUS(status));
}

static void say_what(const struct life_guest *guest, const struct restart_decision *decision,
	char *buf, size_t size)
{
	char how[100];

	say_how(guest, how, sizeof(how));
	switch (decision->action) {
	case RESTART_NOT:
		snprintf(buf, size, "%s; its restart policy is never: %s it", how,
			guest->unhealthy ? "restart" : "start");
		break;
	case RESTART_SHUT_DOWN: snprintf(buf, size, "it was shut down from inside"); break;
	case RESTART_GIVE_UP:
		snprintf(buf, size,
			"%s, after %u restarts in a row: it is left alone now; when it is in "
			"order, start it",
			how, decision->in_row);
		break;
	case RESTART_LATER:
		snprintf(buf, size, "%s: it is started again (%u in a row)", how,
			decision->in_row + 1);
		break;
	}
}

static const char *const EVENTS[] = {
	[RESTART_NOT] = "guest.ended",
	[RESTART_SHUT_DOWN] = "guest.shut_down",
	[RESTART_LATER] = "guest.restarting",
	[RESTART_GIVE_UP] = "guest.restart_given_up",
};

/* What is decided, in the guest's problem and an event, in one transaction. What was told before,
 * also by an agent before this one, is not told again. */
static void record(struct life_guest *guest, const struct restart_decision *decision)
{
	struct agent *agent = guest->life->agent;
	struct guest *g = guest->entry->guest;
	bool done = decision->action == RESTART_SHUT_DOWN;
	char text[256];
	struct db_txn *txn;

	say_what(guest, decision, text, sizeof(text));
	if (g->problem && strcmp(g->problem, text) == 0)
		return;
	txn = db_txn_create();
	log_info(EVENTS[decision->action], "guest=%s status=%d in_row=%u ms=%llu why=%s", g->name,
		guest->entry->exit_status, decision->in_row, (unsigned long long)decision->delay_ms,
		LOG_Q(text));
	events_publish(agent->events, txn, EVENTS[decision->action],
		json_pack("{s:s, s:s}", "target", g->name, "message", text));
	g->restarts_in_row = decision->in_row;
	if (done)
		g->want_running = false;
	agent_set_guest_problem(agent, guest->entry, done ? NULL : text, txn);
	agent_commit(agent, txn, false, NULL, NULL);
}

static void set_given_up(struct life_guest *guest, bool given_up)
{
	if (guest->given_up == given_up)
		return;
	guest->given_up = given_up;
	life_retell(guest->life);
}

/* --- Doing ----------------------------------------------------------------------------------- */

static void start_again(struct life_guest *guest)
{
	struct agent *agent = guest->life->agent;
	struct guest *g = guest->entry->guest;
	struct op_plan plan = {0};
	struct err err;

	if (plan_guest_simple(agent, &plan, g->state == GUEST_STOPPED ? VERB_START : VERB_RESTART,
		    guest->entry, 0, &err) < 0) {
		/* Looked at again when it is seen the next time. */
		log_warning(
			"guest.not_restarted", "guest=%s error=%s", g->name, LOG_Q(err.message));
		return;
	}
	op_set_cause(plan.op, CAUSE_RESTART);
	g->restarts++;
	g->restarts_in_row++;
	guest->ran_ms = 0;
	guest->unhealthy = false;
	registry_refreshed(agent->registry, guest->entry);
	db_put_guest(plan.txn, g);
	engine_submit(agent->engine, plan.op, plan.txn);
}

static int due(sd_event_source *source, uint64_t usec, void *data)
{
	struct life_guest *guest = data;

	(void)source;
	(void)usec;
	guest->restart = sd_event_source_disable_unref(guest->restart);
	if (may_be_restarted(guest))
		start_again(guest);
	return 0;
}

/* The pause counts from the end, of which an agent before this one may have seen; the clock may
 * have been set since. */
static uint64_t left_of_pause(const struct life_guest *guest, uint64_t delay_ms)
{
	int64_t since = clock_realtime_ms() - guest->entry->guest->since_ms;

	if (guest->unhealthy || since < 0)
		return delay_ms;
	return (uint64_t)since < delay_ms ? delay_ms - (uint64_t)since : 0;
}

void restart_look(struct life_guest *guest)
{
	struct restart_decision decision;

	if (!may_be_restarted(guest)) {
		restart_forget(guest);
		set_given_up(guest, false);
		return;
	}
	decision = decide(guest);
	record(guest, &decision);
	set_given_up(guest, decision.action == RESTART_GIVE_UP);
	if (decision.action != RESTART_LATER)
		restart_forget(guest);
	else if (!guest->restart)
		sd_event_add_time_relative(guest->life->agent->loop, &guest->restart,
			CLOCK_MONOTONIC, left_of_pause(guest, decision.delay_ms) * 1000,
			ACCURACY_US, due, guest);
}

void restart_forget(struct life_guest *guest)
{
	guest->restart = sd_event_source_disable_unref(guest->restart);
}
