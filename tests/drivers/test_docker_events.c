/* The Docker driver sees what becomes of its containers without having done it, whatever becomes of
 * dockerd meanwhile. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "conformance/ids.h"
#include "docker_node.h"
#include "drivers/definition.h"
#include "drivers/docker/define.h"
#include "drivers/docker/docker.h"
#include "drivers/docker/instance.h"

#define A	    GUEST_A
#define B	    GUEST_B
#define DEADLINE_MS 60000

static struct driver *driver;

/* --- What was told --------------------------------------------------------------------------- */

/* The last that was told of a guest. */
struct told {
	const char *id;
	struct driver_status status;
	bool any, unknown;
};

static void note(void *data, const struct driver_status *status)
{
	struct told *told = data;

	for (; told->id; told++)
		if (strcmp(told->id, status->id) == 0) {
			told->status = *status;
			told->any = true;
			told->unknown |= status->state == GUEST_UNKNOWN;
		}
}

static struct told *told_of(struct told *told, const char *id)
{
	while (strcmp(told->id, id) != 0)
		told++;
	return told;
}

static struct told all[3]; /* A, B, the end */

static void assert_told(const char *id, enum guest_state state)
{
	int64_t deadline = clock_monotonic_ns() + DEADLINE_MS * 1000000L;
	struct pollfd p = {.fd = driver->ops->watch_fd(driver, NULL), .events = POLLIN};
	const struct told *told = told_of(all, id);

	while (!told->any || told->status.state != state) {
		if (clock_monotonic_ns() > deadline)
			fail_msg("guest %s is %s, not %s", id,
				told->any ? guest_state_to_string(told->status.state) : "unknown",
				guest_state_to_string(state));
		poll(&p, 1, 1000);
		driver->ops->watch_dispatch(driver, NULL, note, all);
	}
}

/* --- Guests ---------------------------------------------------------------------------------- */

