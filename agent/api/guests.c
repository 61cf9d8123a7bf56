/* Handlers of guests: lists, creation, changes. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define LIST_MAX 1000

/* --- One guest ------------------------------------------------------------------------------- */

static int check_if_match(
	const struct http_request *request, const struct guest *guest, struct err *err)
{
	const char *wanted = http_header(request, "If-Match");
	char etag[GUEST_ETAG_MAX], quoted[GUEST_ETAG_MAX + 2];

	if (!wanted || strcmp(wanted, "*") == 0)
		return 0;
	snprintf(quoted, sizeof(quoted), "\"%s\"", guest_etag(etag, guest));
	if (strcmp(wanted, quoted) == 0)
		return 0;
	return err_set(err, ERR_PRECONDITION, "If-Match",
		"guest %s has changed: its ETag is %s now, not %.60s; read it again", guest->name,
		quoted, wanted);
}

struct guest_entry *requested_guest(struct http_request *request, struct agent *agent)
{
	struct err err;
	struct guest_entry *entry = registry_by_name(agent->registry, http_param(request, 0), &err);

	if (entry && check_if_match(request, entry->guest, &err) == 0)
		return entry;
	http_respond_error(request, &err, NULL);
	return NULL;
}

void api_guest_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct err err;
	struct guest_entry *entry = registry_by_name(agent->registry, http_param(request, 0), &err);
	char etag[GUEST_ETAG_MAX], quoted[GUEST_ETAG_MAX + 2];
	const char *text;
	size_t size;

	text = entry ? registry_json(agent->registry, entry, &size) : NULL;
	if (!text) {
		if (entry)
			err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
		http_respond_error(request, &err, NULL);
		return;
	}
	snprintf(quoted, sizeof(quoted), "\"%s\"", guest_etag(etag, entry->guest));
	http_add_header(request, "ETag", quoted);
	http_respond_text(request, 200, "application/json", text, size);
}

/* --- The list -------------------------------------------------------------------------------- */

struct filter {
	unsigned states; /* bits; 0: all */
	const char *driver, *environment, *image, *label, *name, *fields;
	uint64_t limit;
	const char *after;
};

/* Calls `each` with every item of a list separated by commas; stops at the first non-zero. */
static int each_item(
	const char *list, int (*each)(void *data, const char *item, size_t n), void *data)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		int r = n ? each(data, list, n) : 0;

		if (r)
			return r;
		list += n + (list[n] == ',');
	}
	return 0;
}

static int add_state(void *data, const char *item, size_t n)
{
	char text[32];
	enum guest_state state;

	if (n >= sizeof(text))
		return -EINVAL;
	memcpy(text, item, n);
	text[n] = '\0';
	if (guest_state_from_string(text, &state) < 0)
		return -EINVAL;
	*(unsigned *)data |= 1U << state;
	return 0;
}

static int read_filter(const struct http_request *request, struct filter *ret, struct err *err)
{
	const char *states = http_query(request, "state");

	*ret = (struct filter){.driver = http_query(request, "driver"),
		.environment = http_query(request, "environment"),
		.image = http_query(request, "image"),
		.label = http_query(request, "label"),
		.name = http_query(request, "name"),
		.fields = http_query(request, "fields"),
		.after = http_query(request, "after")};
	if (states && each_item(states, add_state, &ret->states) < 0)
		return err_set(err, ERR_INVALID, "state",
			"state must be states of guests, separated by commas");
	return query_number(request, "limit", 1, LIST_MAX, LIST_MAX, &ret->limit, err);
}

/* Non-zero when the guest lacks the label. */
static int lacks_label(void *data, const char *item, size_t n)
{
	const struct guest *guest = data;
	const char *equals = memchr(item, '=', n);
	size_t key = equals ? (size_t)(equals - item) : n;

	for (size_t i = 0; i < guest->labels_count; i++) {
		const struct guest_label *label = &guest->labels[i];

		if (strlen(label->key) != key || memcmp(label->key, item, key) != 0)
			continue;
		if (!equals)
			return 0;
		return strlen(label->value) != n - key - 1 ||
		       memcmp(label->value, equals + 1, n - key - 1) != 0;
	}
	return 1;
}

