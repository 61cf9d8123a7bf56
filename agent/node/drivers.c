/* The drivers of the node: what they report becomes the observed state of guests. */
#include "agent/node/drivers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/agent.h"
#include "agent/node/images.h"
#include "agent/node/names.h"
#include "agent/node/refresh.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* How long a driver may be away before its guests count as unknown. */
#define LOST_AFTER_US UINT64_C(3000000)
/* How long until a driver that said it is of no use is asked again. */
#define PROBE_AGAIN_US UINT64_C(2000000)

static void problem_code(const struct agent_driver *driver, char *buf, size_t size)
{
	snprintf(buf, size, "driver.%s", driver->settings->name);
}

/* --- What a guest is ------------------------------------------------------------------------- */

static void observe(struct agent *agent, const struct driver_status *status)
{
	struct guest_entry *entry = registry_by_id(agent->registry, status->id);

	if (!entry)
		return;
	entry->exit_status = status->exit_status;
	if (entry->pending == 0) {
		agent_observe_guest(agent, entry, status->state, status->pid, NULL);
		return;
	}
	/* The operation under way says what the state is, and looks again at its end. */
	entry->guest->pid = status->pid;
	entry->stale |= entry->guest->state != status->state;
	registry_refreshed(agent->registry, entry);
}

/* Operations hold guests still for moments. That one was seen so may be told when it goes on
 * already, and the operation has ended. */
static bool may_be_over(const struct guest_entry *entry, enum guest_state told)
{
	enum guest_state known = entry->guest->state;

	return entry->pending == 0 && ((told == GUEST_FROZEN && known == GUEST_RUNNING) ||
					      (told == GUEST_RUNNING && known == GUEST_FROZEN));
}

static void guest_event(void *data, const struct driver_status *status)
{
	struct agent_driver *driver = data;
	struct guest_entry *entry = registry_by_id(driver->agent->registry, status->id);

	if (entry)
		entry->told = ++driver->agent->tales;
	if (entry && may_be_over(entry, status->state))
		refresh_guest(driver->agent, entry);
	else
		observe(driver->agent, status);
}

static bool listed(const struct driver_reply *reply, const char *id)
{
	for (size_t i = 0; i < reply->statuses_count; i++)
		if (strcmp(reply->statuses[i].id, id) == 0)
			return true;
	return false;
}

/* What was listed before an operation moved the guest, and is told after its end, may not be so any
 * more: all are listed again then. What was seen to change meanwhile is known better. */
static bool is_of_now(struct agent_driver *driver, const char *id)
{
	const struct guest_entry *entry = registry_by_id(driver->agent->registry, id);
	bool now = !entry || entry->moved <= driver->listed_at;

	driver->list_again |= !now;
	return now && (!entry || entry->told <= driver->listed_tales);
}

/* Guests of this driver that it does not know: they have no definition, so they do not run. */
static void observe_undefined(struct agent_driver *driver, const struct driver_reply *reply)
{
	struct agent *agent = driver->agent;
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		struct guest_entry *entry = sorted[i];

		if (strcmp(entry->guest->driver, driver->settings->name) == 0 &&
			entry->pending == 0 && is_of_now(driver, entry->guest->id) &&
			!listed(reply, entry->guest->id))
			agent_observe_guest(agent, entry, GUEST_STOPPED, 0, NULL);
	}
}

/* What bears our mark and is not in state.db is told, not touched: it may be all that is left of a
 * guest whose record was lost. All of a driver are one problem, which goes when they are gone. */
static void tell_orphans(struct agent_driver *driver, const struct driver_reply *reply)
{
	struct agent *agent = driver->agent;
	const char *name = driver->settings->name;
	struct names orphans = {0};
	char code[64], message[320];

	/* What was listed is of now only when no operation came between. */
	if (engine_pending(agent->engine) > 0 || engine_accepted(agent->engine) != driver->accepted)
		return;
	for (size_t i = 0; i < reply->statuses_count; i++)
		if (!registry_by_id(agent->registry, reply->statuses[i].id))
			names_add(&orphans, reply->statuses[i].id);
	snprintf(code, sizeof(code), "orphan.guests.%s", name);
	if (orphans.count == 0) {
		agent_problem_gone(agent, code);
		return;
	}
	snprintf(message, sizeof(message),
		"driver %s has %zu guests that state.db does not know, left as they are: %s", name,
		orphans.count, names_end(&orphans));
	agent_problem(agent, code, message);
}

static void list(struct agent_driver *driver);

static void list_replied(void *data, const struct driver_reply *reply)
{
	struct agent_driver *driver = data;

	driver->surveyed = true;
	driver->lists--;
	if (reply->result < 0) {
		log_warning("driver.list_failed", "driver=%s error=%s", driver->settings->name,
			LOG_Q(reply->error.message));
		return;
	}
	for (size_t i = 0; i < reply->statuses_count; i++)
		if (is_of_now(driver, reply->statuses[i].id))
			observe(driver->agent, &reply->statuses[i]);
	observe_undefined(driver, reply);
	tell_orphans(driver, reply);
	if (driver->list_again && driver->lists == 0)
		list(driver);
}

