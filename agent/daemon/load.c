/* Loading what should be. */
#include "agent/daemon/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/agent.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/verbs.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

/* --- Guests ---------------------------------------------------------------------------------- */

/* What a guest was when the agent ran last. After a boot nothing runs; a state on the way somewhere
 * is not known until its operation is taken up, or its driver asked. */
static enum guest_state loaded_state(const struct agent *agent, enum guest_state state)
{
	switch (state) {
	case GUEST_ERROR:
	case GUEST_CREATING:
	case GUEST_DESTROYING: return state;
	case GUEST_STOPPED:
	case GUEST_RUNNING:
	case GUEST_FROZEN: return agent->fresh_boot ? GUEST_STOPPED : state;
	default: return agent->fresh_boot ? GUEST_STOPPED : GUEST_UNKNOWN;
	}
}

static int load_guest(void *data, struct guest *guest)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct err err;

	guest->state = loaded_state(agent, guest->state);
	guest->pid = 0;
	guest->health_state = GUEST_HEALTH_NONE;
	if (guest_claim_numbers(agent, guest, &err) < 0) {
		/* Two guests with one address: served all the same, and told. */
		agent_problem(agent, "guest.numbers", err.message);
	}
	if (registry_add(agent->registry, guest, &entry, &err) < 0) {
		log_error("guest.not_loaded", "guest=%s error=%s", guest->name, LOG_Q(err.message));
		guest_free(guest);
	}
	return 0;
}

/* --- state.db -------------------------------------------------------------------------------- */

/* Compares the machine's boot id with that of the last run. */
static int read_boot_id(struct agent *agent, struct err *err)
{
	AUTOFREE char *text = NULL, *last = NULL;
	int r = file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL);

	if (r < 0)
		return err_errno(err, r, "cannot read the machine's boot id");
	snprintf(agent->boot_id, sizeof(agent->boot_id), "%.36s", text);
	r = db_get_setting(agent->db, "boot_id", &last, err);
	if (r < 0)
		return r;
	agent->fresh_boot = !last || strcmp(last, agent->boot_id) != 0;
	return 0;
}

static int read_mode(struct agent *agent, struct err *err)
{
	AUTOFREE char *mode = NULL, *guests = NULL;
	int r = db_get_setting(agent->db, "mode", &mode, err);

	if (r == 0 && mode)
		node_mode_from_string(mode, &agent->mode);
	if (r == 0)
		r = db_get_setting(agent->db, "guests", &guests, err);
	agent->guests_rest = guests && strcmp(guests, "stop") == 0;
	return r;
}

int load_state(struct agent *agent, bool salvage, struct err *err)
{
	char path[4096];
	int r = file_path(path, sizeof(path), "%s/state.db", agent->config->state_dir);

	if (r < 0)
		return err_set(err, ERR_INVALID, "state_dir", "the path is too long");
	r = db_open(agent->loop, path, salvage, &agent->db, err);
	if (r == 0)
		r = read_boot_id(agent, err);
	if (r == 0)
		r = read_mode(agent, err);
	if (r == 0)
		r = events_create(agent->db, agent->fresh_boot, &agent->events, err);
	if (r == 0)
		r = db_load_guests(agent->db, load_guest, agent, err);
	return r;
}

/* --- Operations ------------------------------------------------------------------------------ */

static int load_operation(void *data, const struct operation *info, json_t *args)
{
	struct agent *agent = data;
	struct err err;

	if (engine_resume(agent->engine, info, args, &err) < 0)
		log_error("operation.not_resumed", "op=%s error=%s", info->id, LOG_Q(err.message));
	return 0;
}

/* A guest on its way somewhere without an operation that brings it there: its journal was lost. */
static void settle_loaded(struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		enum guest_state state = sorted[i]->guest->state;

		if (sorted[i]->pending == 0 &&
			(state == GUEST_CREATING || state == GUEST_DESTROYING))
			agent_observe_guest(agent, sorted[i], GUEST_ERROR, 0,
				"the operation that it was in the middle of was lost: destroy it");
	}
}

int load_operations(struct agent *agent, struct err *err)
{
	int r = db_load_unfinished(agent->db, load_operation, agent, err);

	settle_loaded(agent);
	return r;
}
