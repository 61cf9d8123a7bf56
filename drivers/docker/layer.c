/* Layers, kept as images. */
#include "drivers/docker/layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/parse.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/hold.h"
#include "drivers/docker/image.h"
#include "drivers/docker/make.h"
#include "drivers/docker/reply.h"

/* --- Configurations --------------------------------------------------------------------------- */

/* What of an image's Config counts when it is run. */
static const char *const KEYS[] = {
	"Entrypoint", "Cmd", "Env", "User", "WorkingDir", "StopSignal", "Volumes"};

static json_t *excerpt(const json_t *config)
{
	json_t *json = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(KEYS); i++) {
		json_t *value = json_object_get(config, KEYS[i]);

		if (value && !json_is_null(value))
			json_object_set(json, KEYS[i], value);
	}
	return json;
}

static int inspect(struct engine *engine, const char *image, json_t **ret, struct err *err)
{
	return engine_call(engine,
		&(struct engine_request){
			.path = "/images/{}/json", .name = image, .what = "look at the image"},
		ret, err);
}

int layer_config(struct engine *engine, const char *image, json_t **ret_config,
	json_t **ret_variables, struct err *err)
{
	json_t *info = NULL, *config, *kept;
	const char *text;
	int r = inspect(engine, image, &info, err);

	if (r < 0)
		return r;
	config = json_object_get(info, "Config");
	text = json_string_value(json_object_get(json_object_get(config, "Labels"), LABEL_CONFIG));
	kept = text ? json_loads(text, 0, NULL) : NULL;
	*ret_config = kept ? kept : excerpt(config);
	*ret_variables = json_incref(json_object_get(config, "Env"));
	json_decref(info);
	return 0;
}

/* --- Keeping ---------------------------------------------------------------------------------- */

void layer_reference(const char *guest, const char *name, char ret[static LAYER_REFERENCE_MAX])
{
	snprintf(ret, LAYER_REFERENCE_MAX, IMAGE_SNAPSHOTS ":%s-%s", guest, name);
}

/* As the image that it began as: without corpus-gate, so that people can run it, too. */
static json_t *commit_body(const struct docker_guest *g, const json_t *config)
{
	AUTOFREE char *text = json_dumps(config, JSON_COMPACT);
	json_t *body = json_deep_copy(config);

	/* Left out, it would be that of the container. */
	if (!json_object_get(body, "Entrypoint"))
		json_object_set_new(body, "Entrypoint", json_array());
	json_object_set_new(body, "Labels",
		json_pack("{s:s, s:s, s:s}", LABEL_GUEST, g->definition.guest.id, LABEL_AGENT,
			g->docker->dirs.state, LABEL_CONFIG, text ? text : "{}"));
	return body;
}

static int commit(struct docker_guest *g, const char *container, const char *repository,
	const char *tag, const json_t *config, json_t **ret, struct err *err)
{
	json_t *body = commit_body(g, config);
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/commit",
			.query = {{"container", container}, {"repo", repository}, {"tag", tag}},
			.body = body,
			.what = "keep the container's layer"},
		ret, err);

	json_decref(body);
	return r;
}

int layer_keep(struct docker_guest *g, const char *container, const char *repository,
	const char *tag, char ret[static LAYER_ID_MAX], struct err *err)
{
	json_t *info = NULL, *config = NULL, *variables = NULL, *answer = NULL;
	const char *id = "";
	int r = guest_inspect(g->engine, container, &info, err);

	if (r == 0 && !info)
		r = err_set(err, ERR_DRIVER, NULL, "the container of guest %s is gone",
			g->definition.guest.id);
	if (r == 0)
		r = layer_config(
			g->engine, reply_text_or_none(info, "Image"), &config, &variables, err);
	if (r == 0)
		r = commit(g, container, repository, tag, config, &answer, err);
	fault_point("driver.docker.layer.kept");
	if (r == 0)
		r = reply_text(answer, "Id", &id, err);
	snprintf(ret, LAYER_ID_MAX, "%s", id);
	json_decref(answer);
	json_decref(variables);
	json_decref(config);
	json_decref(info);
	return r;
}

/* --- Removing --------------------------------------------------------------------------------- */

static int remove_image(struct docker_guest *g, const char *image, bool force, struct err *err)
{
	struct err failed = {0};
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "DELETE",
			.path = "/images/{}",
			.name = image,
			.query = {{"force", force ? "1" : NULL}},
			.what = "remove a layer that was kept"},
		NULL, &failed);

	/* Another one is based on it, or runs in it: it goes with that. */
	if (r < 0 && (failed.code == ERR_NOT_FOUND || failed.code == ERR_CONFLICT))
		return 0;
	if (r < 0 && err)
		*err = failed;
	return r;
}