/* False: there will be no reply. */
static bool call(struct agent_driver *driver, enum driver_call what, driver_reply_fn reply)
{
	struct driver_request request = {.call = what};
	char code[64];
	struct err err;

	problem_code(driver, code, sizeof(code));
	driver->accepted = engine_accepted(driver->agent->engine);
	if (driver_client_call(driver->client, &request, reply, driver, &err) < 0) {
		agent_problem(driver->agent, code, err.message);
		driver->surveyed = driver->probed = true; /* as far as it goes */
		return false;
	}
	return true;
}

static void list(struct agent_driver *driver)
{
	if (driver->lists++ == 0) {
		driver->listed_at = driver->agent->moves;
		driver->listed_tales = driver->agent->tales;
		driver->list_again = false;
	}
	if (!call(driver, DRIVER_CALL_LIST, list_replied))
		driver->lists--;
}

/* --- What it is ------------------------------------------------------------------------------ */

static void kind_setting(const struct agent_driver *driver, char *buf, size_t size)
{
	snprintf(buf, size, "driver.%s.image_kind", driver->settings->name);
}

/* Kept, so that guests can be made before it answers after a start of the node. */
static void note_kind(struct agent_driver *driver)
{
	enum image_kind kind = driver->info.image_kind;
	struct db_txn *txn;
	char key[64];

	if (driver->image_kind == kind)
		return;
	driver->image_kind = kind;
	kind_setting(driver, key, sizeof(key));
	txn = db_txn_create();
	db_put_setting(txn, key, image_kind_to_string(kind));
	agent_commit(driver->agent, txn, false, NULL, NULL);
}

static void recall_kind(struct agent_driver *driver)
{
	AUTOFREE char *text = NULL;
	char key[64];

	driver->image_kind = IMAGE_KIND_MAX_;
	kind_setting(driver, key, sizeof(key));
	if (db_get_setting(driver->agent->db, key, &text, NULL) == 0)
		image_kind_from_string(text, &driver->image_kind);
}

static void probe(struct agent_driver *driver);

static int ask_again(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent_driver *driver = data;

	(void)source;
	(void)usec;
	driver->again = sd_event_source_disable_unref(driver->again);
	probe(driver);
	return 0;
}

/* What it drives was away, say, and may come at any time. */
static void probe_later(struct agent_driver *driver)
{
	if (!driver->again)
		sd_event_add_time_relative(driver->agent->loop, &driver->again, CLOCK_MONOTONIC,
			PROBE_AGAIN_US, PROBE_AGAIN_US / 10, ask_again, driver);
}

static void note_info(struct agent_driver *driver, const struct driver_info *info)
{
	bool is_new = driver->info.name[0] == '\0' || driver->info.usable != info->usable ||
		      strcmp(driver->info.version, info->version) != 0;

	driver->info = *info;
	note_kind(driver);
	agent_changed(driver->agent);
	if (is_new)
		log_info("driver.probed", "driver=%s version=%s usable=%s", info->name,
			LOG_Q(info->version), info->usable ? "yes" : "no");
}

static void probe_replied(void *data, const struct driver_reply *reply)
{
	struct agent_driver *driver = data;
	char code[64];

	problem_code(driver, code, sizeof(code));
	driver->probed = true;
	if (reply->result < 0 || !reply->info->usable)
		probe_later(driver);
	if (reply->result < 0) {
		agent_problem(driver->agent, code, reply->error.message);
		return;
	}
	note_info(driver, reply->info);
	if (driver->info.usable)
		images_ask(driver);
	if (driver->info.usable)
		agent_problem_gone(driver->agent, code);
	else
		agent_problem(driver->agent, code, driver->info.problem);
}

static void probe(struct agent_driver *driver)
{
	call(driver, DRIVER_CALL_PROBE, probe_replied);
}

/* --- The process ----------------------------------------------------------------------------- */

static int lost(sd_event_source *source, uint64_t usec, void *data)
{
	struct agent_driver *driver = data;
	struct agent *agent = driver->agent;
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	char code[64];

	(void)source;
	(void)usec;
	driver->lost = sd_event_source_disable_unref(driver->lost);
	problem_code(driver, code, sizeof(code));
	agent_problem(agent, code, "the driver's process ended and could not be started again yet");
	for (size_t i = 0; i < count; i++)
		if (strcmp(sorted[i]->guest->driver, driver->settings->name) == 0 &&
			sorted[i]->pending == 0)
			agent_observe_guest(
				agent, sorted[i], GUEST_UNKNOWN, 0, "its driver is away");
	return 0;
}

