/* Handlers of actions on a guest: from state to state, to another name, to another
 * guest. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/reader.h"

static bool takes_timeout(enum guest_verb verb)
{
	return verb == VERB_STOP || verb == VERB_RESTART;
}

static int read_timeout(
	const struct http_request *request, enum guest_verb verb, uint64_t *ret, struct err *err)
{
	const json_t *body = http_body(request), *value;
	const char *key;

	json_object_foreach ((json_t *)body, key, value) {
		if (strcmp(key, "timeout") != 0 || !takes_timeout(verb))
			return err_set(err, ERR_INVALID, key, "unknown field %.60s", key);
		if (json_is_null(value))
			continue;
		if (!json_is_string(value) ||
			parse_duration_ms(json_string_value(value), ret) < 0 || *ret < 1 ||
			*ret > 3600 * 1000)
			return err_set(err, ERR_INVALID, "timeout",
				"timeout must be a duration up to one hour, like \"30s\"");
	}
	return 0;
}

/* What a verb leads to is so already, and nothing is on its way to change it. */
static bool is_so(enum guest_verb verb, const struct guest_entry *entry)
{
	enum guest_state after = guest_verb_after(verb);

	/* One that ended by itself, or rests, is to start again: a stop ends that, too. */
	return verb != VERB_RESTART && verb != VERB_DESTROY && entry->pending == 0 &&
	       entry->guest->state == after &&
	       (after != GUEST_STOPPED || !entry->guest->want_running);
}

static void act(struct http_request *request, struct agent *agent, enum guest_verb verb)
{
	struct guest_entry *entry;
	struct op_plan plan = {0};
	struct change change;
	uint64_t timeout = 0;
	struct err err;
	char name[32];
	int r;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	r = read_timeout(request, verb, &timeout, &err);
	if (r == 0 && is_so(verb, entry)) {
		snprintf(name, sizeof(name), "guest.%s", guest_verb_to_string(verb));
		change_nothing(&change, name, entry->guest->name, shown_guest(agent, entry));
		return;
	}
	if (r == 0)
		r = plan_guest_simple(agent, &plan, verb, entry, timeout, &err);
	change_submit(&change, r, &err, &plan, NULL);
}

void api_guest_start(struct http_request *request, void *data)
{
	act(request, data, VERB_START);
}

void api_guest_stop(struct http_request *request, void *data)
{
	act(request, data, VERB_STOP);
}

void api_guest_restart(struct http_request *request, void *data)
{
	act(request, data, VERB_RESTART);
}

void api_guest_kill(struct http_request *request, void *data)
{
	act(request, data, VERB_KILL);
}

void api_guest_freeze(struct http_request *request, void *data)
{
	act(request, data, VERB_FREEZE);
}

void api_guest_thaw(struct http_request *request, void *data)
{
	act(request, data, VERB_THAW);
}

void api_guest_destroy(struct http_request *request, void *data)
{
	const char *word = http_query(request, "destroy");
	struct err err;

	if (word && strcmp(word, "true") == 0) {
		act(request, data, VERB_DESTROY);
		return;
	}
	err_set(&err, ERR_INVALID, "destroy",
		"this destroys the guest with all its data: say so with ?destroy=true");
	http_respond_error(request, &err, NULL);
}

/* --- rename ---------------------------------------------------------------------------------- */

static const struct reader_field RENAME[] = {
	{.name = "name", .read = reader_text, .required = true, .check = name_check_guest},
};

static int plan_rename(
	struct change *change, struct guest_entry *entry, struct op_plan *ret, struct err *err)
{
	AUTOFREE char *name = NULL;
	int r = reader_object(
		http_body(change->request), "", RENAME, ARRAY_SIZE(RENAME), &name, err);

	if (r < 0)
		return r;
	if (entry->pending > 0 || strcmp(name, entry->guest->name) != 0)
		return plan_guest_rename(change->agent, ret, entry, name, err);
	change_nothing(change, "guest.rename", name, shown_guest(change->agent, entry));
	return CHANGE_ANSWERED;
}

void api_guest_rename(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_rename);
}

/* --- clone ----------------------------------------------------------------------------------- */

/* The snapshot that the body names; the rest of it is about the new guest. */
static int take_snapshot(json_t *body, char **ret, struct err *err)
{
	static const struct reader_field SNAPSHOT[] = {
		{.name = "snapshot", .read = reader_text, .check = name_check_snapshot},
	};
	json_t *value = json_object_get(body, "snapshot");
	json_auto_t *alone = value ? json_pack("{s:O}", "snapshot", value) : json_object();

	json_object_del(body, "snapshot");
	return reader_object(alone, "", SNAPSHOT, ARRAY_SIZE(SNAPSHOT), ret, err);
}

static int plan_clone(
	struct change *change, struct guest_entry *from, struct op_plan *ret, struct err *err)
{
	json_auto_t *body = json_copy((json_t *)http_body(change->request));
	CLEANUP(guest_freep) struct guest *guest = NULL;
	AUTOFREE char *snapshot = NULL;
	int r = take_snapshot(body, &snapshot, err);

	if (r == 0)
		r = guest_from_clone_request(from->guest, body, &guest, err);
	if (r == 0)
		r = check_admin_fields(change->request, NULL, guest, err);
	return r < 0 ? r
		     : plan_guest_clone(change->agent, ret, from, snapshot, TAKE_PTR(guest), err);
}

void api_guest_clone(struct http_request *request, void *data)
{
	change_handle_guest(request, data, plan_clone);
}
