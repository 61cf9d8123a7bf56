/* Guests of the Docker driver for tests. */
#include "docker_guests.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "conformance/guests.h"

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

void docker_guests_copy_program(const char *from, const char *to, mode_t mode)
{
	AUTOFREE char *bytes = NULL;
	size_t size;
	FILE *file;

	assert_int_equal(file_read(from, 16 << 20, &bytes, &size), 0);
	file = fopen(to, "we");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	assert_int_equal(fchmod(fileno(file), mode), 0);
	assert_int_equal(fclose(file), 0);
}

const struct driver_container *docker_guests_container(const char *id, enum rootfs_kind kind)
{
	static const char *const missing[] = {"/sbin/no-init", NULL};
	static const char *const stubborn[] = {
		"sh", "-c", "trap '' TERM; while :; do sleep 1; done", NULL};
	static const char *const slow[] = {"sh", "-c",
		"sleep 1; trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done", NULL};
	static const char *const *const commands[] = {[ROOTFS_PLAIN] = NULL,
		[ROOTFS_NO_INIT] = missing,
		[ROOTFS_STUBBORN] = stubborn,
		[ROOTFS_SLOW] = slow};
	static const char *const paths[] = {"/srv", NULL};
	static struct driver_container container;
	static char data[PATH_MAX];

	snprintf(data, sizeof(data), "%s/data-%s", node_dir(), strchr(id, '/') ? "none" : id);
	if (file_mkdirs(data, 0755) < 0)
		die("a guest's data");
	container = (struct driver_container){.image = docker_node_image(),
		.command = commands[kind],
		.stop_signal = "SIGTERM",
		.terminal = true,
		.data = data,
		.data_paths = paths};
	return &container;
}

int docker_guests_run(const struct docker_node *what, const char *program,
	const struct CMUnitTest *tests, size_t count, int (*teardown)(void **state))
{
	struct environment e = {.bridge = NODE_BRIDGE,
		.program = program,
		.container = docker_guests_container,
		.leftovers = docker_node_leftovers};
	int failed;

	docker_guests_enter(what, &e.config);
	guests_begin(&e);
	failed = _cmocka_run_group_tests("docker guests", tests, count, NULL, teardown);
	guests_end();
	return failed;
}
