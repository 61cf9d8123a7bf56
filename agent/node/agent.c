/* What the parts of the agent share: commits, the states of guests, problems. */
#include "agent/node/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "agent/audit/audit.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* --- Commits --------------------------------------------------------------------------------- */

struct commit {
	struct agent *agent;
	uint64_t after, newest; /* the events in this transaction */
	void (*done)(void *data, int r, const struct err *err);
	void *data;
};

static void committed(void *data, int r, const struct err *err)
{
	AUTOFREE struct commit *commit = data;

	if (r < 0)
		events_dropped(commit->agent->events, commit->after, commit->newest);
	else
		events_committed(commit->agent->events, commit->newest);
	if (commit->done)
		commit->done(commit->data, r, err);
	else if (r < 0)
		log_error("state.not_written", "error=%s", LOG_Q(err->message));
}

void agent_commit(void *data, struct db_txn *txn, bool durable,
	void (*done)(void *data, int r, const struct err *err), void *done_data)
{
	struct agent *agent = data;
	struct commit *commit = calloc(1, sizeof(*commit));

	if (!commit) {
		struct err err;
		int r = err_errno(&err, ENOMEM, "cannot commit");

		db_txn_abandon(txn);
		if (done)
			done(done_data, r, &err);
		return;
	}
	*commit = (struct commit){.agent = agent,
		.after = agent->events_submitted,
		.newest = events_newest(agent->events),
		.done = done,
		.data = done_data};
	agent->events_submitted = commit->newest;
	db_submit(agent->db, txn, durable, committed, commit);
}

static const char *operation_event(enum operation_state state)
{
	if (state == OPERATION_QUEUED)
		return "operation.accepted";
	return operation_state_is_final(state) ? "operation.ended" : "operation.step";
}

void agent_audit(struct agent *agent, json_t *record)
{
	struct err err;

	if (!agent->audit) {
		json_decref(record);
	} else if (audit_write(agent->audit, record, &err) < 0) {
		log_error("audit.not_written", "error=%s", LOG_Q(err.message));
		agent_problem(agent, "audit", err.message);
	} else {
		agent_problem_gone(agent, "audit");
	}
}

/* What came of it; the record of the request says who asked. */
static void audit_end(struct agent *agent, const struct op *op)
{
	const struct err *error = &op->info.error;
	json_t *record = json_pack("{s:s, s:s, s:s, s:s, s:s}", "event", "end", "operation",
		op->info.id, "verb", op->info.verb, "target", op->info.target, "result",
		operation_state_to_string(op->info.state));

	if (error->code != ERR_OK) {
		json_object_set_new(record, "code", json_string(err_code_to_string(error->code)));
		json_object_set_new(record, "message", json_string(error->message));
	}
	agent_audit(agent, record);
}

void agent_operation_changed(void *data, const struct op *op, struct db_txn *txn)
{
	struct agent *agent = data;
	json_t *fields;

	agent_changed(agent);
	if (operation_state_is_final(op->info.state))
		audit_end(agent, op);
	fields = json_pack("{s:s, s:s, s:s, s:s}", "operation", op->info.id, "verb", op->info.verb,
		"target", op->info.target, "state", operation_state_to_string(op->info.state));

	if (op->info.step[0])
		json_object_set_new(fields, "step", json_string(op->info.step));
	if (op->info.error.code != ERR_OK)
		json_object_set_new(fields, "message", json_string(op->info.error.message));
	events_publish(agent->events, txn, operation_event(op->info.state), fields);
}

static void put_guest_as_it_is(struct agent *agent, const char *id, struct db_txn *txn)
{
	struct guest_entry *entry = registry_by_id(agent->registry, id);

	if (entry)
		db_put_guest(txn, entry->guest);
	else
		db_delete_guest(txn, id);
}

void agent_operation_rows(void *data, const struct op *op, struct db_txn *txn)
{
	struct agent *agent = data;
	const char *from = json_string_value(json_object_get(op->args, "from"));

	if (op->info.guest_id[0])
		put_guest_as_it_is(agent, op->info.guest_id, txn);
	if (from && strlen(from) == GUEST_ID_LEN)
		put_guest_as_it_is(agent, from, txn);
}

/* --- States of guests ------------------------------------------------------------------------ */

