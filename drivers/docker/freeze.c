/* Freezing containers and thawing them. What dockerd believes follows containerd's events: one that
 * comes late, of a thaw, makes it take what it has frozen since then for running, and refuse to
 * thaw that, until the next event comes. */
#include "drivers/docker/freeze.h"

#include <errno.h>
#include <poll.h>

#include "base/clock.h"
#include "base/err.h"
#include "drivers/cgroup/cgroup.h"
#include "drivers/docker/engine.h"

#define SETTLE_NS (INT64_C(3) * 1000000000)
#define STEP_MS	  20

static int tell(const struct docker_guest *g, bool frozen, struct err *err)
{
	return engine_call(g->engine,
		&(struct engine_request){.method = "POST",
			.path = frozen ? "/containers/{}/pause" : "/containers/{}/unpause",
			.name = guest_container(g),
			.what = frozen ? "freeze the container" : "thaw the container"},
		NULL, err);
}

static int wait_and_look(struct docker_guest *g, struct err *err)
{
	poll(NULL, 0, STEP_MS);
	return guest_look(g, err);
}

int freeze_settle(struct docker_guest *g, struct err *err)
{
	int64_t end = clock_monotonic_ns() + SETTLE_NS;
	int r = 0;

	while (r == 0 && !guest_is_settled(g->docker, g->info) && clock_monotonic_ns() < end)
		r = wait_and_look(g, err);
	return r;
}

static int set_without_dockerd(const struct docker_guest *g, bool frozen, struct err *err)
{
	struct cgroup group;
	int r = cgroup_of_process(&g->docker->cgroups, guest_init(g), guest_container(g), &group);

	if (r == 0)
		r = cgroup_freeze(&group, frozen);
	return r < 0 ? err_errno(err, r, "cannot %s the container", frozen ? "freeze" : "thaw") : 0;
}

/* What dockerd answers who asks for what it believes to be so. */
static bool is_denial(const struct err *failed)
{
	return failed->code == ERR_ILLEGAL_STATE || failed->code == ERR_DRIVER;
}

int freeze_set(struct docker_guest *g, bool frozen, struct err *err)
{
	int64_t end = clock_monotonic_ns() + SETTLE_NS;

	while (guest_is_frozen(g) != frozen) {
		struct err failed = {0};
		bool late = clock_monotonic_ns() >= end;
		int r = tell(g, frozen, &failed);

		if (r == 0)
			return 0;
		if (late && is_denial(&failed) && !guest_is_settled(g->docker, g->info))
			return set_without_dockerd(g, frozen, err);
		if (late || !is_denial(&failed) || !guest_is_active(g)) {
			if (err)
				*err = failed;
			return r;
		}
		r = wait_and_look(g, err);
		if (r < 0)
			return r;
	}
	return 0;
}