static bool passes(const struct filter *filter, struct guest *guest)
{
	if (filter->states && !(filter->states & 1U << guest->state))
		return false;
	if (filter->driver && strcmp(filter->driver, guest->driver) != 0)
		return false;
	if (filter->environment && strcmp(filter->environment, guest->environment) != 0)
		return false;
	if (filter->image && strcmp(filter->image, guest->image) != 0)
		return false;
	if (filter->name && fnmatch(filter->name, guest->name, 0) != 0)
		return false;
	return !filter->label || each_item(filter->label, lacks_label, guest) == 0;
}

struct selection {
	json_t *from, *to;
};

static int select_field(void *data, const char *item, size_t n)
{
	struct selection *selection = data;
	char key[64];
	json_t *value;

	if (n >= sizeof(key))
		return 0;
	memcpy(key, item, n);
	key[n] = '\0';
	value = json_object_get(selection->from, key);
	if (value)
		json_object_set(selection->to, key, value);
	return 0;
}

static void add_selected(
	struct strbuf *buf, struct agent *agent, struct guest_entry *entry, const char *fields)
{
	struct selection selection = {.from = shown_guest(agent, entry), .to = json_object()};
	AUTOFREE char *text = NULL;

	select_field(&selection, "name", 4);
	each_item(fields, select_field, &selection);
	text = json_dumps(selection.to, JSON_COMPACT | JSON_REAL_PRECISION(12));
	strbuf_add(buf, text ? text : "{}");
	json_decref(selection.from);
	json_decref(selection.to);
}

static void add_guest(
	struct strbuf *buf, struct agent *agent, struct guest_entry *entry, const char *fields)
{
	const char *text;
	size_t size;

	if (fields) {
		add_selected(buf, agent, entry, fields);
		return;
	}
	text = registry_json(agent->registry, entry, &size);
	strbuf_add_bytes(buf, text ? text : "{}", text ? size : 2);
}

/* Puts together what is rendered already; no guest is rendered twice between two changes of it. */
static void render_list(struct strbuf *buf, struct agent *agent, const struct filter *filter)
{
	size_t count, i = filter->after ? registry_after(agent->registry, filter->after) : 0;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);
	struct guest_entry *last = NULL;
	uint64_t found = 0;

	strbuf_add(buf, "{\"guests\":[");
	for (; i < count; i++) {
		if (!passes(filter, sorted[i]->guest))
			continue;
		if (found == filter->limit)
			break;
		if (found++)
			strbuf_add(buf, ",");
		add_guest(buf, agent, sorted[i], filter->fields);
		last = sorted[i];
	}
	strbuf_add(buf, "]");
	if (i < count && last)
		strbuf_addf(buf, ",\"next\":\"%s\"", last->guest->name);
	strbuf_add(buf, "}");
}

void api_guest_list(struct http_request *request, void *data)
{
	struct agent *agent = data;
	CLEANUP(strbuf_finish) struct strbuf buf = {0};
	struct filter filter;
	struct err err;
	int r = read_filter(request, &filter, &err);

	if (r == 0) {
		render_list(&buf, agent, &filter);
		if (buf.failed)
			r = err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
	}
	if (r < 0)
		http_respond_error(request, &err, NULL);
	else
		http_respond_text(request, 200, "application/json", buf.text, buf.used);
}

/* --- Creation -------------------------------------------------------------------------------- */

static void create(const struct change *change, const json_t *body)
{
	struct guest *guest = NULL;
	struct op_plan plan = {0};
	struct err err;
	int r = guest_from_request(body, &guest, &err);

	if (r == 0 && (r = check_admin_fields(change->request, NULL, guest, &err)) < 0)
		guest_free(guest);
	else if (r == 0)
		r = plan_guest_create(change->agent, &plan, guest, &err);
	change_submit(change, r, &err, &plan, NULL);
}

