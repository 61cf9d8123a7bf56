/* Inside real containers: commands, files, consoles and holds, as the Docker driver does them, in
 * groups that share one dockerd; and what becomes of them when that goes away in the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>

#include "base/err.h"
#include "docker_guests.h"
#include "docker_inside.h"
#include "docker_node.h"

static void dockerd_killed_in_the_middle_ends_commands_without_a_status(void **state)
{
	struct run run;

	(void)state;
	inside_begin(OPTIONS(), IDLE);
	run = run_shell("echo ready; while :; do sleep 1; done");
	read_until(run.out, "ready");
	docker_node_signal(SIGKILL);
	assert_int_equal(run_end(&run), -1);
	assert_gone(run.pid);
	run = run_begin((struct driver_exec){.argv = ARGV("true")});
	assert_int_equal(run.err.code, ERR_UNAVAILABLE);
	assert_int_equal(run_end(&run), -1);
	docker_node_start();
}

int main(void)
{
	const struct CMUnitTest faults[] = {
		cmocka_unit_test(dockerd_killed_in_the_middle_ends_commands_without_a_status),
	};
	struct driver_config config;
	int failed;

	/* Read once: the third hold of them all is short, the fourth impatient, the fifth both
	 * short and slow. */
	setenv("CORPUS_FAULT",
		"driver.docker.hold.short=fail@3,driver.docker.hold.late=fail@4,"
		"driver.docker.hold.short=fail@5,driver.docker.hold.noted=wait:4000@5",
		1);
	docker_guests_enter(&(struct docker_node){.live_restore = true}, &config);
	failed = inside_commands_run();
	failed += inside_gate_run();
	failed += inside_files_run();
	failed += inside_consoles_run();
	failed += inside_held_run(&config);
	failed += cmocka_run_group_tests_name("faults", faults, NULL, NULL);
	return failed;
}
