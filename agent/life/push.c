/* What a running machine or container has yet to be given, or asked: its name and keys after a
 * change of them, and how its user data ended (guest->seed_pending, which is in state.db). It may
 * not be reachable yet, or for a long time: so it is tried again, with growing pauses, and not for
 * ever; what is left is done at its next start. Nothing waits for it. docs/first-boot.md */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "agent/life/command.h"
#include "agent/life/internal.h"
#include "agent/node/events.h"
#include "agent/seed/seed.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define PAUSE_LEAST_MS 500
#define PAUSE_MOST_MS  60000
#define PAUSE_PART     4 /* of the time that it was tried: nothing comes later than that much */
#define COMMAND_MS     UINT64_C(60000)
#define MS_NS	       INT64_C(1000000)
#define S_NS	       (1000 * MS_NS)

/* A machine that boots under software emulation, on a node that starts many at once, takes minutes;
 * a script that installs packages there takes longer. */
#define GIVE_UP_CHANGES_NS   (15 * 60 * S_NS)
#define GIVE_UP_USER_DATA_NS (2 * 60 * 60 * S_NS)

#define CHANGES (GUEST_SEED_NAME | GUEST_SEED_KEYS)

struct push {
	struct life_guest *guest;
	struct command *command; /* NULL: none is under way */
	uint32_t doing;		 /* of seed_pending */
	char *tried;		 /* the changes that were tried last, as text */
	int64_t since_ns;
	sd_event_source *timer;
	bool given_up;
};

static const char *const CHANGE[] = {"/bin/sh", "-s", NULL};

/* Not among the statuses that people choose. */
enum { STATUS_ERRORS = 252, STATUS_NO_SCRIPT, STATUS_NOT_YET };

/* What boot.sh or cloud-init has noted. */
static const char *const HOW_IT_ENDED[] = {"/bin/sh", "-c",
	"status=/etc/corpus/user-data.status result=/run/cloud-init/result.json\n"
	"if [ -f $status ] && read -r n <$status; then exit \"$n\"; fi\n"
	"if [ -f $result ]; then grep -q '\"errors\": *\\[\\]' $result || exit 252; exit 0; fi\n"
	"if [ -f /etc/corpus/user-data ] && [ ! -x /etc/corpus/user-data ]; then exit 253; fi\n"
	"exit 254",
	NULL};

static void try_now(struct push *push);

static struct seed_node node_of(const struct push *push)
{
	const struct agent *agent = push->guest->life->agent;

	return (struct seed_node){.name = agent->config->node_name, .key = agent->node_key};
}

/* --- What is known --------------------------------------------------------------------------- */

/* With an event, whose fields are taken over; NULL: none. */
static void settle(struct push *push, uint32_t parts, const char *event, json_t *fields)
{
	struct agent *agent = push->guest->life->agent;
	struct guest_entry *entry = push->guest->entry;
	struct db_txn *txn = db_txn_create();

	entry->guest->seed_pending &= ~parts;
	registry_refreshed(agent->registry, entry);
	db_put_guest(txn, entry->guest);
	if (event) {
		json_object_set_new(fields, "id", json_string(entry->guest->id));
		json_object_set_new(fields, "target", json_string(entry->guest->name));
		events_publish(agent->events, txn, event, fields);
	}
	agent_commit(agent, txn, false, NULL, NULL);
}

/* The name and keys as text: whatever else of the guest changes, these are the same. */
static char *changes_of(const struct push *push)
{
	const struct seed_node node = node_of(push);
	struct guest flat = *push->guest->entry->guest;

	flat.generation = 0;
	return seed_script(&flat, &node);
}

static bool same_changes(const struct push *push)
{
	AUTOFREE char *now = changes_of(push);

	return now && push->tried && strcmp(now, push->tried) == 0;
}

/* --- Trying again ---------------------------------------------------------------------------- */

static void give_up(struct push *push, const char *why)
{
	const struct guest *g = push->guest->entry->guest;

	push->given_up = true;
	log_warning("guest.seed_skipped", "guest=%s error=%s", g->name, LOG_Q(why));
	if (push->doing == GUEST_SEED_USER_DATA) {
		settle(push, push->doing, NULL, NULL);
		first_boot_tell(
			push->guest, json_pack("{s:s}", "message", "their end was not seen"));
	} else {
		settle(push, 0, "guest.seed_skipped",
			json_pack("{s:o, s:s}", "parts", guest_seeds_to_json(push->doing),
				"message", why));
	}
}

static int again(sd_event_source *source, uint64_t usec, void *data)
{
	struct push *push = data;

	(void)source;
	(void)usec;
	push->timer = sd_event_source_disable_unref(push->timer);
	/* The end of what is under way with the guest has it looked at. */
	if (push->guest->entry->pending == 0)
		try_now(push);
	return 0;
}

static uint64_t pause_ms(int64_t tried_ns)
{
	int64_t ms = tried_ns / MS_NS / PAUSE_PART;

	return (uint64_t)(ms < PAUSE_LEAST_MS  ? PAUSE_LEAST_MS
			  : ms > PAUSE_MOST_MS ? PAUSE_MOST_MS
					       : ms);
}

