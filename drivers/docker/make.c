/* Making containers. */
#include "drivers/docker/make.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/libexec.h"
#include "base/log.h"
#include "base/strv.h"
#include "drivers/docker/bounds.h"
#include "drivers/docker/container.h"
#include "drivers/docker/data.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/docker/image.h"
#include "drivers/docker/layer.h"
#include "drivers/docker/merge.h"
#include "drivers/docker/probe.h"
#include "drivers/docker/reply.h"

#define GATE	"corpus-gate"
#define ANEW_MS 290000 /* of the time that driver.h gives to create */

void make_finish(struct make *m)
{
	json_decref(m->additions);
	free(m->gate);
}

int make_begin(
	struct docker_guest *g, const struct driver_guest *guest, struct make *ret, struct err *err)
{
	int r;

	*ret = (struct make){.g = g, .guest = guest};
	r = define_check(guest, err);
	if (r == 0)
		r = bounds_check(g->docker, guest, err);
	if (r == 0)
		r = merge_read(
			g->docker->dirs.additions, guest, g->docker->socket, &ret->additions, err);
	if (r == 0)
		r = libexec_find(GATE, &ret->gate, err);
	return r == 0 ? container_definition(guest, ret->gate, g->paths.gate, ret->additions,
				ret->definition, err)
		      : r;
}

/* --- Names and removals ----------------------------------------------------------------------- */

static int rename_to(
	struct docker_guest *g, const char *container, const char *name, struct err *err)
{
	return engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/containers/{}/rename",
			.name = container,
			.query = {{"name", name}},
			.what = "rename the container"},
		NULL, err);
}

int make_rename(struct docker_guest *g, const char *container, const struct driver_guest *guest,
	enum define_name which, struct err *err)
{
	char name[DEFINE_NAME_MAX];
	struct err failed = {0};
	int r = rename_to(g, container, define_name(guest, which, name), &failed);

	if (r < 0 && failed.code == ERR_CONFLICT && which == DEFINE_NAME)
		return make_rename(g, container, guest, DEFINE_NAME_ELSE, err);
	if (r < 0 && err)
		*err = failed;
	return r;
}

static int ask_to_remove(struct docker_guest *g, const char *container, struct err *err)
{
	return engine_call(g->engine,
		&(struct engine_request){.method = "DELETE",
			.path = "/containers/{}",
			.name = container,
			.query = {{"force", "1"}, {"v", "1"}},
			.what = "remove the container"},
		NULL, err);
}

/* dockerd goes on with what nobody waits for any more, and does not begin twice. */
static bool is_under_way(const struct err *failed)
{
	return failed->code == ERR_CONFLICT && strstr(failed->message, "already in progress");
}

/* It may also fail. */
static int await_removal(struct docker_guest *g, const char *container, struct err *err)
{
	return engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/containers/{}/wait",
			.name = container,
			.query = {{"condition", "removed"}},
			.what = "wait until the container is removed"},
		NULL, err);
}

int make_remove(struct docker_guest *g, const char *container, struct err *err)
{
	struct err failed = {0};
	int r = ask_to_remove(g, container, &failed);

	if (r < 0 && is_under_way(&failed)) {
		failed = (struct err){0};
		r = await_removal(g, container, &failed);
		if (r == 0)
			r = ask_to_remove(g, container, &failed);
	}
	if (r < 0 && failed.code == ERR_NOT_FOUND)
		return 0;
	if (r < 0 && err)
		*err = failed;
	return r;
}

/* --- Making one ------------------------------------------------------------------------------- */

/* Whether dockerd's storage can bound layers is found out by trying, once for each run of the
 * driver. */
static int unbounded_path(const struct docker *docker, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/unbounded", docker->dirs.run);
}

void make_forget(const struct docker *docker)
{
	char path[PATH_MAX];

	if (unbounded_path(docker, path) == 0)
		unlink(path);
}