void agent_set_guest_state(struct agent *agent, struct guest_entry *entry, enum guest_state state,
	const char *problem, struct db_txn *txn)
{
	struct guest *guest = entry->guest;
	json_t *fields;

	if (guest->state == state && !problem && !guest->problem)
		return;
	fields = json_pack("{s:s, s:s, s:s, s:s*}", "target", guest->name, "state",
		guest_state_to_string(state), "previous", guest_state_to_string(guest->state),
		"message", problem);
	guest->state = state;
	guest->since_ms = clock_realtime_ms();
	if (state == GUEST_STOPPED)
		guest->pid = 0;
	if (state == GUEST_STOPPED && guest_drop_changes(guest))
		db_put_guest(txn, guest);
	if (state != GUEST_RUNNING)
		guest->health_state = GUEST_HEALTH_NONE;
	free(guest->problem);
	guest->problem = problem ? strdup(problem) : NULL;
	registry_changed(agent->registry, entry);
	events_publish(agent->events, txn, "guest.state", fields);
}

void agent_set_guest_problem(
	struct agent *agent, struct guest_entry *entry, const char *problem, struct db_txn *txn)
{
	struct guest *guest = entry->guest;

	free(guest->problem);
	guest->problem = problem ? strdup(problem) : NULL;
	registry_refreshed(agent->registry, entry);
	db_put_guest(txn, guest);
}

void agent_guest_settled(struct agent *agent, struct guest_entry *entry)
{
	if (agent->hooks.settled)
		agent->hooks.settled(agent, entry);
}

void agent_observe_guest(struct agent *agent, struct guest_entry *entry, enum guest_state state,
	pid_t pid, const char *problem)
{
	struct guest *guest = entry->guest;
	struct db_txn *txn;

	agent_guest_settled(agent, entry);
	/* At rest does not mean in order again: that is for a verb to reach. */
	if (guest->state == GUEST_ERROR && state != GUEST_RUNNING)
		return;
	entry->projected = state;
	if (guest->state == state && guest->pid == pid)
		return;
	log_info("guest.observed", "guest=%s was=%s is=%s pid=%d", guest->name,
		guest_state_to_string(guest->state), guest_state_to_string(state), pid);
	if (state == GUEST_RUNNING && guest->pid != pid && agent->hooks.rebooted)
		agent->hooks.rebooted(agent);
	guest->pid = pid;
	registry_refreshed(agent->registry, entry);
	if (guest->state == state)
		return;
	txn = db_txn_create();
	agent_set_guest_state(agent, entry, state, problem, txn);
	agent_commit(agent, txn, false, NULL, NULL);
}

/* --- Problems -------------------------------------------------------------------------------- */

static struct agent_problem *find_problem(struct agent *agent, const char *code)
{
	for (size_t i = 0; i < agent->problems_count; i++)
		if (strcmp(agent->problems[i].code, code) == 0)
			return &agent->problems[i];
	return NULL;
}

void agent_problem(struct agent *agent, const char *code, const char *message)
{
	struct agent_problem *problem = find_problem(agent, code);
	struct db_txn *txn;

	if (problem && strcmp(problem->message, message) == 0)
		return;
	if (!problem && agent->problems_count == AGENT_PROBLEMS_MAX)
		return;
	if (!problem) {
		problem = &agent->problems[agent->problems_count++];
		problem->since_ms = clock_realtime_ms();
	}
	snprintf(problem->code, sizeof(problem->code), "%s", code);
	snprintf(problem->message, sizeof(problem->message), "%s", message);
	agent_changed(agent);
	log_warning("node.problem", "code=%s message=%s", code, LOG_Q(message));
	txn = db_txn_create();
	events_publish(agent->events, txn, "node.problem",
		json_pack("{s:s, s:s}", "code", code, "message", message));
	agent_commit(agent, txn, false, NULL, NULL);
}

void agent_problem_gone(struct agent *agent, const char *code)
{
	struct agent_problem *problem = find_problem(agent, code);
	size_t i;

	if (!problem)
		return;
	agent_changed(agent);
	log_info("node.problem_gone", "code=%s", code);
	i = (size_t)(problem - agent->problems);
	agent->problems_count--;
	memmove(problem, problem + 1, (agent->problems_count - i) * sizeof(*problem));
}

/* --- What was rendered ----------------------------------------------------------------------- */

void agent_changed(struct agent *agent)
{
	agent->version++;
}

static uint64_t version_of(const struct agent *agent)
{
	return agent->version + registry_version(agent->registry);
}