static bool is_ours(const struct docker_guest *g, const json_t *labels)
{
	const char *agent = json_string_value(json_object_get(labels, LABEL_AGENT));

	return agent && strcmp(agent, g->docker->dirs.state) == 0 &&
	       json_object_get(labels, LABEL_CONFIG);
}

void layer_forget(struct docker_guest *g, const char *image)
{
	json_t *info = NULL;

	if (image[0] && inspect(g->engine, image, &info, NULL) == 0 &&
		is_ours(g, reply_at(info, "Config.Labels")) &&
		json_array_size(json_object_get(info, "RepoTags")) == 0)
		remove_image(g, image, false, NULL);
	json_decref(info);
}

static int list_kept(struct docker_guest *g, json_t **ret, struct err *err)
{
	json_t *filters = guest_filters(g->docker, g->definition.guest.id);
	AUTOFREE char *text = json_dumps(filters, JSON_COMPACT);

	json_decref(filters);
	if (!text)
		return err_errno(err, ENOMEM, "no memory for a list");
	return engine_call(g->engine,
		&(struct engine_request){.path = "/images/json",
			.query = {{"filters", text}},
			.what = "list the layers that were kept"},
		ret, err);
}

static bool is_reference_of(const char *reference, const char *repository, const char *id)
{
	size_t n = strlen(repository);

	return strncmp(reference, repository, n) == 0 && reference[n] == ':' &&
	       strncmp(reference + n + 1, id, strlen(id)) == 0;
}

static int remove_names(struct docker_guest *g, const json_t *image, struct err *err)
{
	json_t *tags = json_object_get(image, "RepoTags"), *tag;
	const char *id = g->definition.guest.id;
	size_t i;
	int r = 0;

	json_array_foreach (tags, i, tag) {
		const char *reference = json_string_value(tag) ?: "";

		if (r == 0 && (is_reference_of(reference, IMAGE_SNAPSHOTS, id) ||
				      is_reference_of(reference, IMAGE_LAYERS, id)))
			r = remove_image(g, reference, true, err);
	}
	return r;
}

int layer_remove_all(struct docker_guest *g, struct err *err)
{
	json_t *list = NULL, *image;
	size_t i;
	int r = list_kept(g, &list, err);

	json_array_foreach (list, i, image) {
		if (r == 0)
			r = remove_names(g, image, err);
		if (r == 0)
			layer_forget(g, reply_text_or_none(image, "Id"));
	}
	json_decref(list);
	return r;
}

/* --- What the agent asks for ------------------------------------------------------------------ */

#define CALL_MS 295000

static int keep(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	char reference[LAYER_REFERENCE_MAX], id[LAYER_ID_MAX];
	const char *tag;
	json_t *info = NULL;
	int r;

	(void)ret;
	layer_reference(g->definition.guest.id, name, reference);
	tag = strchr(reference, ':') + 1;
	if (inspect(g->engine, reference, &info, NULL) == 0) {
		json_decref(info);
		return 0;
	}
	if (!g->info)
		return err_set(err, ERR_DRIVER, NULL,
			"the container of guest %s was removed by hand: there is no layer to keep",
			g->definition.guest.id);
	r = hold_by_dockerd(g, err);
	if (r < 0)
		return r;
	r = layer_keep(g, guest_container(g), IMAGE_SNAPSHOTS, tag, id, err);
	hold_by_dockerd_end(g, r == 0);
	return r;
}

static int drop(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	char reference[LAYER_REFERENCE_MAX];

	(void)ret;
	layer_reference(g->definition.guest.id, name, reference);
	return remove_image(g, reference, true, err);
}

/* Its container that is aside, or that is not; a copy of the id, NULL: there is none. */
static int find(struct docker_guest *g, bool aside, char **ret, struct err *err)
{
	const char *id = g->definition.guest.id;
	json_t *list = NULL, *entry, *found = NULL;
	size_t i;
	int r = guest_containers(g->engine, g->docker, id, &list, err);

	if (r < 0)
		return r;
	json_array_foreach (list, i, entry)
		if (aside && guest_is_aside(entry))
			found = entry;
	if (!aside)
		found = guest_choose(list, id, NULL);
	*ret = found ? strdup(reply_text_or_none(found, "Id")) : NULL;
	json_decref(list);
	return 0;
}

