/* The LXC driver passes the conformance suite with real guests, in process and across the boundary.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conformance/conformance.h"
#include "drivers/lxc/lxc.h"
#include "node.h"

int main(int argc, char **argv)
{
	static const struct crash_point points[] = {
		{CRASH_CREATE, "driver.lxc.create.before"},
		{CRASH_CREATE, "driver.lxc.create.saved"},
		{CRASH_START, "driver.lxc.start.marked"},
		{CRASH_START, "driver.lxc.start.started"},
		{CRASH_START, "driver.lxc.start.saved"},
		{CRASH_STOP, "driver.lxc.stop.asked"},
		{CRASH_STOP, "driver.lxc.stop.killed"},
		{CRASH_STOP, "driver.lxc.clear.unlinked"},
		{CRASH_DESTROY, "driver.lxc.stop.killed"},
		{CRASH_DESTROY, "driver.lxc.clear.killed"},
		{CRASH_DESTROY, "driver.lxc.clear.removed"},
		{CRASH_DESTROY, "driver.lxc.destroy.ended"},
		{0, NULL},
	};
	struct environment e = {.privileged = getenv("CORPUS_TEST_PRIVILEGED") != NULL,
		.bridge = NODE_BRIDGE,
		.rootfs = node_rootfs,
		.leftovers = node_leftovers,
		.console_device = "/dev/console",
		.small_directory = "/dev",
		.no_memory_limits = getenv("CORPUS_TEST_UNIFIED") != NULL,
		.crash_points = points};
	bool only_process = argc > 1 && strcmp(argv[1], "process") == 0;
	int failed = 0;

	node_enter();
	e.config = node_config();
	e.ops = &lxc_driver_ops;
	if (!only_process)
		failed = conformance_run("lxc in process", &e);
	e.ops = NULL;
	e.program = LXC_PROGRAM;
	return failed + conformance_run("lxc across the boundary", &e);
}