static bool knows_unbounded(const struct docker *docker)
{
	char path[PATH_MAX];

	return unbounded_path(docker, path) < 0 || access(path, F_OK) == 0;
}

static void note_unbounded(const struct docker *docker)
{
	char path[PATH_MAX];

	if (unbounded_path(docker, path) == 0)
		file_replace(path, "", 0600, false);
}

static int create(struct make *m, const json_t *body, enum define_name which, const char **ret,
	json_t **answer, struct err *err)
{
	char name[DEFINE_NAME_MAX];
	struct err failed = {0};
	int r = engine_call(m->g->engine,
		&(struct engine_request){.method = "POST",
			.path = "/containers/create",
			.query = {{"name", define_name(m->guest, which, name)}},
			.body = (json_t *)body,
			.what = "make the container"},
		answer, &failed);

	if (r == 0)
		return reply_text(*answer, "Id", ret, err);
	if (failed.code == ERR_CONFLICT && which == DEFINE_NAME)
		return create(m, body, DEFINE_NAME_ELSE, ret, answer, err);
	if (err)
		*err = failed;
	return r;
}

/* As dockerd says, with one code or another, of storage that cannot. */
static bool is_refusal(const struct err *err)
{
	return err->code == ERR_DRIVER || err->code == ERR_INVALID;
}

/* What would only be taken for a bound is no bound. */
static int may_bound(const struct make *m, bool *ret, struct err *err)
{
	static const struct engine_request ask = {
		.path = "/info", .what = "ask dockerd how it is set up"};
	json_t *info = NULL;
	int r = 0;

	*ret = m->guest->container->layer_size && !knows_unbounded(m->g->docker);
	if (*ret)
		r = engine_call(m->g->engine, &ask, &info, err);
	if (r == 0 && *ret && probe_ignores_sizes(info)) {
		*ret = false;
		note_unbounded(m->g->docker);
	}
	json_decref(info);
	return r;
}

static int create_unbounded(struct make *m, json_t *body, enum define_name which, const char **ret,
	json_t **answer, struct err *err)
{
	int r;

	json_object_del(json_object_get(body, "HostConfig"), "StorageOpt");
	r = create(m, body, which, ret, answer, err);
	if (r == 0)
		note_unbounded(m->g->docker);
	return r;
}

static int create_bounded(struct make *m, struct container_plan *plan, enum define_name which,
	const char **ret, json_t **answer, struct err *err)
{
	struct err failed = {0};
	json_t *body = NULL;
	int r = may_bound(m, &plan->bounded, err);

	if (r == 0)
		r = container_render(plan, &body, err);
	if (r < 0)
		return r;
	r = create(m, body, which, ret, answer, &failed);
	if (r < 0 && plan->bounded && is_refusal(&failed))
		r = create_unbounded(m, body, which, ret, answer, err);
	else if (r < 0 && err)
		*err = failed;
	json_decref(body);
	return r;
}

static int make_with(
	struct make *m, struct container_plan *plan, enum define_name which, struct err *err)
{
	CLEANUP(strv_freep) char **data = NULL;
	json_t *answer = NULL;
	const char *id = NULL;
	int r = data_paths(m->guest, plan->config, &data, err);

	if (r == 0)
		r = data_prepare(m->guest, data, err);
	if (r == 0)
		r = gatekeeper_lay(m->g->paths.gate, err);
	if (r < 0)
		return r;
	plan->data = data;
	fault_point("driver.docker.make.prepared");
	r = create_bounded(m, plan, which, &id, &answer, err);
	fault_point("driver.docker.make.created");
	if (r == 0) {
		json_decref(m->g->info);
		m->g->info = NULL;
		r = guest_inspect(m->g->engine, id, &m->g->info, err);
	}
	json_decref(answer);
	return r;
}

