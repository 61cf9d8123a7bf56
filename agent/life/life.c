/* What is looked at when: see life.h. */
#include "agent/life/life.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "agent/life/internal.h"
#include "agent/node/names.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

/* --- Guests ---------------------------------------------------------------------------------- */

struct life_guest *life_guest(struct life *life, struct guest_entry *entry)
{
	const struct guest *guest = entry->guest;
	bool ran = guest->state == GUEST_RUNNING || guest->state == GUEST_FROZEN;

	if (entry->life)
		return entry->life;
	entry->life = calloc(1, sizeof(*entry->life));
	if (entry->life)
		*entry->life = (struct life_guest){.life = life,
			.entry = entry,
			.ran_since_ms = ran ? guest->since_ms : 0,
			.ran_ms = -1};
	return entry->life;
}

static void guest_forget_life(struct life_guest *guest)
{
	if (guest->noted)
		DL_DELETE(guest->life->noted, guest);
	walk_forget(guest);
	restart_forget(guest);
	health_forget(guest);
	first_boot_forget(guest);
	push_forget(guest);
	guest->entry->life = NULL;
	free(guest);
}

static void gone(struct agent *agent, struct guest_entry *entry)
{
	if (!entry->life)
		return;
	guest_forget_life(entry->life);
	life_retell(agent->life);
}

/* --- Looking --------------------------------------------------------------------------------- */

static void look_soon(struct life *life)
{
	if (life->started)
		sd_event_source_set_enabled(life->look, SD_EVENT_ONESHOT);
}

void life_note(struct life *life, struct guest_entry *entry)
{
	struct life_guest *guest = life_guest(life, entry);

	if (guest && !guest->noted) {
		guest->noted = true;
		DL_APPEND(life->noted, guest);
	}
	look_soon(life);
}

void life_note_all(struct life *life)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(life->agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		life_note(life, sorted[i]);
}

void life_retell(struct life *life)
{
	life->retell = true;
	look_soon(life);
}

static void settled(struct agent *agent, struct guest_entry *entry)
{
	life_note(agent->life, entry);
}

static void look_at(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	bool runs = g->state == GUEST_RUNNING || g->state == GUEST_FROZEN;

	if (guest->entry->pending > 0)
		return; /* its end will have it looked at again */
	if (runs && !guest->ran_since_ms) {
		guest->ran_since_ms = g->since_ms;
	} else if (g->state == GUEST_STOPPED && guest->ran_since_ms) {
		guest->ran_ms =
			g->since_ms > guest->ran_since_ms ? g->since_ms - guest->ran_since_ms : 0;
		guest->ran_since_ms = 0;
	}
	walk_look(guest);
	health_look(guest);
	first_boot_look(guest);
	push_look(guest);
	restart_look(guest);
}

/* Tells of guests that somebody has to look after. */
static void tell(struct life *life, const char *code, const char *what,
	bool (*is_so)(const struct life_guest *guest))
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(life->agent->registry, &count);
	struct names names = {0};
	char message[320];

	for (size_t i = 0; i < count; i++)
		if (sorted[i]->life && is_so(sorted[i]->life))
			names_add(&names, sorted[i]->guest->name);
	if (names.count == 0) {
		agent_problem_gone(life->agent, code);
		return;
	}
	snprintf(message, sizeof(message), "%s: %s", what, names_end(&names));
	agent_problem(life->agent, code, message);
}

static bool is_given_up(const struct life_guest *guest)
{
	return guest->given_up;
}

static bool is_not_started(const struct life_guest *guest)
{
	return guest->not_started;
}

static int look(sd_event_source *source, void *data)
{
	struct life *life = data;
	struct life_guest *guest;

	(void)source;
	while ((guest = life->noted)) {
		DL_DELETE(life->noted, guest);
		guest->noted = false;
		look_at(guest);
	}
	walks_go_on(life);
	if (life->retell) {
		life->retell = false;
		tell(life, "guests.given_up", "ended too often in a row, and left alone now",
			is_given_up);
		tell(life, "guests.not_started", "did not start with the others", is_not_started);
	}
	return 0;
}

/* --- After a boot ---------------------------------------------------------------------------- */

/* Nothing runs now. Those that ran, and are to start with the node, wait for their turn; the others
 * are stopped for good. Who rests in maintenance waits for its end. What an operation of before the
 * boot is about is left to it. */
static void note_boot(const struct agent *agent, struct guest *guest)
{
	if (guest->state != GUEST_STOPPED || !guest->want_running ||
		(guest->resting && agent->mode == NODE_MAINTENANCE))
		return;
	guest->restarts_in_row = 0;
	guest->resting = guest->autostart.on;
	guest->want_running = guest->autostart.on;
}

/* All in one transaction with the boot id: should the agent die now, the next one either sees the
 * boot, too, or the guests that are to start. */
static void boot(struct agent *agent)
{
	struct db_txn *txn = db_txn_create();
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		note_boot(agent, sorted[i]->guest);
		registry_refreshed(agent->registry, sorted[i]);
		db_put_guest(txn, sorted[i]->guest);
	}
	db_put_setting(txn, "boot_id", agent->boot_id);
	agent_commit(agent, txn, false, NULL, NULL);
}

/* --- The whole ------------------------------------------------------------------------------- */

int life_create(struct agent *agent, struct life **ret, struct err *err)
{
	struct life *life = calloc(1, sizeof(*life));
	int r = life ? sd_event_add_defer(agent->loop, &life->look, look, life) : -ENOMEM;

	if (r >= 0)
		r = sd_event_source_set_enabled(life->look, SD_EVENT_OFF);
	if (r < 0) {
		life_destroy(life);
		return err_errno(err, r, "cannot watch over guests");
	}
	life->agent = agent;
	walks_init(life);
	agent->life = life;
	agent->hooks.settled = settled;
	agent->hooks.gone = gone;
	if (agent->fresh_boot)
		boot(agent);
	push_note_node_key(agent);
	life_note_all(life);
	*ret = life;
	return 0;
}

void life_start(struct life *life)
{
	life->started = true;
	look(NULL, life);
}

void life_mode_changed(struct life *life)
{
	walks_begin_anew(life);
	life_note_all(life);
	walks_go_on(life);
}

static void forget_all(struct life *life)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(life->agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		if (sorted[i]->life)
			guest_forget_life(sorted[i]->life);
}

struct life *life_destroy(struct life *life)
{
	if (!life)
		return NULL;
	if (life->agent) {
		life->started = false;
		forget_all(life);
		walks_finish(life);
		life->agent->hooks.settled = NULL;
		life->agent->hooks.gone = NULL;
		life->agent->life = NULL;
	}
	sd_event_source_disable_unref(life->look);
	free(life);
	return NULL;
}
