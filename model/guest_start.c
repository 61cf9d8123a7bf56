/* Settings of a guest that count from its next start: which of them it runs without. */
#include "base/cleanup.h"
#include "model/guest_fields.h"

/* What of an object is a setting by itself, by its path below `name`. */
static void add_members(json_t *settings, const char *name, const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		char path[ERR_FIELD_MAX];

		reader_path(path, name, key);
		json_object_set(settings, path, value);
	}
}

json_t *guest_start_settings(const struct guest *guest)
{
	json_auto_t *container = guest_container_to_json(guest->container);
	json_t *settings = json_object();

	add_members(settings, "container", container);
	json_object_set_new(settings, "raw", guest_texts_to_json(guest->raw));
	return settings;
}

static void note(struct guest *guest, const char *path, json_t *was, const json_t *now)
{
	const json_t *runs_with = json_object_get(guest->runs_with, path);

	if (json_equal(runs_with ? runs_with : was, now)) {
		json_object_del(guest->runs_with, path);
		return;
	}
	if (!guest->runs_with)
		guest->runs_with = json_object();
	if (!runs_with)
		json_object_set(guest->runs_with, path, was);
}

static void forget(struct guest *guest)
{
	json_decref(guest->runs_with);
	guest->runs_with = NULL;
}

void guest_note_changes(struct guest *guest, const json_t *was, const json_t *now)
{
	const char *path;
	json_t *value;

	if (guest->state == GUEST_STOPPED)
		return;
	json_object_foreach ((json_t *)was, path, value)
		note(guest, path, value, json_object_get(now, path));
	if (json_object_size(guest->runs_with) == 0)
		forget(guest);
}

bool guest_drop_changes(struct guest *guest)
{
	bool noted = guest->runs_with;

	forget(guest);
	return noted;
}

json_t *guest_restart_needed_to_json(const struct guest *guest)
{
	static const bool runs[GUEST_STATE_MAX_] = {[GUEST_RUNNING] = true,
		[GUEST_FREEZING] = true,
		[GUEST_FROZEN] = true,
		[GUEST_STOPPING] = true,
		[GUEST_UNKNOWN] = true};
	json_t *list = json_array(), *value;
	const char *path;

	json_object_foreach (guest->runs_with, path, value)
		if (runs[guest->state])
			json_array_append_new(list, json_string(path));
	return list;
}
