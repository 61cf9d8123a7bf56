/* Guests of the Docker driver for tests. */
#include "docker_guests.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static void die(const char *what)
{
	fprintf(stderr, "cannot make %s\n", what);
	exit(1);
}

void docker_guests_enter(const struct docker_node *what, struct driver_config *ret)
{
	docker_node_enter(what);
	if (!docker_node_image() || setenv("CORPUS_LIBEXEC", TEST_BINARY_DIR "/bin", 1) < 0)
		die("the image");
	*ret = node_config();
	ret->endpoint = docker_node_socket();
}

const struct driver_container *docker_guests_container(const char *id, enum rootfs_kind kind)
{
	static const char *const missing[] = {"/sbin/no-init", NULL};
	static const char *const stubborn[] = {
		"sh", "-c", "trap '' TERM; while :; do sleep 1; done", NULL};
	static const char *const paths[] = {"/srv", NULL};
	static struct driver_container container;
	static char data[PATH_MAX];

	snprintf(data, sizeof(data), "%s/data-%s", node_dir(), strchr(id, '/') ? "none" : id);
	if (file_mkdirs(data, 0755) < 0)
		die("a guest's data");
	container = (struct driver_container){.image = docker_node_image(),
		.command = kind == ROOTFS_NO_INIT    ? missing
			   : kind == ROOTFS_STUBBORN ? stubborn
						     : NULL,
		.stop_signal = "SIGTERM",
		.terminal = true,
		.data = data,
		.data_paths = paths};
	return &container;
}
