/* What a change led to, as the answer of its operation shows it. */
#include <string.h>

#include "agent/api/internal.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"

json_t *shown_guest(struct agent *agent, struct guest_entry *entry)
{
	size_t size;
	const char *text = registry_json(agent->registry, entry, &size);

	return text ? json_loadb(text, size, 0, NULL) : NULL;
}

static json_t *guest_result(struct agent *agent, const struct operation *info, const json_t *args)
{
	struct guest_entry *entry = registry_by_id(agent->registry, info->guest_id);

	(void)args;
	return entry ? shown_guest(agent, entry) : NULL;
}

/* With what came of it besides the size. */
static json_t *storage_result(struct agent *agent, const struct operation *info, const json_t *args)
{
	static const char *const NOTED[] = {"file_system", "discarded"};
	json_t *json = guest_result(agent, info, args);

	for (size_t i = 0; json && i < ARRAY_SIZE(NOTED); i++)
		if (json_object_get(args, NOTED[i]))
			json_object_set(json, NOTED[i], json_object_get(args, NOTED[i]));
	return json;
}

static json_t *port_result(struct agent *agent, const struct operation *info, const json_t *args)
{
	struct guest_entry *entry = registry_by_id(agent->registry, info->guest_id);
	const struct port *port;
	struct port asked;

	if (!entry || port_from_json(json_object_get(args, "port"), "port", &asked, NULL) < 0)
		return NULL;
	port = guest_find_port(entry->guest, asked.proto, asked.host);
	return port ? published_port_to_json(entry->guest, port) : NULL;
}

static json_t *image_result(struct agent *agent, const struct operation *info, const json_t *args)
{
	enum image_kind kind = IMAGE_TREE;
	const char *name = info->target;
	struct image *image;

	image_kind_from_string(json_string_value(json_object_get(args, "kind")), &kind);
	/* Of the kind oci it may have a longer name than was given. */
	if (json_object_get(args, "image"))
		name = json_string_value(json_object_get(args, "image"));
	image = agent_image(agent, kind, name);
	return image ? image_to_json(image) : NULL;
}

static json_t *snapshot_result(
	struct agent *agent, const struct operation *info, const json_t *args)
{
	struct guest_entry *entry = registry_by_id(agent->registry, info->guest_id);
	const char *name = json_string_value(json_object_get(args, "snapshot"));
	const struct guest_snapshot *snapshot =
		entry && name ? guest_find_snapshot(entry->guest, name) : NULL;

	return snapshot ? guest_snapshot_to_json(snapshot) : NULL;
}

/* Those that do not lead to a guest; NULL: to nothing. */
static const struct {
	const char *verb;
	json_t *(*result)(struct agent *agent, const struct operation *info, const json_t *args);
} RESULTS[] = {
	{"guest.publish", port_result},
	{"guest.switch", port_result},
	{"guest.unpublish", NULL},
	{"guest.enlarge", storage_result},
	{"guest.trim", storage_result},
	{"guest.snapshot", snapshot_result},
	{"guest.snapshot-delete", NULL},
	{"image.import", image_result},
	{"image.pull", image_result},
	{"image.delete", NULL},
};

static json_t *result_of(struct agent *agent, const struct operation *info, const json_t *args)
{
	for (size_t i = 0; i < ARRAY_SIZE(RESULTS); i++)
		if (strcmp(RESULTS[i].verb, info->verb) == 0)
			return RESULTS[i].result ? RESULTS[i].result(agent, info, args) : NULL;
	return guest_result(agent, info, args);
}

json_t *operation_with_result(struct agent *agent, const struct operation *info, const json_t *args)
{
	json_t *json = operation_to_json(info);
	json_t *result;

	if (json && info->state == OPERATION_DONE) {
		result = result_of(agent, info, args);
		if (result)
			json_object_set_new(json, "result", result);
	}
	return json;
}