void api_guest_create(struct http_request *request, void *data)
{
	struct change change;

	if (change_begin(&change, request, data))
		create(&change, http_body(request));
}

/* The body with the name of the path in it. */
static int named_body(const struct http_request *request, json_t **ret, struct err *err)
{
	const char *name = http_param(request, 0);
	const json_t *given = json_object_get(http_body(request), "name");
	json_t *body;

	if (json_is_string(given) && strcmp(json_string_value(given), name) != 0)
		return err_set(err, ERR_INVALID, "name",
			"name must be that of the path (%.100s), or be left out", name);
	body = json_copy((json_t *)http_body(request));
	if (!given || json_is_null(given))
		json_object_set_new(body, "name", json_string(name));
	*ret = body;
	return 0;
}

/* Whether a patch would change nothing. An error is left to whoever applies it. */
static bool patch_is_so(const struct guest *guest, const json_t *patch)
{
	CLEANUP(guest_freep) struct guest *want = guest_copy(guest);
	json_t *difference = NULL;
	bool so = want && guest_patch(want, patch, NULL) == 0 &&
		  guest_diff(guest, want, &difference, NULL) == 0 &&
		  json_object_size(difference) == 0;

	json_decref(difference);
	return so;
}

static int check_patch(const struct change *change, const struct guest *guest, const json_t *patch,
	struct err *err)
{
	CLEANUP(guest_freep) struct guest *want = guest_copy(guest);
	int r = want ? guest_patch(want, patch, err) : err_errno(err, ENOMEM, "cannot change it");

	return r < 0 ? r : check_admin_fields(change->request, guest, want, err);
}

static void patch_guest(const struct change *change, struct guest_entry *entry, json_t *patch)
{
	const char *etag = http_header(change->request, "If-Match");
	struct op_plan plan = {0};
	struct err err;
	int r = check_patch(change, entry->guest, patch, &err);

	if (r == 0)
		r = plan_guest_update(change->agent, &plan, entry, patch, &err);
	if (r == 0 && etag && strcmp(etag, "*") != 0)
		op_set_precondition(plan.op, etag);
	change_submit(change, r, &err, &plan, patch);
}

/* Makes an existing guest what is asked for, or says that it is so. */
static void make_so(const struct change *change, struct guest_entry *entry, const json_t *body)
{
	CLEANUP(guest_freep) struct guest *want = NULL;
	json_t *patch = NULL;
	struct err err;
	int r = guest_from_request(body, &want, &err);

	if (r == 0)
		r = guest_diff(entry->guest, want, &patch, &err);
	if (r < 0)
		http_respond_error(change->request, &err, NULL);
	else if (json_object_size(patch) > 0 || entry->pending > 0)
		patch_guest(change, entry, TAKE_PTR(patch));
	else
		change_nothing(change, "guest.update", entry->guest->name,
			shown_guest(change->agent, entry));
	json_decref(patch);
}

void api_guest_put(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct change change;
	json_t *body = NULL;
	struct err err;

	if (!change_begin(&change, request, agent))
		return;
	entry = registry_by_name(agent->registry, http_param(request, 0), &err);
	if (!entry && http_header(request, "If-Match"))
		err_set(&err, ERR_PRECONDITION, "If-Match", "there is no guest %.100s",
			http_param(request, 0));
	if ((!entry && http_header(request, "If-Match")) ||
		(entry && check_if_match(request, entry->guest, &err) < 0) ||
		named_body(request, &body, &err) < 0) {
		http_respond_error(request, &err, NULL);
		return;
	}
	if (entry)
		make_so(&change, entry, body);
	else
		create(&change, body);
	json_decref(body);
}

/* --- Changes --------------------------------------------------------------------------------- */

void api_guest_patch(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct change change;

	if (!change_begin(&change, request, agent) || !(entry = requested_guest(request, agent)))
		return;
	if (entry->pending == 0 && patch_is_so(entry->guest, http_body(request)))
		change_nothing(
			&change, "guest.update", entry->guest->name, shown_guest(agent, entry));
	else
		patch_guest(&change, entry, json_incref((json_t *)http_body(request)));
}