int make_from(struct make *m, const char *from, enum define_name which, struct err *err)
{
	CLEANUP(layer_finish) struct layer layer = {0};
	struct container_plan plan = {.guest = m->guest,
		.from = from,
		.gate = m->gate,
		.gate_dir = m->g->paths.gate,
		.agent = m->g->docker->dirs.state,
		.definition = m->definition,
		.additions = m->additions};
	int r = layer_look(m->g->engine, from, &layer, err);

	plan.config = layer.config;
	plan.variables = layer.variables;
	return r == 0 ? make_with(m, &plan, which, err) : r;
}

/* --- Anew ------------------------------------------------------------------------------------- */

/* The one that it was made of may have been a layer of ours that nobody needs any more. */
int make_remove_container(struct docker_guest *g, const char *container, struct err *err)
{
	json_t *info = NULL;
	int r = guest_inspect(g->engine, container, &info, err);

	if (r == 0 && info)
		r = make_remove(g, container, err);
	if (r == 0 && info)
		layer_forget(g, reply_text_or_none(info, "Image"));
	json_decref(info);
	return r;
}

/* By one of that layer. */
static int replace(struct make *m, const char *old, const char *layer, struct err *err)
{
	int r = make_from(m, layer, DEFINE_NAME_NEW, err);

	if (r == 0)
		r = make_remove_container(m->g, old, err);
	fault_point("driver.docker.make.replaced");
	if (r == 0) {
		layer_tidy(m->g);
		destroy_unused_volumes(m->g);
	}
	return r == 0 ? make_rename(m->g, guest_container(m->g), m->guest, DEFINE_NAME, err) : r;
}

static int keep(struct make *m, const char *old, bool flat, char layer[static LAYER_ID_MAX],
	struct err *err)
{
	struct layer_wish wish = {.repository = IMAGE_LAYERS,
		.tag = m->guest->id,
		.most = m->g->docker->layers_most,
		.surely = flat};
	int r = layer_keep(m->g, old, &wish, layer, err);

	fault_point("driver.docker.make.kept");
	return r;
}

static int make_anew(struct make *m, const char *old, struct err *err)
{
	char layer[LAYER_ID_MAX];
	int r;

	engine_allow(m->g->engine, ANEW_MS);
	r = keep(m, old, false, layer, err);
	return r == 0 ? replace(m, old, layer, err) : r;
}

/* One that cannot be made so will do as it is. */
int make_flat(struct make *m, struct err *err)
{
	AUTOFREE char *old = strdup(guest_container(m->g));
	char layer[LAYER_ID_MAX];
	struct err failed = {0};

	if (!old)
		return err_errno(err, ENOMEM, "no memory for a container");
	if (keep(m, old, true, layer, &failed) == 0)
		return replace(m, old, layer, err);
	log_warning("driver.docker.not_flattened", "guest=%s why=%s", m->guest->id,
		LOG_Q(failed.message));
	return 0;
}

/* --- At first --------------------------------------------------------------------------------- */

static int make_first(struct make *m, struct err *err)
{
	const struct driver_container *c = m->guest->container;
	char from[LAYER_REFERENCE_MAX];
	struct err failed = {0};
	int r;

	if (json_object_get(m->g->definition.own, OWN_CONTAINER))
		log_warning("driver.docker.layer_lost", "guest=%s", m->guest->id);
	if (c->layer_of && c->layer)
		layer_reference(c->layer_of, c->layer, from);
	r = make_from(m, c->layer_of && c->layer ? from : c->image, DEFINE_NAME, &failed);
	if (r < 0 && failed.code == ERR_NOT_FOUND)
		return err_set(err, ERR_DRIVER, "image", "%s", failed.message);
	if (r < 0 && err)
		*err = failed;
	return r;
}

/* --- Settling --------------------------------------------------------------------------------- */

/* A layer without a bound has no size that could be another. */
static bool is_bound_as_wanted(const struct make *m, const json_t *info)
{
	uint64_t size;

	return reply_at(m->additions, "HostConfig.StorageOpt") || !guest_layer_bound(info, &size) ||
	       size == m->guest->container->layer_size;
}

