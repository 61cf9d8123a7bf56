/* Changing guests in place: merge patches, and the difference between two specifications. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strv.h"
#include "model/guest_fields.h"

#define FOR_LIFE       .refusal = "cannot be changed after creation: make another guest"
#define ELSEWHERE(how) .refusal = "cannot be changed here: use " how

static const struct reader_field PATCH[] = {
	READER_ROWS(GUEST_CHANGEABLE, GUEST_CHANGEABLE_FIELDS),
	{.name = "name", ELSEWHERE("actions/rename")},
	{.name = "driver", FOR_LIFE},
	{.name = "image", FOR_LIFE},
	{.name = "network", FOR_LIFE},
	{.name = "privileged", FOR_LIFE},
	{.name = "storage", ELSEWHERE("storage/enlarge or storage/trim")},
	{.name = "ports", ELSEWHERE("the guest's ports")},
	{.name = "start", ELSEWHERE("actions/start or actions/stop")},
	READER_ROWS(GUEST_SHOWN, GUEST_SHOWN_FIELDS),
};

void guest_merge(json_t *target, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)patch, key, value) {
		json_t *old = json_object_get(target, key);

		if (json_is_null(value)) {
			json_object_del(target, key);
		} else if (json_is_object(value)) {
			if (!json_is_object(old)) {
				old = json_object();
				json_object_set_new(target, key, old);
			}
			guest_merge(old, value);
		} else {
			json_object_set(target, key, value);
		}
	}
}

static int read_changeable(const json_t *json, struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *guest = guest_create();
	int r;

	if (!guest)
		return err_errno(err, ENOMEM, "cannot read the patch");
	r = reader_object(json, "", PATCH, ARRAY_SIZE(PATCH), guest, err);
	if (r == 0)
		*ret = TAKE_PTR(guest);
	return r;
}

static void take_changeable(struct guest *guest, struct guest *from)
{
	if (guest->container)
		memcpy(from->container->image_id, guest->container->image_id,
			sizeof(from->container->image_id));
	guest_container_free(guest->container);
	guest->container = TAKE_PTR(from->container);
	guest_clear_labels(guest);
	guest->labels = TAKE_PTR(from->labels);
	guest->labels_count = from->labels_count;
	from->labels_count = 0;
	guest_health_finish(&guest->health);
	guest->health = from->health;
	from->health = (struct guest_health){0};
	strv_free(guest->ssh_keys);
	guest->ssh_keys = TAKE_PTR(from->ssh_keys);
	strv_free(guest->raw);
	guest->raw = TAKE_PTR(from->raw);
	free(guest->user_data);
	guest->user_data = TAKE_PTR(from->user_data);
	guest->slots = from->slots;
	guest->limits = from->limits;
	guest->autostart = from->autostart;
	guest->restart = from->restart;
	memcpy(guest->environment, from->environment, sizeof(guest->environment));
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

static int check_user_data(const struct guest *guest, const struct guest *patched, struct err *err)
{
	if (!guest->first_boot_done || same_text(guest->user_data, patched->user_data))
		return 0;
	return err_set(err, ERR_CONFLICT, "user_data",
		"user_data cannot be changed after the first boot: make another guest");
}

static int wrong_kind(struct err *err)
{
	return err_set(err, ERR_INVALID, "container",
		"container is only for guests whose driver takes images of the kind oci");
}

/* Each guest of that kind has one, and no other. */
static int check_container(const struct guest *guest, struct guest *patched, struct err *err)
{
	if (!guest->container && patched->container)
		return wrong_kind(err);
	if (guest->container && !patched->container)
		patched->container = guest_container_create();
	return guest->container && !patched->container
		       ? err_errno(err, ENOMEM, "cannot read the patch")
		       : 0;
}

int guest_patch(struct guest *guest, const json_t *patch, struct err *err)
{
	json_auto_t *merged = NULL;
	CLEANUP(guest_freep) struct guest *patched = NULL;
	/* The patch itself is read first: merging drops the names of what is null. */
	int r = read_changeable(patch, &patched, err);

	if (r < 0)
		return r;
	patched = guest_free(patched);
	merged = guest_changeable_to_json(guest);
	guest_merge(merged, patch);
	r = read_changeable(merged, &patched, err);
	if (r == 0)
		r = guest_check_health(merged, patched, err);
	if (r == 0)
		r = check_user_data(guest, patched, err);
	if (r == 0)
		r = check_container(guest, patched, err);
	if (r == 0)
		take_changeable(guest, patched);
	return r;
}

/* --- Differences ------------------------------------------------------------------------------ */

