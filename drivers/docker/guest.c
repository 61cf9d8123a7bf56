/* One guest for the time of a call. */
#include "drivers/docker/guest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"
#include "drivers/docker/gatekeeper.h"
#include "drivers/docker/reply.h"

#define NAME_PREFIX  "/corpus-" /* as dockerd tells names */
#define SUFFIX_ASIDE ".aside"

void guest_finish(struct docker_guest *g)
{
	json_decref(g->info);
	g->info = NULL;
	g->engine = engine_close(g->engine);
	definition_finish(&g->definition);
}

int guest_load(struct driver *d, const char *id, struct docker_guest *g, struct err *err)
{
	int r;

	g->docker = (struct docker *)d;
	r = docker_paths(g->docker, id, &g->paths, err);
	return r < 0 ? r
		     : definition_load(g->paths.definition, DOCKER_TITLE, id, &g->definition, err);
}

int guest_connect(struct driver *d, const char *id, uint64_t timeout_ms, struct docker_guest *g,
	struct err *err)
{
	int r = guest_load(d, id, g, err);

	if (r == 0)
		r = engine_open(g->docker->socket, timeout_ms, &g->engine, err);
	return r == 0 ? guest_look(g, err) : r;
}

int guest_running(struct driver *d, const char *id, uint64_t timeout_ms, struct docker_guest *g,
	struct err *err)
{
	int r = guest_connect(d, id, timeout_ms, g, err);

	if (r < 0)
		return r;
	if (!guest_is_active(g) || gatekeeper_holds(guest_init(g)))
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	return 0;
}

/* --- Containers ------------------------------------------------------------------------------- */

int guest_inspect(struct engine *engine, const char *container, json_t **ret, struct err *err)
{
	return guest_inspect_for(engine, container, 0, ret, err);
}

int guest_inspect_for(struct engine *engine, const char *container, uint64_t timeout_ms,
	json_t **ret, struct err *err)
{
	struct err failed = {0};
	int r = engine_call(engine,
		&(struct engine_request){.path = "/containers/{}/json",
			.name = container,
			.what = "look at the container",
			.timeout_ms = timeout_ms},
		ret, &failed);

	if (r < 0 && failed.code == ERR_NOT_FOUND) {
		*ret = NULL;
		return 0;
	}
	if (r < 0 && err)
		*err = failed;
	return r;
}

json_t *guest_filters(const struct docker *docker, const char *id)
{
	json_t *labels = json_array();

	json_array_append_new(labels, json_sprintf(LABEL_AGENT "=%s", docker->dirs.state));
	if (id)
		json_array_append_new(labels, json_sprintf(LABEL_GUEST "=%s", id));
	return json_pack("{s:o}", "label", labels);
}

/* The one by which it is ours, "" for none. It has others where somebody's container is linked to
 * it: "/theirs/alias". */
static const char *name_of(const json_t *entry)
{
	const json_t *names = json_object_get(entry, "Names"), *value;
	size_t i, n = strlen(NAME_PREFIX);

	json_array_foreach (names, i, value) {
		const char *name = json_string_value(value);

		if (name && strncmp(name, NAME_PREFIX, n) == 0 && !strchr(name + 1, '/'))
			return name;
	}
	return "";
}

static bool is_kept(const json_t *entry, const char *kept)
{
	return kept && strcmp(reply_text_or_none(entry, "Id"), kept) == 0;
}

/* Who makes an image of a container of ours by hand, and a container of that, copies labels. */
static void remove_foreign(json_t *list, const char *kept)
{
	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *entry = json_array_get(list, i);

		if (name_of(entry)[0] == '\0' && !is_kept(entry, kept))
			json_array_remove(list, i);
	}
}

static int list_containers(
	struct engine *engine, json_t *filters, const char *kept, json_t **ret, struct err *err)
{
	AUTOFREE char *text = json_dumps(filters, JSON_COMPACT);
	json_t *list = NULL;
	int r;

	json_decref(filters);
	if (!text)
		return err_errno(err, ENOMEM, "no memory for a list");
	r = engine_call(engine,
		&(struct engine_request){.path = "/containers/json",
			.query = {{"all", "1"}, {"filters", text}},
			.what = "list containers"},
		&list, err);
	if (r < 0)
		return r;
	remove_foreign(list, kept);
	*ret = list;
	return 0;
}

int guest_all_containers(
	struct engine *engine, const struct docker *docker, json_t **ret, struct err *err)
{
	return list_containers(engine, guest_filters(docker, NULL), NULL, ret, err);
}

static const char *kept_container(const struct docker_guest *g)
{
	return json_string_value(json_object_get(g->definition.own, OWN_CONTAINER));
}

int guest_containers(struct docker_guest *g, json_t **ret, struct err *err)
{
	return list_containers(g->engine, guest_filters(g->docker, g->definition.guest.id),
		kept_container(g), ret, err);
}

bool guest_is_aside(const json_t *entry)
{
	const char *name = name_of(entry);
	size_t n = strlen(name), s = strlen(SUFFIX_ASIDE);

	return n > s && strcmp(name + n - s, SUFFIX_ASIDE) == 0;
}

bool guest_entry_is_active(const json_t *entry)
{
	static const char *const states[] = {"running", "paused", "restarting"};
	const char *state = reply_text_or_none(entry, "State");

	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (strcmp(state, states[i]) == 0)
			return true;
	return false;
}