static void define(const char *id)
{
	static const char *const none[] = {NULL};
	const struct driver_container container = {.image = docker_node_image(),
		.entrypoint = none,
		.command = none,
		.env = none,
		.data = "/nonexistent",
		.data_paths = none};
	const struct driver_guest guest = {.id = id, .name = id, .container = &container};
	struct docker_paths paths;
	struct err err = {0};

	assert_int_equal(0, docker_paths((struct docker *)driver, id, &paths, &err));
	if (definition_save(paths.definition, &guest, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

static const char *container(const char *id)
{
	static char names[2][64];
	char *name = names[strcmp(id, A) == 0];

	snprintf(name, sizeof(names[0]), "corpus-%s", id);
	return name;
}

/* By `touch /held` it looks like one that runc has not made into the program yet, by `touch /end`
 * it ends. */
#define PROGRAM                                                                                    \
	"while [ ! -e /end ]; do"                                                                  \
	" [ -e /held ] && name='runc:[2:INIT]' || name=sh;"                                        \
	" echo $name >/proc/$$/comm; sleep 0.1; done; exit 3"

/* As the driver would make it. */
static void run_container(const char *id)
{
	char name[64], guest[64], agent[256];

	snprintf(name, sizeof(name), "--name=%s", container(id));
	snprintf(guest, sizeof(guest), "--label=" LABEL_GUEST "=%s", id);
	snprintf(agent, sizeof(agent), "--label=" LABEL_AGENT "=%s/state", node_dir());
	assert_non_null(DOCKER("run", "--detach", "--network=none", name, guest, agent,
		docker_node_image(), "/bin/sh", "-c", PROGRAM));
}

static void define_again(void)
{
	memset(all, 0, sizeof(all));
	all[0].id = A;
	all[1].id = B;
	define(A);
	define(B);
	driver->ops->watch_dispatch(driver, A, note, all);
	driver->ops->watch_dispatch(driver, B, note, all);
	assert_told(A, GUEST_STOPPED);
	assert_told(B, GUEST_STOPPED);
}

static int end(void **state)
{
	(void)state;
	return DOCKER("rm", "--force", container(A), container(B)) ? 0 : -1;
}

static int begin(void **state)
{
	end(state); /* what a setup that failed has left */
	define_again();
	run_container(A);
	assert_told(A, GUEST_RUNNING);
	return 0;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void what_containers_do_by_themselves_is_told(void **state)
{
	(void)state;
	assert_true(told_of(all, A)->status.pid > 0);
	assert_non_null(DOCKER("pause", container(A)));
	assert_told(A, GUEST_FROZEN);
	assert_non_null(DOCKER("unpause", container(A)));
	assert_told(A, GUEST_RUNNING);
	run_container(B);
	assert_told(B, GUEST_RUNNING);
	assert_non_null(DOCKER("exec", container(A), "touch", "/end"));
	assert_told(A, GUEST_STOPPED);
	assert_int_equal(3 << 8, told_of(all, A)->status.exit_status);
	assert_int_equal(0, told_of(all, A)->status.pid);
	assert_non_null(DOCKER("rm", "--force", container(B)));
	assert_told(B, GUEST_STOPPED);
}

/* dockerd, for which it runs, has nothing more to tell. */
static void a_guest_whose_program_begins_late_is_told_to_run(void **state)
{
	int64_t deadline = clock_monotonic_ns() + DEADLINE_MS * 1000000L;

	(void)state;
	assert_non_null(DOCKER("exec", container(A), "touch", "/held"));
	while (told_of(all, A)->status.state != GUEST_STARTING) {
		assert_true(clock_monotonic_ns() < deadline);
		driver->ops->watch_dispatch(driver, A, note, all);
		usleep(10000);
	}
	assert_non_null(DOCKER("exec", container(A), "rm", "/held"));
	assert_told(A, GUEST_RUNNING);
}

static pid_t keep_layer(const char *id)
{
	const struct driver_layer_work work = {.op = DRIVER_LAYER_KEEP, .name = "kept"};
	pid_t child = fork();

	if (child == 0)
		_exit(driver->ops->layer(driver, id, &work, NULL, NULL) < 0);
	assert_true(child > 0);
	return child;
}

static bool is_at_work(pid_t child)
{
	siginfo_t ended = {0};

	assert_int_equal(0, waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT));
	return ended.si_pid == 0;
}

/* dockerd holds a container while it copies its layer, which takes a moment; dockerd dies then, or
 * just after. */
static void a_guest_that_dockerd_held_when_it_died_goes_on(void **state)
{
	struct pollfd p = {.fd = driver->ops->watch_fd(driver, NULL), .events = POLLIN};
	pid_t keeping;

	(void)state;
	assert_non_null(DOCKER("exec", container(A), "sh", "-c",
		"dd if=/dev/urandom of=/large bs=1M count=48 2>/dev/null"));
	keeping = keep_layer(A);
	while (told_of(all, A)->status.state != GUEST_FROZEN && is_at_work(keeping)) {
		poll(&p, 1, 10);
		driver->ops->watch_dispatch(driver, NULL, note, all);
	}
	docker_node_signal(SIGKILL);
	assert_int_equal(keeping, waitpid(keeping, NULL, 0));
	docker_node_start();
	assert_told(A, GUEST_RUNNING);
}

static void others_containers_are_none_of_ours(void **state)
{
	char label[64];

	(void)state;
	told_of(all, A)->any = told_of(all, B)->any = false;
	/* One bears our guest's label but is another agent's. */
	snprintf(label, sizeof(label), "--label=" LABEL_GUEST "=%s", B);
	assert_non_null(DOCKER("run", "--network=none", "--name=theirs", label,
		"--label=corpus.agent=/elsewhere", docker_node_image(), "true"));
	assert_non_null(DOCKER("rm", "theirs"));
	assert_non_null(DOCKER("pause", container(A)));
	assert_told(A, GUEST_FROZEN);
	assert_false(told_of(all, B)->any);
}

static void what_happens_while_dockerd_is_away_is_told_when_it_is_back(void **state)
{
	(void)state;
	docker_node_signal(SIGKILL);
	assert_told(A, GUEST_UNKNOWN);
	docker_node_start();
	assert_told(A, GUEST_RUNNING);
	assert_non_null(DOCKER("exec", container(A), "touch", "/end"));
	assert_told(A, GUEST_STOPPED);
	assert_int_equal(3 << 8, told_of(all, A)->status.exit_status);
}

static void a_guest_that_ends_while_dockerd_is_away_is_found_ended(void **state)
{
	pid_t pid = told_of(all, A)->status.pid;

	(void)state;
	docker_node_signal(SIGKILL);
	assert_told(A, GUEST_UNKNOWN);
	assert_int_equal(0, kill(pid, SIGKILL));
	docker_node_start();
	assert_told(A, GUEST_STOPPED);
}

static void a_dockerd_that_hangs_is_noticed_and_found_again(void **state)
{
	(void)state;
	docker_node_signal(SIGSTOP);
	assert_told(A, GUEST_UNKNOWN);
	docker_node_signal(SIGCONT);
	assert_told(A, GUEST_RUNNING);
}

/* --- One that hangs --------------------------------------------------------------------------- */

/* In a process of its own, since it waits until the container goes on. */
static pid_t pause_container(const char *id)
{
	pid_t child = fork();

	if (child == 0)
		_exit(!DOCKER("pause", container(id)));
	assert_true(child > 0);
	return child;
}

static bool is_listed(enum guest_state of_a, enum guest_state of_b)
{
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0, right = 0;

	assert_int_equal(0, driver->ops->list(driver, &list, &count, NULL));
	assert_int_equal(2, count);
	for (size_t i = 0; i < count; i++)
		right += list[i].state == (strcmp(list[i].id, A) == 0 ? of_a : of_b);
	return right == count;
}

/* dockerd says nothing of it from then on, to nobody. */
static void await_listed(enum guest_state of_a, enum guest_state of_b)
{
	int64_t deadline = clock_monotonic_ns() + DEADLINE_MS * 1000000L;

	while (!is_listed(of_a, of_b))
		assert_true(clock_monotonic_ns() < deadline);
}

static void a_container_that_hangs_hides_no_other(void **state)
{
	pid_t shim = docker_node_shim(told_of(all, A)->status.pid), pausing;
	int status = -1;

	(void)state;
	run_container(B);
	assert_told(B, GUEST_RUNNING);
	assert_int_equal(0, kill(shim, SIGSTOP));
	pausing = pause_container(A);
	await_listed(GUEST_UNKNOWN, GUEST_RUNNING);
	driver->ops->watch_dispatch(driver, A, note, all);
	assert_told(A, GUEST_UNKNOWN);
	assert_non_null(DOCKER("exec", container(B), "touch", "/end"));
	assert_told(B, GUEST_STOPPED);
	assert_false(told_of(all, B)->unknown);
	assert_int_equal(0, kill(shim, SIGCONT));
	assert_told(A, GUEST_FROZEN);
	assert_int_equal(pausing, waitpid(pausing, &status, 0));
	assert_int_equal(0, status);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(what_containers_do_by_themselves_is_told),
		TEST(a_guest_whose_program_begins_late_is_told_to_run),
		TEST(a_guest_that_dockerd_held_when_it_died_goes_on),
		TEST(others_containers_are_none_of_ours),
		TEST(what_happens_while_dockerd_is_away_is_told_when_it_is_back),
		TEST(a_guest_that_ends_while_dockerd_is_away_is_found_ended),
		TEST(a_dockerd_that_hangs_is_noticed_and_found_again),
		TEST(a_container_that_hangs_hides_no_other),
	};
	struct driver_config config;
	struct err err = {0};
	int r;

	docker_node_enter(&(struct docker_node){.live_restore = true});
	config = node_config();
	config.endpoint = docker_node_socket();
	if (docker_driver_ops.open(&config, &driver, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(driver->ops->watch_fd(driver, &err) >= 0);
	r = cmocka_run_group_tests_name("docker events", tests, NULL, NULL);
	docker_driver_ops.close(driver);
	return r;
}