bool agent_text_is_fresh(
	const struct agent *agent, const struct agent_text *text, int64_t max_age_ns)
{
	return text->text && text->version == version_of(agent) &&
	       clock_monotonic_ns() - text->made_ns < max_age_ns;
}

int agent_text_set(const struct agent *agent, struct agent_text *text, json_t *json)
{
	char *rendered = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;

	json_decref(json);
	if (!rendered)
		return -ENOMEM;
	free(text->text);
	*text = (struct agent_text){.text = rendered,
		.size = strlen(rendered),
		.version = version_of(agent),
		.made_ns = clock_monotonic_ns()};
	return 0;
}

/* --- Look-ups -------------------------------------------------------------------------------- */

struct agent_driver *agent_driver(struct agent *agent, const char *name, struct err *err)
{
	for (size_t i = 0; i < agent->drivers_count; i++)
		if (strcmp(agent->drivers[i].settings->name, name) == 0)
			return &agent->drivers[i];
	err_set(err, ERR_INVALID, "driver", "this node has no driver %s configured", name);
	return NULL;
}

struct net_guest agent_net_guest(const struct guest *guest)
{
	struct net_guest facts = {.id = guest->id,
		.name = guest->name,
		.address = guest->address,
		.ingress = guest->limits.net_ingress,
		.egress = guest->limits.net_egress};

	memcpy(facts.mac, guest->mac, sizeof(facts.mac));
	return facts;
}

/* Docker's own rule: a name without tag or digest means the tag "latest". */
static bool means(const struct image *image, const char *name)
{
	size_t length = strlen(name);
	const char *slash = strrchr(name, '/');

	if (strcmp(image->name, name) == 0)
		return true;
	return image->kind == IMAGE_OCI && !strpbrk(slash ? slash : name, ":@") &&
	       strncmp(image->name, name, length) == 0 &&
	       strcmp(image->name + length, ":latest") == 0;
}

struct image *agent_image(struct agent *agent, enum image_kind kind, const char *name)
{
	for (size_t i = 0; i < agent->images_count; i++)
		if (agent->images[i].kind == kind && means(&agent->images[i], name))
			return &agent->images[i];
	return NULL;
}

int agent_driver_kind(const struct agent_driver *driver, enum image_kind *ret, struct err *err)
{
	if (driver->image_kind < IMAGE_KIND_MAX_) {
		*ret = driver->image_kind;
		return 0;
	}
	return err_set(err, ERR_UNAVAILABLE, "driver",
		"driver %s has not answered since it was configured, so that its kind of images is "
		"not known: try again in some seconds, or see the node's problems in /v1/node",
		driver->settings->name);
}

static void no_image_driver(const struct agent *agent, struct err *err)
{
	enum image_kind kind;

	for (size_t i = 0; i < agent->drivers_count; i++)
		if (agent_driver_kind(&agent->drivers[i], &kind, err) < 0)
			return;
	err_set(err, ERR_UNSUPPORTED, "kind",
		"no driver of this node takes images of the kind oci");
}

static struct agent_driver *only_image_driver(struct agent *agent, struct err *err)
{
	struct agent_driver *found = NULL;

	for (size_t i = 0; i < agent->drivers_count; i++) {
		if (agent->drivers[i].image_kind != IMAGE_OCI)
			continue;
		if (found) {
			err_set(err, ERR_INVALID, "driver",
				"several drivers of this node keep images: say which by driver");
			return NULL;
		}
		found = &agent->drivers[i];
	}
	if (!found)
		no_image_driver(agent, err);
	return found;
}

struct agent_driver *agent_image_driver(struct agent *agent, const char *name, struct err *err)
{
	struct agent_driver *driver =
		name ? agent_driver(agent, name, err) : only_image_driver(agent, err);

	enum image_kind kind;

	if (!driver || agent_driver_kind(driver, &kind, err) < 0)
		return NULL;
	if (kind == IMAGE_OCI)
		return driver;
	err_set(err, ERR_INVALID, "driver", "driver %s does not take images of the kind oci", name);
	return NULL;
}

#define SLOT_MEMORY (UINT64_C(512) << 20)

uint32_t agent_slots_total(const struct agent *agent)
{
	struct sysinfo info;
	uint64_t slots;

	if (agent->config->slots)
		return agent->config->slots;
	if (sysinfo(&info) < 0)
		return 1;
	slots = (uint64_t)info.totalram * info.mem_unit / SLOT_MEMORY;
	return slots > 0 ? (uint32_t)slots : 1;
}
