/* Health checks: when each guest is looked at, and what follows from how that goes. The first look
 * at a guest comes at a moment that chance chooses within its interval, so those of many are
 * spread; of all that are due at once only so many run side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "agent/life/check.h"
#include "agent/life/internal.h"
#include "agent/node/events.h"
#include "agent/state/db.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/random.h"

/* While a guest starts it is looked at more often: what works should be known soon. */
#define STARTING_INTERVAL_MS UINT64_C(1000)

struct health {
	struct life_guest *guest;
	struct guest_health spec; /* what it is checked by */
	int64_t since_ms;	  /* of the guest's running that is checked */
	unsigned failures;	  /* in a row */
	sd_event_source *timer;
	struct check *check; /* under way */
	bool due;
	struct health *next, *prev;
};

static void run_due(struct life *life);

/* --- What is known --------------------------------------------------------------------------- */

static void set_state(struct life_guest *guest, enum guest_health_state state, const char *why)
{
	struct agent *agent = guest->life->agent;
	struct guest *g = guest->entry->guest;
	const char *before = guest_health_to_string(g->health_state);
	struct db_txn *txn;

	if (g->health_state == state)
		return;
	g->health_state = state;
	registry_refreshed(agent->registry, guest->entry);
	log_info("guest.health", "guest=%s was=%s is=%s why=%s", g->name, before,
		guest_health_to_string(state), LOG_Q(why ? why : ""));
	txn = db_txn_create();
	events_publish(agent->events, txn, "guest.health",
		json_pack("{s:s, s:s, s:s, s:s*}", "target", g->name, "state",
			guest_health_to_string(state), "previous", before, "message", why));
	if (state == GUEST_HEALTH_UNHEALTHY || (state == GUEST_HEALTH_HEALTHY && g->problem))
		agent_set_guest_problem(
			agent, guest->entry, state == GUEST_HEALTH_UNHEALTHY ? why : NULL, txn);
	agent_commit(agent, txn, false, NULL, NULL);
}

static void set_unhealthy(struct life_guest *guest, bool unhealthy)
{
	if (guest->unhealthy == unhealthy)
		return;
	guest->unhealthy = unhealthy;
	life_note(guest->life, guest->entry);
}

static void went_well(struct health *health)
{
	health->failures = 0;
	set_state(health->guest, GUEST_HEALTH_HEALTHY, NULL);
	set_unhealthy(health->guest, false);
}

static void went_badly(struct health *health, const char *why)
{
	const struct guest *g = health->guest->entry->guest;
	int64_t age_s = (clock_realtime_ms() - health->since_ms) / 1000;
	char text[CHECK_WHY_MAX + 40];

	log_debug("health.failed", "guest=%s why=%s", g->name, LOG_Q(why));
	if (g->health_state == GUEST_HEALTH_STARTING && age_s < (int64_t)guest_health_grace(g))
		return;
	if (++health->failures < health->spec.retries)
		return;
	snprintf(text, sizeof(text), "unhealthy: %.*s", CHECK_WHY_MAX, why);
	set_state(health->guest, GUEST_HEALTH_UNHEALTHY, text);
	if (health->spec.restart)
		set_unhealthy(health->guest, true);
}

/* --- Looking --------------------------------------------------------------------------------- */

static int due(sd_event_source *source, uint64_t usec, void *data)
{
	struct health *health = data;
	struct life *life = health->guest->life;

	(void)source;
	(void)usec;
	health->timer = sd_event_source_disable_unref(health->timer);
	health->due = true;
	DL_APPEND(life->checks_due, health);
	run_due(life);
	return 0;
}

static uint64_t interval_ms(const struct health *health)
{
	uint64_t ms = health->spec.interval_s * UINT64_C(1000);
	bool starts = health->guest->entry->guest->health_state == GUEST_HEALTH_STARTING;

	return starts && ms > STARTING_INTERVAL_MS ? STARTING_INTERVAL_MS : ms;
}

static void look_in(struct health *health, uint64_t ms)
{
	sd_event_add_time_relative(health->guest->life->agent->loop, &health->timer,
		CLOCK_MONOTONIC, ms * 1000, 0, due, health);
}

/* Of a guest that is being stopped, or is not there any more, the answer means nothing. */
static void conclude(struct health *health, const char *why)
{
	const struct guest_entry *entry = health->guest->entry;

	health->check = NULL;
	health->guest->life->checks_under_way--;
	if (entry->guest->state == GUEST_RUNNING && entry->guest->since_ms == health->since_ms) {
		if (why)
			went_badly(health, why);
		else
			went_well(health);
	}
	look_in(health, interval_ms(health));
}

static void checked(void *data, const char *why)
{
	struct health *health = data;
	struct life *life = health->guest->life;

	conclude(health, why);
	run_due(life);
}

static void check_now(struct health *health)
{
	struct life *life = health->guest->life;
	struct err err;

	life->checks_under_way++;
	if (check_start(life->agent, health->guest->entry->guest, checked, health, &health->check,
		    &err) < 0)
		conclude(health, err.message);
}

static void run_due(struct life *life)
{
	struct health *health;

	while ((health = life->checks_due) &&
		life->checks_under_way < life->agent->config->health_parallel) {
		DL_DELETE(life->checks_due, health);
		health->due = false;
		check_now(health);
	}
}

/* --- Which guests ---------------------------------------------------------------------------- */

void health_forget(struct life_guest *guest)
{
	struct health *health = guest->health;

	if (!health)
		return;
	guest->health = NULL;
	guest->unhealthy = false;
	if (health->due)
		DL_DELETE(guest->life->checks_due, health);
	if (health->check)
		guest->life->checks_under_way--;
	check_cancel(health->check);
	sd_event_source_disable_unref(health->timer);
	guest_health_finish(&health->spec);
	free(health);
}

static void begin(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	struct health *health = calloc(1, sizeof(*health));
	uint16_t chance;

	if (!health)
		return;
	*health = (struct health){.guest = guest, .since_ms = g->since_ms};
	guest->health = health;
	if (!guest_health_copy(&health->spec, &g->health)) {
		health_forget(guest);
		return;
	}
	set_state(guest, GUEST_HEALTH_STARTING, NULL);
	random_bytes(&chance, sizeof(chance));
	look_in(health, interval_ms(health) * chance / UINT16_MAX);
}

static bool as_before(const struct life_guest *guest, bool wanted)
{
	const struct health *health = guest->health;
	const struct guest *g = guest->entry->guest;

	if (!health)
		return !wanted;
	return wanted && health->since_ms == g->since_ms &&
	       guest_health_equal(&health->spec, &g->health);
}

void health_look(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	bool wanted = g->state == GUEST_RUNNING && g->health.check != GUEST_CHECK_NONE;

	if (as_before(guest, wanted))
		return;
	health_forget(guest);
	if (wanted)
		begin(guest);
	else if (g->state == GUEST_RUNNING)
		set_state(guest, GUEST_HEALTH_NONE, NULL);
	run_due(guest->life);
}