static bool is_of(const json_t *entry, const char *id)
{
	const char *of =
		json_string_value(json_object_get(json_object_get(entry, "Labels"), LABEL_GUEST));

	return of && strcmp(of, id) == 0;
}

json_t *guest_choose(const json_t *list, const char *id, const char *container)
{
	json_t *best = NULL, *entry;
	size_t i;

	json_array_foreach ((json_t *)list, i, entry) {
		if (!is_of(entry, id) || guest_is_aside(entry))
			continue;
		if (container && strcmp(reply_text_or_none(entry, "Id"), container) == 0)
			return entry;
		if (!best || guest_entry_is_active(entry))
			best = entry;
	}
	return best;
}

/* --- Its container ---------------------------------------------------------------------------- */

static int look_for(struct docker_guest *g, struct err *err)
{
	json_t *list = NULL, *chosen;
	int r = guest_containers(g, &list, err);

	if (r < 0)
		return r;
	chosen = guest_choose(list, g->definition.guest.id, NULL);
	if (chosen)
		r = guest_inspect(g->engine, reply_text_or_none(chosen, "Id"), &g->info, err);
	json_decref(list);
	return r;
}

int guest_look(struct docker_guest *g, struct err *err)
{
	const char *kept = kept_container(g);
	int r = 0;

	json_decref(g->info);
	g->info = NULL;
	if (kept)
		r = guest_inspect(g->engine, kept, &g->info, err);
	return r == 0 && !g->info ? look_for(g, err) : r;
}

const char *guest_container(const struct docker_guest *g)
{
	return json_string_value(json_object_get(g->info, "Id"));
}

bool guest_is_active(const struct docker_guest *g)
{
	return reply_is_true(g->info, "State.Running") ||
	       reply_is_true(g->info, "State.Restarting");
}

bool guest_layer_bound(const json_t *info, uint64_t *ret_size)
{
	const char *size = reply_text_or_none(info, "HostConfig.StorageOpt.size");

	return parse_u64(size, UINT64_MAX, ret_size) == 0;
}

#define CGROUP_MAX 16384

/* A pid may have passed to another process; its control groups bear the container's id. */
bool guest_has_process(const char *container, pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	return pid > 1 && container[0] && file_read(path, CGROUP_MAX, &text, NULL) == 0 &&
	       strstr(text, container);
}

static pid_t init_of(const json_t *info)
{
	pid_t pid = (pid_t)reply_number_or_none(info, "State.Pid");

	return guest_has_process(reply_text_or_none(info, "Id"), pid) ? pid : 0;
}

pid_t guest_init(const struct docker_guest *g)
{
	return init_of(g->info);
}

/* --- What it is ------------------------------------------------------------------------------- */

static bool is_paused(const json_t *info)
{
	return reply_is_true(info, "State.Paused");
}

static bool is_frozen(const struct docker *docker, const json_t *info, pid_t pid)
{
	struct cgroup group;
	int r = pid > 0 ? cgroup_of_process(
				  &docker->cgroups, pid, reply_text_or_none(info, "Id"), &group)
			: -ESRCH;

	if (r == 0)
		r = cgroup_frozen(&group);
	return r < 0 ? is_paused(info) : r == 1;
}

bool guest_is_frozen(const struct docker_guest *g)
{
	return is_frozen(g->docker, g->info, init_of(g->info));
}

bool guest_is_still(const struct docker *docker, const json_t *info)
{
	return !reply_is_true(info, "State.Running") || is_frozen(docker, info, init_of(info));
}

bool guest_is_settled(const struct docker *docker, const json_t *info)
{
	return is_frozen(docker, info, init_of(info)) == is_paused(info);
}

static enum guest_state state_of(const struct docker *docker, const json_t *info, pid_t pid)
{
	if (is_frozen(docker, info, pid))
		return GUEST_FROZEN;
	if (reply_is_true(info, "State.Restarting"))
		return GUEST_STARTING;
	if (!reply_is_true(info, "State.Running"))
		return GUEST_STOPPED;
	return pid > 0 && gatekeeper_holds(pid) ? GUEST_STARTING : GUEST_RUNNING;
}

#define TIME_MAX 64

static bool ended_by_us(const struct docker *docker, const char *id, const json_t *info)
{
	AUTOFREE char *text = NULL;
	struct docker_paths paths;

	return docker_paths(docker, id, &paths, NULL) == 0 &&
	       file_read(paths.ended, TIME_MAX, &text, NULL) == 0 &&
	       strcmp(text, reply_text_or_none(info, "State.StartedAt")) == 0;
}

/* As wait(2) has it, of a status of which a shell would say the same. */
static int exit_status_of(const struct docker *docker, const char *id, const json_t *info)
{
	const char *status = reply_text_or_none(info, "State.Status");

	if ((strcmp(status, "exited") != 0 && strcmp(status, "dead") != 0) ||
		ended_by_us(docker, id, info))
		return -1;
	return (int)(reply_number_or_none(info, "State.ExitCode") & 0xff) << 8;
}

void guest_status_of(
	const struct docker *docker, const char *id, const json_t *info, struct driver_status *ret)
{
	pid_t pid = reply_is_true(info, "State.Running") ? init_of(info) : 0;

	*ret = (struct driver_status){
		.state = state_of(docker, info, pid), .pid = pid, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	if (ret->state == GUEST_STOPPED && info)
		ret->exit_status = exit_status_of(docker, id, info);
}
