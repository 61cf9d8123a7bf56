/* Images pulled by a real dockerd: from a registry that lets in, and from those that do not as they
 * should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "docker_images.h"
#include "docker_node.h"
#include "drivers/docker/docker.h"
#include "drivers/docker/instance.h"
#include "keeper.h"

static struct docker *instance(void)
{
	return (struct docker *)g_driver;
}

static int pull(const char *name, int progress_fd, struct driver_image *ret, struct err *err)
{
	return work(&(struct driver_image_work){.op = DRIVER_IMAGE_PULL,
			    .name = name,
			    .fd = -1,
			    .whole_fd = -1,
			    .progress_fd = progress_fd},
		ret, err);
}

static void write_credentials(const char *registry, const char *password)
{
	char text[300];

	snprintf(text, sizeof(text),
		"{\"auths\":{\"%s\":{\"username\":\"" DOCKER_NODE_USER "\",\"password\":\"%s\"}}}",
		registry, password);
	assert_int_equal(0, file_replace(instance()->registries, text, 0600, false));
}

static void images_are_pulled_by_whom_the_registry_lets_in(void **state)
{
	const char *registry = docker_node_registry();
	struct driver_image image, by_digest;
	char name[128], digest[300], told[4096] = "";
	const char *found;
	struct err err;
	int progress[2];

	(void)state;
	snprintf(name, sizeof(name), "%s/team/app:1", registry);
	assert_true(docker_node_push(registry, name));
	found = DOCKER("inspect", "--format={{index .RepoDigests 0}}", name);
	snprintf(digest, sizeof(digest), "%s", found);
	assert_non_null(DOCKER("rmi", name));
	assert_non_null(DOCKER("logout", registry));

	unlink(instance()->registries);
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_DENIED, err.code);
	assert_string_equal("image", err.field);
	write_credentials(registry, "wrong");
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_DENIED, err.code);
	write_credentials(registry, DOCKER_NODE_PASSWORD);
	assert_int_equal(0, pipe(progress));
	if (pull(name, progress[1], &image, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(name, image.name);
	assert_true(read(progress[0], told, sizeof(told) - 1) > 0);
	assert_non_null(strstr(told, "{\"done\":"));
	close(progress[0]);
	close(progress[1]);
	assert_removed(name);
	assert_int_equal(0, pull(digest, -1, &by_digest, &err));
	assert_string_equal(image.id, by_digest.id);
	assert_string_equal(digest, by_digest.name);
	assert_removed(digest);

	snprintf(name, sizeof(name), "%s/team/none:1", registry);
	assert_true(pull(name, -1, &image, &err) < 0);
	assert_int_equal(ERR_NOT_FOUND, err.code);
	assert_string_equal("image", err.field);
}

static void a_registry_that_does_as_it_should_not_is_an_error(void **state)
{
	static const struct {
		const char *fault;
		enum err_code code;
	} cases[] = {
		{"stalled", ERR_TIMEOUT},
		{"silent", ERR_TIMEOUT},
		{"denied", ERR_DENIED},
		{"absent", ERR_NOT_FOUND},
		{"garbage", ERR_DRIVER},
	};

	(void)state;
	/* What dockerd has of it would not be fetched. */
	assert_non_null(DOCKER("rmi", "--force", docker_node_image()));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid;
		char name[128], *before = names();
		struct driver_image image = {0};
		struct err err;

		snprintf(name, sizeof(name), "%s/any:1",
			docker_node_odd_registry(cases[i].fault, &pid));
		instance()->stall_ms = cases[i].code == ERR_TIMEOUT ? 1500 : 120000;
		assert_true(pull(name, -1, &image, &err) < 0);
		if (err.code != cases[i].code)
			fail_msg("%s: %s: %s", cases[i].fault, err_code_to_string(err.code),
				err.message);
		assert_unchanged(before);
		keeper_stop(pid);
	}
	instance()->stall_ms = 120000;
}

static void a_pull_is_cancelled(void **state)
{
	struct driver_image image = {0};
	char name[128];
	struct err err;
	int progress[2];
	pid_t pid;

	(void)state;
	snprintf(name, sizeof(name), "%s/any:1", docker_node_odd_registry("stalled", &pid));
	assert_int_equal(0, pipe(progress));
	close(progress[0]);
	assert_true(pull(name, progress[1], &image, &err) < 0);
	assert_int_equal(ERR_CANCELLED, err.code);
	close(progress[1]);
	keeper_stop(pid);
}

/* Reads what is told until that word has come. */
static void await_told(int fd, const char *word)
{
	char told[16384] = "";
	size_t used = 0;

	while (!strstr(told, word)) {
		ssize_t n = read(fd, told + used, sizeof(told) - 1 - used);

		if (n <= 0)
			fail_msg("it ended without \"%s\": %s", word, told);
		used += (size_t)n;
		told[used] = '\0';
	}
}

static void a_dockerd_that_does_not_come_back_ends_a_pull(void **state)
{
	AUTOCLOSE int told = -1;
	char name[128];
	int fds[2], status;
	pid_t registry, pid;

	(void)state;
	assert_non_null(DOCKER("rmi", "--force", docker_node_image()));
	snprintf(name, sizeof(name), "%s/any:1", docker_node_odd_registry("stalled", &registry));
	assert_int_equal(0, pipe(fds));
	pid = fork();
	if (pid == 0) {
		struct driver_image image;
		struct err err = {0};

		close(fds[0]);
		instance()->away_ms = 300;
		pull(name, fds[1], &image, &err);
		_exit((int)err.code);
	}
	close(fds[1]);
	told = fds[0];
	await_told(told, "downloading");
	docker_node_signal(SIGKILL);
	await_told(told, "waiting for dockerd");
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFEXITED(status));
	assert_int_equal(ERR_UNAVAILABLE, WEXITSTATUS(status));
	keeper_stop(registry);
	docker_node_start();
}

int image_registries_run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_are_pulled_by_whom_the_registry_lets_in),
		cmocka_unit_test(a_registry_that_does_as_it_should_not_is_an_error),
		cmocka_unit_test(a_pull_is_cancelled),
		cmocka_unit_test(a_dockerd_that_does_not_come_back_ends_a_pull),
	};

	return cmocka_run_group_tests_name("registries", tests, NULL, NULL);
}
