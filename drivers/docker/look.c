/* What guests are. */
#include "drivers/docker/look.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/docker/destroy.h"
#include "drivers/docker/guest.h"
#include "drivers/docker/reply.h"
#include "drivers/docker/stop.h"

#define ONE_MS 800 /* of the second that there is */
#define ALL_MS 4500

static void unknown(const char *id, struct driver_status *ret)
{
	*ret = (struct driver_status){.state = GUEST_UNKNOWN, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
}

/* Its program has not begun, or dockerd is yet to hear what its container is. */
static bool is_changing(const struct docker_guest *g, const struct driver_status *status)
{
	return (status->state == GUEST_STARTING && status->pid > 0) ||
	       !guest_is_settled(g->docker, g->info);
}

bool look_by(struct engine *engine, const struct docker *docker, const char *id,
	struct driver_status *ret, bool *ret_again)
{
	CLEANUP(guest_finish) struct docker_guest g = {0};
	bool known = guest_load((struct driver *)docker, id, &g, NULL) == 0;

	if (!known)
		return false;
	g.engine = engine;
	if (engine && guest_look(&g, NULL) == 0)
		guest_status_of(docker, id, g.info, ret);
	else
		unknown(id, ret);
	if (ret->state == GUEST_STOPPED)
		stop_clear(&g);
	if (ret_again)
		*ret_again = is_changing(&g, ret);
	g.engine = NULL; /* it is not ours */
	return true;
}

int look_one(
	const struct docker *docker, const char *id, struct driver_status *ret, struct err *err)
{
	AUTOENGINE struct engine *engine = NULL;
	struct docker_paths paths;
	int r = docker_paths(docker, id, &paths, err);

	if (r < 0)
		return r;
	if (definition_exists(paths.definition))
		engine_open(docker->socket, ONE_MS, &engine, NULL);
	return look_by(engine, docker, id, ret, NULL) ? 0
						      : definition_missing(DOCKER_TITLE, id, err);
}

/* --- All of them ------------------------------------------------------------------------------ */

struct look {
	const struct docker *docker;
	struct engine *engine; /* NULL: dockerd is away */
	json_t *containers;
	int64_t end_ns;
};

/* One that dockerd says nothing of leaves half of the time to the others. */
static uint64_t share_ms(const struct look *l)
{
	int64_t left = l->end_ns - clock_monotonic_ns();

	return left > 2000000 ? (uint64_t)(left / 2000000) : 1;
}

bool look_is_defined(const struct docker *docker, const char *id)
{
	struct docker_paths paths;

	return docker_paths(docker, id, &paths, NULL) == 0 && definition_exists(paths.definition);
}

/* One that was made and never ran says all by the list; what somebody has given another name is not
 * in it. */
static bool look_at(void *data, const char *id, struct driver_status *ret)
{
	const struct look *l = data;
	json_t *entry, *info = NULL;

	if (!look_is_defined(l->docker, id))
		return false;
	unknown(id, ret);
	if (!l->engine)
		return true;
	entry = guest_choose(l->containers, id, NULL);
	if (!entry)
		return look_by(l->engine, l->docker, id, ret, NULL);
	if (strcmp(reply_text_or_none(entry, "State"), "created") == 0)
		guest_status_of(l->docker, id, NULL, ret);
	else if (guest_inspect_for(
			 l->engine, reply_text_or_none(entry, "Id"), share_ms(l), &info, NULL) == 0)
		guest_status_of(l->docker, id, info, ret);
	json_decref(info);
	return true;
}

int look_all(
	const struct docker *docker, struct driver_status **ret, size_t *ret_count, struct err *err)
{
	AUTOENGINE struct engine *engine = NULL;
	struct look l = {
		.docker = docker, .end_ns = clock_monotonic_ns() + ALL_MS * INT64_C(1000000)};
	int r;

	if (engine_open(docker->socket, ALL_MS, &engine, NULL) == 0 &&
		guest_all_containers(engine, docker, &l.containers, NULL) == 0)
		l.engine = engine;
	r = definition_list(docker->dirs.state, look_at, &l, ret, ret_count, err);
	if (l.engine)
		destroy_remains(engine, docker);
	json_decref(l.containers);
	return r;
}
