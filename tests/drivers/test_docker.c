/* The Docker driver passes the conformance suite against a real dockerd: across the boundary, and
 * with the argument "inline" in process, too. */
#include <string.h>

#include "conformance/conformance.h"
#include "docker_guests.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"

int main(int argc, char **argv)
{
	static const struct crash_point points[] = {
		{CRASH_CREATE, "driver.docker.create.before"},
		{CRASH_CREATE, "driver.docker.make.prepared"},
		{CRASH_CREATE, "driver.docker.make.created"},
		{CRASH_CREATE, "driver.docker.create.made"},
		{CRASH_START, "driver.docker.start.before"},
		{CRASH_START, "driver.docker.start.started"},
		{CRASH_START, "driver.docker.link.added"},
		{CRASH_START, "driver.docker.start.linked"},
		{CRASH_START, "driver.docker.start.prepared"},
		{CRASH_START, "driver.docker.gate.told"},
		{CRASH_STOP, "driver.docker.stop.marked"},
		{CRASH_STOP, "driver.docker.stop.asked"},
		{CRASH_STOP, "driver.docker.stop.ended"},
		{CRASH_DESTROY, "driver.docker.destroy.removed"},
		{CRASH_DESTROY, "driver.docker.destroy.containers"},
		{CRASH_DESTROY, "driver.docker.destroy.volumes"},
		{CRASH_DESTROY, "driver.docker.destroy.layers"},
		{0, NULL},
	};
	struct environment e = {.bridge = NODE_BRIDGE,
		.container = docker_guests_container,
		.leftovers = docker_node_leftovers,
		.console_device = "/dev/console",
		.crash_points = points};
	int failed = 0;

	docker_guests_enter(NULL, &e.config);
	if (argc > 1 && strcmp(argv[1], "inline") == 0) {
		e.ops = &docker_driver_ops;
		failed = conformance_run("docker in process", &e);
		e.ops = NULL;
	}
	e.program = DOCKER_PROGRAM;
	return failed + conformance_run("docker across the boundary", &e);
}