/* The least merge patch that makes `want` of `have`; both objects. */
static json_t *difference(const json_t *have, const json_t *want)
{
	json_t *patch = json_object();
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)want, key, value) {
		json_t *old = json_object_get(have, key);

		if (json_equal(old, value))
			continue;
		if (json_is_object(old) && json_is_object(value))
			json_object_set_new(patch, key, difference(old, value));
		else
			json_object_set(patch, key, value);
	}
	json_object_foreach ((json_t *)have, key, value)
		if (!json_object_get(want, key))
			json_object_set_new(patch, key, json_null());
	return patch;
}

static int differs(const char *field, const char *have, const char *how, struct err *err)
{
	return err_set(err, ERR_CONFLICT, field, "%s of the guest is %s and cannot be changed %s",
		field, have, how);
}

static int compare_texts(const struct guest *have, const struct guest *want, struct err *err)
{
	const struct {
		const char *field, *have, *want;
	} texts[] = {
		{"name", have->name, want->name},
		{"driver", have->driver, want->driver},
		{"image", have->image, want->image},
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (strcmp(texts[i].have, texts[i].want) != 0)
			return differs(texts[i].field, texts[i].have, "after creation", err);
	return 0;
}

static bool same_port(const struct port *have, const struct port *want)
{
	return have->proto == want->proto && have->guest == want->guest &&
	       (want->host == 0 || want->host == have->host) &&
	       strcmp(have->purpose, want->purpose) == 0;
}

/* Pairs every port that is wanted with one that is there: exact host ports first, since a wanted
 * port without one would take any. */
static size_t pair_ports(
	const struct guest *have, const struct guest *want, bool exact, bool taken[])
{
	size_t paired = 0;

	for (size_t w = 0; w < want->ports_count; w++) {
		if ((want->ports[w].host != 0) != exact)
			continue;
		for (size_t h = 0; h < have->ports_count; h++) {
			if (taken[h] || !same_port(&have->ports[h], &want->ports[w]))
				continue;
			taken[h] = true;
			paired++;
			break;
		}
	}
	return paired;
}

static int compare_ports(const struct guest *have, const struct guest *want, struct err *err)
{
	bool taken[GUEST_PORTS_MAX] = {false};
	size_t paired = 0;

	if (have->ports_count == want->ports_count && have->ports_count <= GUEST_PORTS_MAX)
		paired = pair_ports(have, want, true, taken) + pair_ports(have, want, false, taken);
	if (paired == want->ports_count && have->ports_count == want->ports_count)
		return 0;
	return err_set(err, ERR_CONFLICT, "ports",
		"ports of the guest are others and cannot be changed here: use the guest's ports");
}

static int compare_fixed(const struct guest *have, const struct guest *want, struct err *err)
{
	static const uint8_t zero[6];
	int r = compare_texts(have, want, err);

	if (r < 0)
		return r;
	if (have->privileged != want->privileged)
		return differs(
			"privileged", have->privileged ? "true" : "false", "after creation", err);
	if (have->storage_size != want->storage_size)
		return differs("storage.size", FMT_SIZE(have->storage_size),
			"here: use storage/enlarge or storage/trim", err);
	if (want->address && want->address != have->address)
		return differs("network.address", FMT_IPV4(have->address), "after creation", err);
	if (memcmp(want->mac, zero, 6) != 0 && memcmp(want->mac, have->mac, 6) != 0)
		return differs("network.mac", FMT_MAC(have->mac), "after creation", err);
	return compare_ports(have, want, err);
}

/* With the defaults of what it is: a request does not know that; and it leaves to the node which
 * its data are. Pieces of both are borrowed. */
static void complete(struct guest *as, struct guest_container *container, const struct guest *have)
{
	as->disk = have->disk;
	if (!have->container)
		return;
	if (as->container)
		*container = *as->container;
	if (!container->data)
		container->data = have->container->data;
	as->container = container;
}

int guest_diff(
	const struct guest *have, const struct guest *want, json_t **ret_patch, struct err *err)
{
	json_auto_t *now = NULL;
	json_auto_t *then = NULL;
	struct guest_container container = {.terminal = true};
	struct guest as = *want;
	int r = compare_fixed(have, want, err);

	if (r < 0)
		return r;
	if (!have->container && want->container)
		return wrong_kind(err);
	complete(&as, &container, have);
	now = guest_changeable_to_json(have);
	then = guest_changeable_to_json(&as);
	if (!want->user_data) {
		json_object_del(now, "user_data");
		json_object_del(then, "user_data");
	}
	*ret_patch = difference(now, then);
	return 0;
}
