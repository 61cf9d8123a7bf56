/* Layers, kept as images: how they are made, told apart and let go of. */
#include "drivers/docker/layer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "drivers/docker/flatten.h"
#include "drivers/docker/image.h"
#include "drivers/docker/probe.h"
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

/* Of an image as dockerd describes it; a new reference. */
static json_t *config_of(const json_t *image)
{
	const json_t *config = json_object_get(image, "Config");
	const char *text =
		json_string_value(json_object_get(json_object_get(config, "Labels"), LABEL_CONFIG));
	json_t *kept = text ? json_loads(text, 0, NULL) : NULL;

	return kept ? kept : excerpt(config);
}

static size_t layers_of(const json_t *image)
{
	return json_array_size(reply_at(image, "RootFS.Layers"));
}

int layer_look(struct engine *engine, const char *image, struct layer *ret, struct err *err)
{
	json_t *info = NULL;
	int r = inspect(engine, image, &info, err);

	if (r < 0)
		return r;
	*ret = (struct layer){.config = config_of(info),
		.variables = json_incref(reply_at(info, "Config.Env")),
		.layers = layers_of(info)};
	json_decref(info);
	return 0;
}

void layer_finish(struct layer *layer)
{
	json_decref(layer->config);
	json_decref(layer->variables);
}

/* --- Keeping ---------------------------------------------------------------------------------- */

void layer_reference(const char *guest, const char *name, char ret[static LAYER_REFERENCE_MAX])
{
	snprintf(ret, LAYER_REFERENCE_MAX, IMAGE_SNAPSHOTS ":%s-%s", guest, name);
}

static json_t *labels_for(const struct docker_guest *g, const json_t *config)
{
	AUTOFREE char *text = json_dumps(config, JSON_COMPACT);

	return json_pack("{s:s, s:s, s:s}", LABEL_GUEST, g->definition.guest.id, LABEL_AGENT,
		g->docker->dirs.state, LABEL_CONFIG, text ? text : "{}");
}

/* As the image that it began as: without corpus-gate, so that people can run it, too. */
static json_t *commit_body(const struct docker_guest *g, const json_t *config)
{
	json_t *body = json_deep_copy(config);

	/* Left out, it would be that of the container. */
	if (!json_object_get(body, "Entrypoint"))
		json_object_set_new(body, "Entrypoint", json_array());
	json_object_set_new(body, "Labels", labels_for(g, config));
	return body;
}

static int commit(struct docker_guest *g, const char *container, const struct layer_wish *wish,
	const json_t *config, char ret[static LAYER_ID_MAX], struct err *err)
{
	json_t *body = commit_body(g, config), *answer = NULL;
	const char *id = "";
	int r = engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/commit",
			.query = {{"container", container}, {"repo", wish->repository},
				{"tag", wish->tag}},
			.body = body,
			.what = "keep the container's layer"},
		&answer, err);

	if (r == 0)
		r = reply_text(answer, "Id", &id, err);
	snprintf(ret, LAYER_ID_MAX, "%s", id);
	json_decref(answer);
	json_decref(body);
	return r;
}

static int find_id(struct docker_guest *g, const struct layer_wish *wish,
	char ret[static LAYER_ID_MAX], struct err *err)
{
	char reference[LAYER_REFERENCE_MAX];
	json_t *info = NULL;
	const char *id = "";
	int r;

	snprintf(reference, sizeof(reference), "%s:%s", wish->repository, wish->tag);
	r = inspect(g->engine, reference, &info, err);
	if (r == 0)
		r = reply_text(info, "Id", &id, err);
	snprintf(ret, LAYER_ID_MAX, "%s", id);
	json_decref(info);
	return r;
}

static int flatten(struct docker_guest *g, const char *container, const struct layer_wish *wish,
	const json_t *image, struct err *err)
{
	json_t *config = config_of(image), *labels = labels_for(g, config);
	struct flatten_as as = {.repository = wish->repository,
		.tag = wish->tag,
		.config = json_object_get(image, "Config"),
		.labels = labels};
	int r = flatten_container(g, container, &as, err);

	if (r == 0)
		log_info("driver.docker.flattened", "guest=%s layers=%zu", g->definition.guest.id,
			layers_of(image));
	json_decref(labels);
	json_decref(config);
	return r;
}

/* While there is room for one more layer, that will do. */
static int not_flattened(const struct docker_guest *g, const struct layer_wish *wish, size_t layers,
	const struct err *failed, struct err *err)
{
	if (wish->surely || layers >= LAYERS_LIMIT)
		return err_set(err, failed->code, NULL,
			"the container of guest %s lies on %zu layers, of which Docker takes %d, "
			"and they cannot be made one: %s",
			g->definition.guest.id, layers, LAYERS_LIMIT, failed->message);
	log_warning("driver.docker.not_flattened", "guest=%s layers=%zu why=%s",
		g->definition.guest.id, layers, LOG_Q(failed->message));
	return 0;
}

/* What an export copies is to stand still; only what keeps a layer does dockerd itself hold. */
static int flatten_still(struct docker_guest *g, const json_t *info, const struct layer_wish *wish,
	const json_t *image, struct err *err)
{
	if (!guest_is_still(g->docker, info))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "the guest runs: stop it first");
	return flatten(g, reply_text_or_none(info, "Id"), wish, image, err);
}