static int save(struct docker_guest *g, struct err *err)
{
	const char *container = guest_container(g);
	json_t *own = container ? json_pack("{s:s}", OWN_CONTAINER, container) : NULL;
	int r = definition_save(g->paths.definition, &g->definition.guest, own, err);

	json_decref(own);
	return r;
}

/* What a restore before this one has put aside stays so: it is what the guest had. */
static int put_aside(struct docker_guest *g, const char *aside, struct err *err)
{
	AUTOFREE char *current = NULL;
	int r = find(g, false, &current, err);

	if (r < 0 || !current)
		return r;
	return aside ? make_remove(g, current, err)
		     : make_rename(g, current, &g->definition.guest, DEFINE_NAME_ASIDE, err);
}

static int restore(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	CLEANUP(make_finish) struct make m = {0};
	AUTOFREE char *aside = NULL;
	char reference[LAYER_REFERENCE_MAX];
	json_t *config = NULL, *variables = NULL;
	int r;

	(void)ret;
	if (guest_is_active(g))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is running",
			g->definition.guest.id);
	layer_reference(g->definition.guest.id, name, reference);
	/* Before anything is changed. */
	r = layer_config(g->engine, reference, &config, &variables, err);
	json_decref(config);
	json_decref(variables);
	if (r == 0)
		r = make_begin(g, &g->definition.guest, &m, err);
	if (r == 0)
		r = find(g, true, &aside, err);
	if (r == 0)
		r = put_aside(g, aside, err);
	fault_point("driver.docker.restore.aside");
	if (r == 0)
		r = make_from(&m, reference, DEFINE_NAME, err);
	fault_point("driver.docker.restore.made");
	return r == 0 ? save(g, err) : r;
}

static int undo(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	AUTOFREE char *aside = NULL, *current = NULL;
	int r = find(g, true, &aside, err);

	(void)name;
	(void)ret;
	if (r < 0 || !aside)
		return r;
	r = find(g, false, &current, err);
	if (r == 0 && current)
		r = make_remove(g, current, err);
	fault_point("driver.docker.undo.removed");
	if (r == 0)
		r = make_rename(g, aside, &g->definition.guest, DEFINE_NAME, err);
	if (r == 0)
		r = guest_look(g, err);
	return r == 0 ? save(g, err) : r;
}

static int finish(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	AUTOFREE char *aside = NULL;
	json_t *info = NULL;
	int r = find(g, true, &aside, err);

	(void)name;
	(void)ret;
	if (r < 0 || !aside)
		return r;
	r = guest_inspect(g->engine, aside, &info, err);
	if (r == 0)
		r = make_remove(g, aside, err);
	if (r == 0)
		layer_forget(g, reply_text_or_none(info, "Image"));
	if (r == 0)
		destroy_unused_volumes(g);
	json_decref(info);
	return r;
}

static int usage(
	struct docker_guest *g, const char *name, struct driver_layer_result *ret, struct err *err)
{
	json_t *info = NULL;
	const char *size;
	int r;

	(void)name;
	if (!ret || !g->info)
		return 0;
	r = engine_call(g->engine,
		&(struct engine_request){.path = "/containers/{}/json",
			.name = guest_container(g),
			.query = {{"size", "1"}},
			.what = "measure the container's layer"},
		&info, err);
	if (r < 0)
		return r;
	*ret = (struct driver_layer_result){.used = (uint64_t)reply_number_or_none(info, "SizeRw")};
	size = reply_text_or_none(info, "HostConfig.StorageOpt.size");
	ret->bounded = parse_u64(size, UINT64_MAX, &ret->size) == 0;
	json_decref(info);
	return 0;
}

static int (*const WORKS[])(struct docker_guest *g, const char *name,
	struct driver_layer_result *ret, struct err *err) = {
	[DRIVER_LAYER_KEEP] = keep,
	[DRIVER_LAYER_DROP] = drop,
	[DRIVER_LAYER_RESTORE] = restore,
	[DRIVER_LAYER_RESTORE_UNDO] = undo,
	[DRIVER_LAYER_RESTORE_FINISH] = finish,
	[DRIVER_LAYER_USAGE] = usage,
};

int docker_layer(struct driver *d, const char *id, const struct driver_layer_work *work,
	struct driver_layer_result *ret, struct err *err)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	int r = guest_connect(d, id, CALL_MS, &g, err);

	return r < 0 ? r : WORKS[work->op](&g, work->name, ret, err);
}