static void try_later(struct push *push, const char *why)
{
	int64_t tried = clock_monotonic_ns() - push->since_ns;
	int64_t limit =
		push->doing == GUEST_SEED_USER_DATA ? GIVE_UP_USER_DATA_NS : GIVE_UP_CHANGES_NS;

	log_debug("guest.seed_pending", "guest=%s why=%s", push->guest->entry->guest->name,
		LOG_Q(why));
	if (tried > limit) {
		give_up(push, why);
		return;
	}
	sd_event_add_time_relative(push->guest->life->agent->loop, &push->timer, CLOCK_MONOTONIC,
		pause_ms(tried) * 1000, 0, again, push);
}

static void begin_anew(struct push *push)
{
	push->timer = sd_event_source_disable_unref(push->timer);
	push->since_ns = clock_monotonic_ns();
	push->given_up = false;
}

/* --- Trying ---------------------------------------------------------------------------------- */

static void changes_ended(struct push *push, int status)
{
	char why[80];

	if (status != 0) {
		snprintf(why, sizeof(why), "not all could be written inside (wait status %d)",
			status);
		try_later(push, why);
		return;
	}
	if (same_changes(push)) {
		log_info("guest.seeded", "guest=%s", push->guest->entry->guest->name);
		settle(push, push->doing, "guest.seeded",
			json_pack("{s:o}", "parts", guest_seeds_to_json(push->doing)));
	}
	begin_anew(push);
	life_note(push->guest->life, push->guest->entry);
}

static void user_data_ended(struct push *push, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_NOT_YET;

	if (code == STATUS_NOT_YET) {
		try_later(push, "the user data have not ended");
		return;
	}
	settle(push, push->doing, NULL, NULL);
	if (code == STATUS_ERRORS)
		first_boot_tell(push->guest,
			json_pack("{s:s}", "message",
				"cloud-init tells of errors: see /run/cloud-init/result.json in "
				"the guest"));
	else if (code != STATUS_NO_SCRIPT)
		first_boot_tell_end(push->guest, status);
	life_note(push->guest->life, push->guest->entry);
}

static void ended(void *data, const int *status, const struct err *err)
{
	struct push *push = data;

	push->command = NULL;
	if (!status && err->code == ERR_NOT_FOUND && push->guest->entry->guest->container)
		give_up(push, err->message); /* its image has no shell, and will not get one */
	else if (!status)
		try_later(push, err->message);
	else if (push->doing == GUEST_SEED_USER_DATA)
		user_data_ended(push, *status);
	else
		changes_ended(push, *status);
}

static void try_now(struct push *push)
{
	const struct guest *g = push->guest->entry->guest;
	const struct seed_node node = node_of(push);
	AUTOFREE char *script = NULL;
	struct command_wanted wanted = {
		.argv = HOW_IT_ENDED, .timeout_ms = COMMAND_MS, .ended = ended, .data = push};
	struct err err;

	push->doing = g->seed_pending & CHANGES ? g->seed_pending & CHANGES : g->seed_pending;
	if (push->doing != GUEST_SEED_USER_DATA) {
		free(push->tried);
		push->tried = changes_of(push);
		wanted.argv = CHANGE;
		wanted.input = script = seed_script(g, &node);
		if (!script)
			return;
	}
	if (command_start(push->guest->life->agent, g, &wanted, &push->command, &err) < 0)
		try_later(push, err.message);
}

void push_look(struct life_guest *guest)
{
	const struct guest *g = guest->entry->guest;
	struct push *push = guest->push;

	if (g->state != GUEST_RUNNING || !g->seed_pending) {
		push_forget(guest);
		return;
	}
	if (!push) {
		push = calloc(1, sizeof(*push));
		if (!push)
			return;
		push->guest = guest;
		guest->push = push;
		begin_anew(push);
	} else if (push->command) {
		return;
	} else if (g->seed_pending & CHANGES && !same_changes(push)) {
		begin_anew(push);
	}
	if (!push->given_up && !push->timer)
		try_now(push);
}

void push_forget(struct life_guest *guest)
{
	struct push *push = guest->push;

	if (!push)
		return;
	guest->push = NULL;
	command_cancel(push->command);
	sd_event_source_disable_unref(push->timer);
	free(push->tried);
	free(push);
}

/* --- The node's key -------------------------------------------------------------------------- */

void push_note_node_key(struct agent *agent)
{
	AUTOFREE char *known = NULL;
	struct db_txn *txn;
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	if (db_get_setting(agent->db, "node_key", &known, NULL) < 0 || !agent->node_key ||
		(known && strcmp(known, agent->node_key) == 0))
		return;
	txn = db_txn_create();
	for (size_t i = 0; i < count; i++) {
		if (!sorted[i]->guest->disk)
			continue;
		guest_note_seed(sorted[i]->guest, GUEST_SEED_KEYS);
		registry_changed(agent->registry, sorted[i]);
		db_put_guest(txn, sorted[i]->guest);
	}
	db_put_setting(txn, "node_key", agent->node_key);
	agent_commit(agent, txn, false, NULL, NULL);
}
