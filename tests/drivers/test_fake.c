/* The fake driver passes the conformance suite, in process and across the boundary. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "conformance/conformance.h"
#include "drivers/fake/fake.h"
#include "drivers/fake/images.h"
#include "drivers/fake/process.h"
#include "plain.h"

static const char *leftovers(const char *id, bool defined)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/run/%s.pid", plain_dir(), id);
	if (defined ? fake_process_pid(path) > 0 : access(path, F_OK) == 0)
		return path;
	snprintf(path, sizeof(path), "%s/state/%s.json", plain_dir(), id);
	return !defined && access(path, F_OK) == 0 ? path : NULL;
}

static const struct driver_container *container(const char *id, enum rootfs_kind kind)
{
	static const struct driver_container made[] = {
		[ROOTFS_PLAIN] = {.image = "sha256:plain", .data = "/", .terminal = true},
		[ROOTFS_NO_INIT] = {.image = "sha256:" FAKE_BROKEN, .data = "/"},
		[ROOTFS_STUBBORN] = {.image = "sha256:" FAKE_STUBBORN, .data = "/"},
		[ROOTFS_SLOW] = {.image = "sha256:slow", .data = "/"},
	};

	(void)id;
	return &made[kind];
}

/* With containers for guests: their lives; all else is as with trees. */
static int run_containers(struct environment e)
{
	e.rootfs = NULL;
	e.container = container;
	e.config.endpoint = FAKE_CONTAINERS;
	e.parts = CONFORMANCE_LIFE;
	return conformance_run("fake with containers", &e);
}

int main(void)
{
	static const struct crash_point points[] = {
		{CRASH_DESTROY, "driver.fake.destroy.killed"},
		{0, NULL},
	};
	struct environment e = {
		.rootfs = plain_rootfs, .leftovers = leftovers, .crash_points = points};
	int failed;

	plain_enter();
	e.config = plain_config();
	e.ops = &fake_driver_ops;
	failed = conformance_run("fake in process", &e);
	e.ops = NULL;
	e.program = FAKE_PROGRAM;
	failed += conformance_run("fake across the boundary", &e);
	failed += run_containers(e);
	plain_leave();
	return failed;
}
