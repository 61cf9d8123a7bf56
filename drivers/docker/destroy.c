/* Removing all that a guest has. */
#include "drivers/docker/destroy.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "drivers/docker/layer.h"
#include "drivers/docker/make.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/link.h"

#define DESTROY_MS 14500

static int remove_container(struct docker_guest *g, const json_t *entry, struct err *err)
{
	int r = make_remove(g, reply_text_or_none(entry, "Id"), err);

	fault_point("driver.docker.destroy.removed");
	if (r == 0)
		layer_forget(g, reply_text_or_none(entry, "ImageID"));
	return r;
}

static int remove_containers(struct docker_guest *g, struct err *err)
{
	json_t *list = NULL, *entry;
	size_t i;
	int r = guest_containers(g, &list, err);

	json_array_foreach (list, i, entry)
		if (r == 0)
			r = remove_container(g, entry, err);
	json_decref(list);
	return r;
}

/* --- Volumes ---------------------------------------------------------------------------------- */

/* Docker's volume is a mount: what lies in it is the agent's, and stays. */
static int ask_to_remove(struct engine *engine, const char *name, struct err *err)
{
	return engine_call(engine,
		&(struct engine_request){.method = "DELETE",
			.path = "/volumes/{}",
			.name = name,
			.what = "remove the container's volume"},
		NULL, err);
}

/* dockerd may take one for mounted although its container is gone (up to 20.10, after a live
 * restore) until it is started anew: that one goes later. */
static int remove_volume(struct engine *engine, const char *name, struct err *err)
{
	struct err failed = {0};
	int r = ask_to_remove(engine, name, &failed);

	if (r < 0 && strstr(failed.message, "active mounts"))
		failed.code = ERR_CONFLICT;
	if (r == 0 || failed.code == ERR_NOT_FOUND)
		return 0;
	if (failed.code == ERR_CONFLICT) {
		log_info("driver.docker.volume_later", "volume=%s why=%s", name,
			LOG_Q(failed.message));
		return 0;
	}
	if (err)
		*err = failed;
	return r;
}

/* Those with our labels, of a guest or of all of them. */
static int list_volumes(struct engine *engine, const struct docker *docker, const char *id,
	json_t **ret, struct err *err)
{
	json_t *filters = guest_filters(docker, id);
	AUTOFREE char *text = json_dumps(filters, JSON_COMPACT);

	json_decref(filters);
	if (!text)
		return err_errno(err, ENOMEM, "no memory for a list");
	return engine_call(engine,
		&(struct engine_request){
			.path = "/volumes", .query = {{"filters", text}}, .what = "list volumes"},
		ret, err);
}

static int remove_volumes(struct docker_guest *g, struct err *err)
{
	json_t *answer = NULL, *entry;
	size_t i;
	int r = list_volumes(g->engine, g->docker, g->definition.guest.id, &answer, err);

	json_array_foreach (json_object_get(answer, "Volumes"), i, entry)
		if (r == 0)
			r = remove_volume(g->engine, reply_text_or_none(entry, "Name"), err);
	json_decref(answer);
	return r;
}

void destroy_unused_volumes(struct docker_guest *g)
{
	json_t *answer = NULL, *entry;
	size_t i;

	if (list_volumes(g->engine, g->docker, g->definition.guest.id, &answer, NULL) < 0)
		return;
	/* dockerd knows which are in use, and keeps those. */
	json_array_foreach (json_object_get(answer, "Volumes"), i, entry)
		ask_to_remove(g->engine, reply_text_or_none(entry, "Name"), NULL);
	json_decref(answer);
}

static bool has_no_guest(const struct docker *docker, const json_t *volume)
{
	const char *id =
		json_string_value(json_object_get(json_object_get(volume, "Labels"), LABEL_GUEST));
	struct docker_paths paths;

	return id && docker_paths(docker, id, &paths, NULL) == 0 &&
	       !definition_exists(paths.definition);
}

void destroy_remains(struct engine *engine, const struct docker *docker)
{
	json_t *answer = NULL, *entry;
	size_t i;

	if (list_volumes(engine, docker, NULL, &answer, NULL) < 0)
		return;
	/* One of a guest that is being made is in use, and stays. */
	json_array_foreach (json_object_get(answer, "Volumes"), i, entry)
		if (has_no_guest(docker, entry))
			remove_volume(engine, reply_text_or_none(entry, "Name"), NULL);
	json_decref(answer);
}

/* --- On the node ------------------------------------------------------------------------------ */

static int remove_files(struct docker_guest *g, struct err *err)
{
	int r = file_remove_tree(g->paths.gate);

	if (r < 0)
		return err_errno(err, r, "cannot remove %s", g->paths.gate);
	unlink(g->paths.note);
	unlink(g->paths.ended);
	unlink(g->paths.console);
	unlink(g->paths.hold);
	/* Last: until then the guest is known, and its destruction can be tried again. */
	return definition_remove(g->paths.definition, err);
}

int destroy_all(struct docker_guest *g, struct err *err)
{
	const char *link = g->definition.guest.net.link;
	int r = engine_open(g->docker->socket, DESTROY_MS, &g->engine, err);

	if (r == 0)
		r = remove_containers(g, err);
	fault_point("driver.docker.destroy.containers");
	if (r == 0)
		r = remove_volumes(g, err);
	fault_point("driver.docker.destroy.volumes");
	if (r == 0)
		r = layer_remove_all(g, err);
	fault_point("driver.docker.destroy.layers");
	if (r == 0 && link)
		r = link_remove(link, err);
	return r == 0 ? remove_files(g, err) : r;
}
