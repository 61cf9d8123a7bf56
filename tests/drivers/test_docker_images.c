/* Images by way of a real dockerd: which there are, and what becomes of them when it is killed.
 * Those that are loaded and pulled have files of their own, and the same dockerd. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "docker_images.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"

/* --- What there is --------------------------------------------------------------------------- */

static void the_list_has_each_name_once_and_none_of_ours(void **state)
{
	AUTOFREE struct driver_image *images = NULL;
	struct driver_image_work all = {.op = DRIVER_IMAGE_LIST};
	size_t count = 0, found = 0;
	struct err err = {0};

	(void)state;
	assert_non_null(DOCKER("tag", docker_node_image(), "a.example.org/z:1"));
	assert_non_null(DOCKER("tag", docker_node_image(), "corpus-snapshot:0123456789ab-s1"));
	assert_non_null(DOCKER("tag", docker_node_image(), "corpus-web:1"));
	assert_int_equal(0, g_driver->ops->image(g_driver, &all, &images, &count, &err));
	for (size_t i = 0; i < count; i++) {
		assert_true(i == 0 || strcmp(images[i - 1].name, images[i].name) < 0);
		assert_null(strstr(images[i].name, "corpus-snapshot"));
		found += strcmp(images[i].name, "a.example.org/z:1") == 0;
		found += strcmp(images[i].name, "corpus-web:1") == 0;
		found += strcmp(images[i].name, docker_node_image()) == 0;
		assert_true(images[i].size > 0 && images[i].created_ms >= 0);
	}
	assert_int_equal(3, found);
	assert_removed("a.example.org/z:1");
	assert_removed("corpus-web:1");
	assert_non_null(DOCKER("rmi", "corpus-snapshot:0123456789ab-s1"));
}

static void names_that_are_ours_or_nobodys_are_refused(void **state)
{
	static const char *const bad[] = {"corpus-snapshot:x", "corpus-layer:x", "corpus-load:x",
		"Bad Name", "", "a@sha256:12"};
	struct driver_image image = {0};
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(find(bad[i], &image, &err) < 0);
		assert_int_equal(ERR_INVALID, err.code);
		assert_string_equal("image", err.field);
	}
	/* What dockerd would take for the beginning of an id is a name. */
	assert_int_equal(0, find(docker_node_image(), &image, &err));
	memmove(image.name, image.id + 7, 12);
	image.name[12] = '\0';
	assert_true(find(image.name, &image, &err) < 0);
	assert_int_equal(ERR_NOT_FOUND, err.code);
	assert_string_equal("image", err.field);
	assert_int_equal(0, find(image.id, &image, &err));
}

static void an_image_that_somebody_uses_is_kept(void **state)
{
	struct driver_image image = {0};
	struct err err;

	(void)state;
	assert_loaded("one.tar", "used:1", &image);
	assert_non_null(DOCKER("create", "--name=theirs", "--network=none", "used:1"));
	assert_true(work(&(struct driver_image_work){.op = DRIVER_IMAGE_REMOVE, .name = "used:1"},
			    &image, &err) < 0);
	assert_int_equal(ERR_CONFLICT, err.code);
	assert_string_equal("image", err.field);
	assert_int_equal(0, find("used:1", &image, &err));
	assert_non_null(DOCKER("rm", "theirs"));
	assert_removed("used:1");
	assert_removed("used:1");
}

static void the_driver_says_what_it_drives(void **state)
{
	struct driver_info info;
	struct err err = {0};

	(void)state;
	assert_int_equal(0, g_driver->ops->probe(g_driver, &info, &err));
	assert_true(info.usable);
	assert_int_equal(IMAGE_OCI, info.image_kind);
	assert_non_null(strstr(info.version, "API 1."));
	assert_non_null(strstr(info.notice, "live-restore"));
	assert_true(info.capabilities & DRIVER_CAN_IMAGE);
}

/* --- Without dockerd ------------------------------------------------------------------------- */

/* Whether it had begun to take the archive or not. */
static void a_dockerd_that_is_killed_during_a_load_has_nothing_of_it(void **state)
{
	AUTOFREE char *archive = NULL;
	char *before = names();
	int fds[2], status;
	size_t size;
	pid_t pid;

	(void)state;
	assert_int_equal(0, file_read(file_of("saved.tar"), 100000000, &archive, &size));
	assert_int_equal(0, pipe(fds));
	pid = fork();
	if (pid == 0) {
		struct driver_image image;
		struct err err;

		close(fds[1]);
		work(&(struct driver_image_work){.op = DRIVER_IMAGE_LOAD,
			     .name = "killed:1",
			     .fd = fds[0],
			     .whole_fd = -1,
			     .progress_fd = -1},
			&image, &err);
		_exit((int)err.code);
	}
	close(fds[0]);
	assert_int_equal(0, file_write_all(fds[1], archive, size / 2));
	docker_node_signal(SIGKILL);
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	assert_int_equal(ERR_UNAVAILABLE, WEXITSTATUS(status));
	close(fds[1]);
	docker_node_start();
	assert_unchanged(before);
}

static void without_dockerd_it_is_said_what_to_do(void **state)
{
	struct driver_info info;
	struct driver_image image = {0};
	struct err err;

	(void)state;
	docker_node_signal(SIGSTOP);
	assert_true(find("app:1", &image, &err) < 0);
	assert_int_equal(ERR_UNAVAILABLE, err.code);
	docker_node_signal(SIGCONT);
	docker_node_signal(SIGKILL);
	assert_true(find("app:1", &image, &err) < 0);
	assert_int_equal(ERR_UNAVAILABLE, err.code);
	assert_int_equal(0, g_driver->ops->probe(g_driver, &info, &err));
	assert_false(info.usable);
	assert_non_null(strstr(info.problem, "systemctl start docker"));
}

static void open_driver(void)
{
	struct driver_config config = node_config();
	struct err err = {0};

	config.registries = file_of("registries.json");
	config.endpoint = docker_node_socket();
	if (docker_driver_ops.open(&config, &g_driver, &err) < 0)
		fail_msg("%s", err.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_list_has_each_name_once_and_none_of_ours),
		cmocka_unit_test(names_that_are_ours_or_nobodys_are_refused),
		cmocka_unit_test(an_image_that_somebody_uses_is_kept),
		cmocka_unit_test(the_driver_says_what_it_drives),
	};
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(a_dockerd_that_is_killed_during_a_load_has_nothing_of_it),
		cmocka_unit_test(without_dockerd_it_is_said_what_to_do),
	};
	int failed;

	docker_node_enter(NULL);
	open_driver();
	failed = image_archives_run();
	failed += cmocka_run_group_tests_name("images", tests, NULL, NULL);
	failed += image_registries_run();
	failed += cmocka_run_group_tests_name("faults", faults, NULL, NULL);
	docker_driver_ops.close(g_driver);
	return failed;
}