static int keep_on(struct docker_guest *g, const json_t *info, const struct layer_wish *wish,
	const json_t *image, char ret[static LAYER_ID_MAX], struct err *err)
{
	struct err failed = {0};
	json_t *config;
	int r;

	if (layers_of(image) >= wish->most) {
		if (flatten_still(g, info, wish, image, &failed) == 0)
			return find_id(g, wish, ret, err);
		r = not_flattened(g, wish, layers_of(image), &failed, err);
		if (r < 0)
			return r;
	}
	config = config_of(image);
	r = commit(g, reply_text_or_none(info, "Id"), wish, config, ret, err);
	json_decref(config);
	return r;
}

/* What root of a privileged guest writes is root's of the node, whom a dockerd with userns-remap
 * does not know in its containers: it would leave that out, and say so to its log alone. */
static int check_owners(struct docker_guest *g, const json_t *container, struct err *err)
{
	const char *name = reply_text_or_none(container, "Name");
	json_t *info = NULL;
	bool remaps;
	int r;

	if (strcmp(reply_text_or_none(container, "HostConfig.UsernsMode"), "host") != 0)
		return 0;
	r = engine_call(g->engine,
		&(struct engine_request){.path = "/info", .what = "ask dockerd how it is set up"},
		&info, err);
	remaps = probe_has_security(info, "userns");
	json_decref(info);
	if (r < 0 || !remaps)
		return r;
	return err_set(err, ERR_UNSUPPORTED, "privileged",
		"dockerd has userns-remap, and so would not keep what root of a privileged guest "
		"wrote outside of its data: neither can it be kept for a snapshot or clone, nor "
		"for a container with other settings (docker rm %.72s does without it)",
		name + strspn(name, "/"));
}

int layer_keep(struct docker_guest *g, const char *container, const struct layer_wish *wish,
	char ret[static LAYER_ID_MAX], struct err *err)
{
	json_t *info = NULL, *image = NULL;
	int r = guest_inspect(g->engine, container, &info, err);

	if (r == 0 && !info)
		r = err_set(err, ERR_DRIVER, NULL, "the container of guest %s is gone",
			g->definition.guest.id);
	if (r == 0)
		r = check_owners(g, info, err);
	if (r == 0)
		r = inspect(g->engine, reply_text_or_none(info, "Image"), &image, err);
	if (r == 0)
		r = keep_on(g, info, wish, image, ret, err);
	fault_point("driver.docker.layer.kept");
	json_decref(image);
	json_decref(info);
	return r;
}

/* --- Removing --------------------------------------------------------------------------------- */

#define TRIES 3

static int ask_to_remove(struct docker_guest *g, const char *image, bool force, struct err *err)
{
	return engine_call(g->engine,
		&(struct engine_request){.method = "DELETE",
			.path = "/images/{}",
			.name = image,
			.query = {{"force", force ? "1" : NULL}},
			.what = "remove a layer that was kept"},
		NULL, err);
}

static int remove_image(struct docker_guest *g, const char *image, bool force, struct err *err)
{
	struct err failed = {0};
	int r = ask_to_remove(g, image, force, &failed);

	/* dockerd fails on what goes while it looks at it, because of another removal. */
	for (int i = 1; r < 0 && failed.code == ERR_DRIVER && i < TRIES; i++) {
		failed = (struct err){0};
		r = ask_to_remove(g, image, force, &failed);
	}
	/* Another one is based on it, or runs in it: it goes with that. */
	if (r < 0 && (failed.code == ERR_NOT_FOUND || failed.code == ERR_CONFLICT))
		return 0;
	if (r < 0 && err)
		*err = failed;
	return r;
}

int layer_drop(struct docker_guest *g, const char *reference, struct err *err)
{
	return remove_image(g, reference, true, err);
}

static bool is_ours(const struct docker_guest *g, const json_t *labels)
{
	const char *agent = json_string_value(json_object_get(labels, LABEL_AGENT));

	return agent && strcmp(agent, g->docker->dirs.state) == 0 &&
	       json_object_get(labels, LABEL_CONFIG);
}

/* That of a layer of which a container is made says only what it is for. */
static bool has_name(const json_t *image)
{
	json_t *tags = json_object_get(image, "RepoTags"), *tag;
	size_t i;

	json_array_foreach (tags, i, tag) {
		const char *name = json_string_value(tag) ?: "";

		if (strcmp(name, "<none>:<none>") != 0 &&
			strncmp(name, IMAGE_LAYERS ":", strlen(IMAGE_LAYERS ":")) != 0)
			return true;
	}
	return false;
}

/* dockerd knows which are in use, and keeps those. */
static void forget(struct docker_guest *g, const json_t *image, const json_t *labels)
{
	if (is_ours(g, labels) && !has_name(image))
		remove_image(g, reply_text_or_none(image, "Id"), false, NULL);
}

void layer_forget(struct docker_guest *g, const char *image)
{
	json_t *info = NULL;

	if (image[0] && inspect(g->engine, image, &info, NULL) == 0)
		forget(g, info, reply_at(info, "Config.Labels"));
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

void layer_tidy(struct docker_guest *g)
{
	json_t *list = NULL, *image;
	size_t i;

	if (list_kept(g, &list, NULL) < 0)
		return;
	json_array_foreach (list, i, image)
		forget(g, image, json_object_get(image, "Labels"));
	json_decref(list);
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
