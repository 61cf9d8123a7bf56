/* Holding containers still. */
#include "drivers/docker/hold.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/overdue.h"

#define RELEASE_MS 9000

static bool is_paused(const struct docker_guest *g)
{
	return reply_is_true(g->info, "State.Paused");
}

static int tell(struct docker_guest *g, const char *path, const char *what, struct err *err)
{
	struct engine_request request = {
		.method = "POST", .path = path, .name = guest_container(g), .what = what};

	return engine_call(g->engine, &request, NULL, err);
}

int hold_end(struct docker_guest *g, struct err *err)
{
	int r = 0;

	if (access(g->paths.hold, F_OK) < 0)
		return 0;
	if (g->info && is_paused(g))
		r = tell(g, "/containers/{}/unpause", "let the container go on", err);
	fault_point("driver.docker.hold.resumed");
	if (r == 0)
		unlink(g->paths.hold);
	return r;
}

/* What is known of it may be old by then. */
static int release(void *data)
{
	const struct docker_guest *held = data;
	CLEANUP(guest_finish) struct docker_guest g = {0};
	struct err err = {0};
	int r = guest_connect(
		&held->docker->driver, held->definition.guest.id, RELEASE_MS, &g, &err);

	if (r < 0)
		return err.code == ERR_NOT_FOUND ? -ENOENT : r;
	return hold_end(&g, NULL);
}

/* Noted before: letting go on what does is no harm. */
static int hold(struct docker_guest *g, struct err *err)
{
	int64_t ms = fault_point("driver.docker.hold.short") ? 3000 : HOLD_S * 1000;
	int r = file_replace(g->paths.hold, "", 0600, false);

	if (r < 0)
		return err_errno(err, r, "cannot note that a guest is held");
	r = overdue_watch(g->paths.hold, ms, "corpus-hold", release, g, err);
	fault_point("driver.docker.hold.noted");
	if (r == 0)
		r = tell(g, "/containers/{}/pause", "hold the container still", err);
	fault_point("driver.docker.hold.still");
	if (r < 0)
		unlink(g->paths.hold);
	return r;
}

int hold_begin(struct docker_guest *g, struct err *err)
{
	int r = hold_end(g, err); /* by one who died: from the beginning */

	if (r == 0)
		r = guest_look(g, err);
	if (r < 0 || is_paused(g))
		return r;
	return hold(g, err);
}