static bool is_made_as_wanted(const struct make *m, const json_t *info)
{
	const json_t *labels = reply_at(info, "Config.Labels");
	const char *definition = json_string_value(json_object_get(labels, LABEL_DEFINITION));

	return definition && strcmp(definition, m->definition) == 0 && is_bound_as_wanted(m, info);
}

static bool is_named_as_wanted(const struct make *m, const json_t *info)
{
	char name[DEFINE_NAME_MAX], other[DEFINE_NAME_MAX];
	const char *is = reply_text_or_none(info, "Name");

	return is[0] == '/' &&
	       (strcmp(is + 1, define_name(m->guest, DEFINE_NAME, name)) == 0 ||
		       strcmp(is + 1, define_name(m->guest, DEFINE_NAME_ELSE, other)) == 0);
}

/* The one to go on with: what runs; what was made by these facts already; what there is. */
static json_t *choose(const struct make *m, const json_t *list)
{
	const char *kept = json_string_value(json_object_get(m->g->definition.own, OWN_CONTAINER));
	json_t *chosen = guest_choose(list, m->guest->id, kept), *entry;
	size_t i;

	if (!chosen || guest_entry_is_active(chosen))
		return chosen;
	json_array_foreach ((json_t *)list, i, entry) {
		const json_t *labels = json_object_get(entry, "Labels");
		const char *by = json_string_value(json_object_get(labels, LABEL_DEFINITION));

		if (!guest_is_aside(entry) && by && strcmp(by, m->definition) == 0)
			chosen = entry;
	}
	return chosen;
}

/* What an attempt that was cut short has left. None of them ever ran since. */
static int remove_others(struct make *m, const json_t *list, const json_t *chosen, struct err *err)
{
	json_t *entry;
	size_t i;
	int r = 0;

	json_array_foreach ((json_t *)list, i, entry)
		if (r == 0 && entry != chosen && !guest_is_aside(entry))
			r = make_remove_container(m->g, reply_text_or_none(entry, "Id"), err);
	return r;
}

static void forget_info(struct docker_guest *g)
{
	json_decref(g->info);
	g->info = NULL;
}

static int settle_one(struct make *m, const json_t *chosen, struct err *err)
{
	const char *id = reply_text_or_none(chosen, "Id");
	int r = guest_inspect(m->g->engine, id, &m->g->info, err);

	if (r < 0 || guest_entry_is_active(chosen))
		return r;
	if (!is_made_as_wanted(m, m->g->info)) {
		forget_info(m->g);
		return make_anew(m, id, err);
	}
	return is_named_as_wanted(m, m->g->info)
		       ? 0
		       : make_rename(m->g, id, m->guest, DEFINE_NAME, err);
}

/* A restore that was cut short between its two steps: what was put aside is all that there is. */
static json_t *find_aside(const json_t *list)
{
	json_t *entry;
	size_t i;

	json_array_foreach ((json_t *)list, i, entry)
		if (guest_is_aside(entry))
			return entry;
	return NULL;
}

static int settle_list(struct make *m, const json_t *list, struct err *err)
{
	json_t *chosen = choose(m, list), *aside = find_aside(list);
	int r;

	forget_info(m->g);
	if (!chosen && aside) {
		r = make_rename(m->g, reply_text_or_none(aside, "Id"), m->guest, DEFINE_NAME, err);
		return r == 0 ? settle_one(m, aside, err) : r;
	}
	if (!chosen)
		return make_first(m, err);
	r = remove_others(m, list, chosen, err);
	return r == 0 ? settle_one(m, chosen, err) : r;
}

int make_settle(struct make *m, struct err *err)
{
	json_t *list = NULL;
	int r;

	if (m->g->info && is_made_as_wanted(m, m->g->info) && is_named_as_wanted(m, m->g->info))
		return 0;
	r = guest_containers(m->g, &list, err);
	if (r == 0)
		r = settle_list(m, list, err);
	json_decref(list);
	return r;
}
