/* The node that tests of containers run in: dockerd can be killed under a container, can hang and
 * come back, and all goes with the process, also when that is killed. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/err.h"
#include "conformance/ids.h"
#include "conformance/program.h"
#include "docker_node.h"
#include "keeper.h"

#define ID   GUEST_A
#define NAME around("corpus-", ID, "")

/* A container that ends when it is told to, without a network. */
static void run_container(void)
{
	assert_non_null(docker_node_image());
	assert_non_null(DOCKER("run", "--detach", "--name", NAME,
		around("--label=corpus.guest=", ID, ""), "--network=none", docker_node_image()));
}

static const char *state(void)
{
	const char *said = DOCKER("inspect", "--format={{.State.Status}}", NAME);

	assert_non_null(said);
	return said;
}

static void containers_outlive_a_dockerd_that_restores_them(void **ctx)
{
	(void)ctx;
	assert_null(docker_node_leftovers(ID, false));
	run_container();
	assert_non_null(docker_node_leftovers(ID, false));
	docker_node_signal(SIGKILL);
	assert_int_equal(-1, kill(docker_node_dockerd(), 0));
	docker_node_start();
	assert_string_equal("running", state());
	assert_non_null(DOCKER("pause", NAME));
	assert_non_null(DOCKER("rm", "--force", NAME));
	assert_null(docker_node_leftovers(ID, false));
}

static void a_dockerd_that_hangs_does_not_answer_until_it_goes_on(void **ctx)
{
	char path[128];
	const char *argv[] = {
		"curl", "--silent", "--unix-socket", path, "http://docker/_ping", NULL};
	struct err err = {0};

	(void)ctx;
	snprintf(path, sizeof(path), "%s", docker_node_socket());
	docker_node_signal(SIGSTOP);
	assert_true(program_try(argv, 300, &err) < 0);
	assert_int_equal(ERR_TIMEOUT, err.code);
	docker_node_signal(SIGCONT);
	assert_non_null(DOCKER("version"));
}

static void images_come_from_a_registry_to_who_may_have_them(void **ctx)
{
	const char *address = docker_node_registry();
	char name[64];

	(void)ctx;
	snprintf(name, sizeof(name), "%s/team/app:1", address);
	assert_true(docker_node_push(address, name));
	assert_non_null(DOCKER("rmi", name));
	assert_non_null(DOCKER("pull", name));
	assert_non_null(DOCKER("logout", address));
	assert_null(DOCKER("pull", name));
}

static void an_odd_registry_does_as_it_is_told(void **ctx)
{
	char name[64];
	pid_t pid;

	(void)ctx;
	snprintf(name, sizeof(name), "%s/any:1", docker_node_odd_registry("none", &pid));
	assert_non_null(DOCKER("pull", name));
	assert_non_null(DOCKER("rmi", name));
	keeper_stop(pid);
	docker_node_odd_registry("garbage", &pid);
	assert_null(DOCKER("pull", name));
	keeper_stop(pid);
}

/* The other process: makes a container, which is frozen, and is killed. */
static int become_victim(void)
{
	docker_node_enter(NULL);
	run_container();
	if (!DOCKER("pause", NAME))
		return 1;
	printf("%s %s\n", DOCKER("inspect", "--format={{.State.Pid}}", NAME), docker_node_group());
	fflush(stdout);
	return raise(SIGKILL);
}

static void all_goes_with_a_process_that_is_killed(void **ctx)
{
	char line[256] = "", group[128], path[256];
	FILE *said;
	int pid = 0;

	(void)ctx;
	snprintf(line, sizeof(line), "/proc/%d/exe victim", getpid());
	said = popen(line, "r");
	assert_non_null(said);
	assert_non_null(fgets(line, sizeof(line), said));
	assert_int_equal(2, sscanf(line, "%d /%127s", &pid, group));
	assert_true(pid > 0);
	/* The keeper holds the pipe's other end until it is done. */
	while (fgets(line, sizeof(line), said))
		;
	pclose(said);
	/* It has been killed; who inherits it may yet have to take note. */
	while (kill(pid, 0) == 0)
		poll(NULL, 0, 10);
	snprintf(path, sizeof(path), "/sys/fs/cgroup/freezer/%s", group);
	assert_int_equal(-1, access(path, F_OK));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(all_goes_with_a_process_that_is_killed),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers_outlive_a_dockerd_that_restores_them),
		cmocka_unit_test(a_dockerd_that_hangs_does_not_answer_until_it_goes_on),
		cmocka_unit_test(images_come_from_a_registry_to_who_may_have_them),
		cmocka_unit_test(an_odd_registry_does_as_it_is_told),
	};

	if (argc > 1 && strcmp(argv[1], "victim") == 0)
		return become_victim();
	if (cmocka_run_group_tests_name("docker node, alone", alone, NULL, NULL) != 0)
		return 1;
	docker_node_enter(&(struct docker_node){
		.storage = "btrfs", .bridge = true, .live_restore = true, .userns = true});
	return cmocka_run_group_tests_name("docker node", tests, NULL, NULL);
}
