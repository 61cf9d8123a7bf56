/* The fake driver passes the conformance suite, in process and across the boundary. */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "conformance/conformance.h"
#include "drivers/fake/fake.h"
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
	plain_leave();
	return failed;
}