static void state_event(void *data, bool up)
{
	struct agent_driver *driver = data;

	agent_changed(driver->agent);
	log_info("driver.state", "driver=%s up=%s", driver->settings->name, up ? "yes" : "no");
	if (up) {
		driver->lost = sd_event_source_disable_unref(driver->lost);
		probe(driver);
		list(driver);
	} else {
		driver->again = sd_event_source_disable_unref(driver->again);
	}
	if (!up && !driver->lost) {
		sd_event_add_time_relative(driver->agent->loop, &driver->lost, CLOCK_MONOTONIC,
			LOST_AFTER_US, 0, lost, driver);
	}
}

/* Guests whose driver is not configured any more: nobody can tell what they are. */
static void tell_driverless(struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	char code[64], message[160];

	for (size_t i = 0; i < count; i++) {
		const char *driver = sorted[i]->guest->driver;

		if (agent_driver(agent, driver, NULL) || sorted[i]->pending > 0)
			continue;
		snprintf(code, sizeof(code), "driver.%.40s", driver);
		snprintf(message, sizeof(message),
			"there are guests of the driver %.40s, which is not configured", driver);
		agent_problem(agent, code, message);
		agent_observe_guest(
			agent, sorted[i], GUEST_UNKNOWN, 0, "its driver is not configured");
	}
}

void drivers_survey(struct agent *agent)
{
	for (size_t i = 0; i < agent->drivers_count; i++) {
		list(&agent->drivers[i]);
		images_ask(&agent->drivers[i]);
	}
}

/* A driver that was never probed is waited for: without it no guest can be made. */
static bool is_surveyed(const struct agent_driver *driver)
{
	return driver->surveyed && (driver->probed || driver->image_kind != IMAGE_KIND_MAX_);
}

static bool all_surveyed(const struct agent *agent)
{
	for (size_t i = 0; i < agent->drivers_count; i++)
		if (!is_surveyed(&agent->drivers[i]))
			return false;
	return true;
}

void drivers_first_survey(struct agent *agent, uint64_t timeout_us)
{
	int64_t deadline = clock_monotonic_ns() / 1000 + (int64_t)timeout_us, left;

	tell_driverless(agent);
	drivers_survey(agent);
	while (!all_surveyed(agent) && (left = deadline - clock_monotonic_ns() / 1000) > 0)
		if (sd_event_run(agent->loop, (uint64_t)left) < 0)
			return;
}

static int create_one(struct agent *agent, struct agent_driver *driver,
	const struct driver_settings *settings, struct err *err)
{
	const struct config *config = agent->config;
	char state_dir[4096], run_dir[4096], log_dir[4096];
	char ssh_key[4096];
	struct driver_client_config client = {.name = settings->name, .program = settings->program};
	struct driver_client_events events = {
		.state = state_event, .guest = guest_event, .data = driver};

	snprintf(state_dir, sizeof(state_dir), "%s/drivers/%s", config->state_dir, settings->name);
	snprintf(run_dir, sizeof(run_dir), "%s/drivers/%s", config->run_dir, settings->name);
	snprintf(log_dir, sizeof(log_dir), "%s/%s", config->log_dir, settings->name);
	snprintf(ssh_key, sizeof(ssh_key), "%s/" AGENT_NODE_KEY, config->state_dir);
	client.driver = (struct driver_config){.state_dir = state_dir,
		.run_dir = run_dir,
		.log_dir = log_dir,
		.additions_dir = config->additions_dir,
		.endpoint = settings->endpoint,
		.registries = settings->registries,
		.ssh_key = ssh_key,
		.idmap_base = config->idmap.base,
		.idmap_count = config->idmap.count};
	driver->agent = agent;
	driver->settings = settings;
	driver->op_class.limit = settings->parallel;
	recall_kind(driver);
	return driver_client_create(agent->loop, &client, &events, &driver->client, err);
}

int drivers_create(struct agent *agent, struct err *err)
{
	size_t count = agent->config->drivers_count;
	int r = 0;

	agent->drivers = calloc(count ? count : 1, sizeof(*agent->drivers));
	if (!agent->drivers)
		return err_errno(err, ENOMEM, "cannot make the table of drivers");
	for (size_t i = 0; i < count && r == 0; i++) {
		r = create_one(agent, &agent->drivers[i], &agent->config->drivers[i], err);
		agent->drivers_count += r == 0;
	}
	return r;
}

void drivers_destroy(struct agent *agent)
{
	for (size_t i = 0; i < agent->drivers_count; i++) {
		sd_event_source_disable_unref(agent->drivers[i].lost);
		sd_event_source_disable_unref(agent->drivers[i].again);
		driver_client_destroy(agent->drivers[i].client);
	}
	free(agent->drivers);
	agent->drivers = NULL;
	agent->drivers_count = 0;
}
