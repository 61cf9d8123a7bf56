/* Asks a driver what a guest is, outside of any operation, and takes the answer over. */
#include "agent/node/refresh.h"

#include <stdlib.h>
#include <string.h>

#include "agent/node/agent.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

struct refresh {
	struct agent *agent;
	uint64_t moves, tales; /* the agent's when it was asked */
	char id[GUEST_ID_LEN + 1];
};

static void refreshed(void *data, const struct driver_reply *reply)
{
	AUTOFREE struct refresh *refresh = data;
	struct guest_entry *entry = registry_by_id(refresh->agent->registry, refresh->id);

	if (!entry || entry->pending > 0)
		return;
	if (entry->moved > refresh->moves) {
		refresh_guest(refresh->agent, entry); /* an operation came between */
		return;
	}
	if (entry->told > refresh->tales)
		return; /* what was seen meanwhile is newer */
	if (reply->result == 0 && reply->statuses_count == 1) {
		entry->exit_status = reply->statuses[0].exit_status;
		agent_observe_guest(refresh->agent, entry, reply->statuses[0].state,
			reply->statuses[0].pid, NULL);
	} else if (reply->error.code == ERR_NOT_FOUND)
		agent_observe_guest(refresh->agent, entry, GUEST_STOPPED, 0, NULL);
	else if (reply->error.code != ERR_UNAVAILABLE && reply->error.code != ERR_CANCELLED)
		/* A driver that is away is waited for, see drivers.c; and the agent may be ending.
		 */
		agent_observe_guest(refresh->agent, entry, GUEST_UNKNOWN, 0, reply->error.message);
}

void refresh_guest(struct agent *agent, struct guest_entry *entry)
{
	struct agent_driver *driver = agent_driver(agent, entry->guest->driver, NULL);
	struct driver_request request = {.call = DRIVER_CALL_STATUS, .id = entry->guest->id};
	struct refresh *refresh = calloc(1, sizeof(*refresh));
	struct err err;

	if (!driver || !refresh) {
		free(refresh);
		return;
	}
	entry->stale = false;
	refresh->agent = agent;
	refresh->moves = agent->moves;
	refresh->tales = agent->tales;
	memcpy(refresh->id, entry->guest->id, sizeof(refresh->id));
	if (driver_client_call(driver->client, &request, refreshed, refresh, &err) < 0) {
		log_warning("driver.unavailable", "driver=%s error=%s", entry->guest->driver,
			LOG_Q(err.message));
		free(refresh);
	}
}
