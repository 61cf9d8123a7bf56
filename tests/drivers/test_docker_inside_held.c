/* Real containers that are held still, while a snapshot is made of their data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>

#include "base/clock.h"
#include "base/err.h"
#include "docker_guests.h"
#include "docker_inside.h"
#include "docker_node.h"
#include "drivers/cgroup/cgroup.h"
#include "drivers/docker/docker.h"

#define HELD "00000000e1d0"

static const struct driver_config *g_config;
static struct driver *g_driver;

static enum err_code hold(enum driver_disk_op op)
{
	const struct driver_disk_work work = {.op = op};
	struct err err = {0};

	return docker_driver_ops.disk(g_driver, HELD, &work, NULL, &err) == 0 ? ERR_OK : err.code;
}

static enum guest_state state_of_held(void)
{
	struct driver_status status = {0};
	struct err err = {0};

	/* dockerd may be too busy to say so in the time that a status may take. */
	do
		if (docker_driver_ops.status(g_driver, HELD, &status, &err) < 0)
			fail_msg("%s", err.message);
	while (status.state == GUEST_UNKNOWN);
	return status.state;
}

static void await_held(enum guest_state state)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (state_of_held() != state && clock_monotonic_ns() < end)
		poll(NULL, 0, 20);
	assert_int_equal(state_of_held(), state);
}

static int begin_held(void **state)
{
	const struct driver_guest guest = {.id = HELD,
		.name = "held",
		.container = docker_guests_container(HELD, ROOTFS_PLAIN)};
	struct driver_status status;
	struct err err = {0};

	(void)state;
	if (docker_driver_ops.open(g_config, &g_driver, &err) < 0 ||
		docker_driver_ops.create(g_driver, &guest, &err) < 0 ||
		docker_driver_ops.start(g_driver, HELD, &status, &err) < 0)
		fail_msg("%s", err.message);
	return 0;
}

static int end_held(void **state)
{
	struct err err = {0};

	(void)state;
	docker_driver_ops.destroy(g_driver, HELD, &err);
	docker_driver_ops.close(g_driver);
	return 0;
}

static void a_held_guest_stands_still_until_it_is_released(void **state)
{
	(void)state;
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK); /* by one who knows of none before */
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_RUNNING);
	assert_int_equal(hold(DRIVER_DISK_DISCARD), ERR_UNSUPPORTED);
}

/* The third, see test_docker_inside.c. */
static void one_that_nobody_releases_goes_on_by_itself(void **state)
{
	(void)state;
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	await_held(GUEST_RUNNING);
}

static void what_was_frozen_before_stays_so(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, true, &err), 0);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, false, &err), 0);
}

/* Its dockerd waits for what is in the way, and goes on with that afterwards: the fourth hold does
 * not wait for it, see test_docker_inside.c. */
static void one_that_is_held_too_late_can_be_released(void **state)
{
	struct driver_status status = {0};
	pid_t shim;

	(void)state;
	assert_int_equal(docker_driver_ops.status(g_driver, HELD, &status, NULL), 0);
	shim = docker_node_shim(status.pid);
	assert_int_equal(kill(shim, SIGSTOP), 0);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_TIMEOUT);
	assert_int_equal(kill(shim, SIGCONT), 0);
	await_held(GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	await_held(GUEST_RUNNING); /* dockerd may take its own pause for a new one first */
}

/* The fifth: it waits longer than what watches over it. */
static void one_that_stands_still_too_late_is_let_go(void **state)
{
	(void)state;
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_TIMEOUT);
	assert_int_equal(state_of_held(), GUEST_RUNNING);
}

/* As whoever writes to the group, or as dockerd is before it has heard of what it has done. */
static void freeze_without_dockerd(bool frozen)
{
	struct driver_status status = {0};
	struct cgroups cgroups;
	struct cgroup group;

	assert_int_equal(docker_driver_ops.status(g_driver, HELD, &status, NULL), 0);
	assert_int_equal(cgroups_find(&cgroups, NULL), 0);
	assert_int_equal(cgroup_of_process(&cgroups, status.pid, NULL, &group), 0);
	assert_int_equal(cgroup_freeze(&group, frozen), 0);
}

static void what_dockerd_denies_is_done_all_the_same(void **state)
{
	struct err err = {0};

	(void)state;
	freeze_without_dockerd(true);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, false, &err), 0);
	assert_int_equal(state_of_held(), GUEST_RUNNING);

	assert_int_equal(docker_driver_ops.freeze(g_driver, HELD, true, &err), 0);
	freeze_without_dockerd(false);
	assert_int_equal(state_of_held(), GUEST_RUNNING);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_FROZEN);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
	assert_int_equal(state_of_held(), GUEST_RUNNING);

	freeze_without_dockerd(true); /* the next test ends it */
}

static void one_that_does_not_run_is_not_held(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(docker_driver_ops.kill(g_driver, HELD, &err), 0);
	assert_int_equal(hold(DRIVER_DISK_HOLD), ERR_ILLEGAL_STATE);
	assert_int_equal(hold(DRIVER_DISK_RELEASE), ERR_OK);
}

int inside_held_run(const struct driver_config *config)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_guest_stands_still_until_it_is_released),
		cmocka_unit_test(one_that_nobody_releases_goes_on_by_itself),
		cmocka_unit_test(one_that_is_held_too_late_can_be_released),
		cmocka_unit_test(what_was_frozen_before_stays_so),
		cmocka_unit_test(one_that_stands_still_too_late_is_let_go),
		cmocka_unit_test(what_dockerd_denies_is_done_all_the_same),
		cmocka_unit_test(one_that_does_not_run_is_not_held),
	};

	g_config = config;
	return cmocka_run_group_tests_name("held", tests, begin_held, end_held);
}
