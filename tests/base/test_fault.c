/* Fault points: each rule acts where and when it says. A child for each, since rules are read
 * once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"

/* Passes a.b three times and a.c once; the exit status has a bit for each that failed. */
static int wait_status_with(const char *rules)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		int failed = 0;

		setenv("CORPUS_FAULT", rules, 1);
		for (int i = 0; i < 3; i++)
			failed |= fault_point("a.%s", "b") << i;
		failed |= fault_point("a.c") << 3;
		_exit(failed);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_failures(const char *rules, int bits)
{
	int status = wait_status_with(rules);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), bits);
}

static void assert_killed(const char *rules, int signum)
{
	int status = wait_status_with(rules);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), signum);
}

static void without_rules_nothing_happens(void **state)
{
	(void)state;
	assert_failures("", 0);
	assert_failures("other.point=fail", 0);
}

static void fail_acts_at_every_passage_or_at_the_nth(void **state)
{
	(void)state;
	assert_failures("a.b=fail", 7);
	assert_failures("a.b=fail@2", 2);
	assert_failures("a.b=fail@4", 0);
	assert_failures("a.b=fail@1,a.c=fail", 9);
}

static void a_star_matches_all_that_begin_so(void **state)
{
	(void)state;
	assert_failures("a.*=fail", 15);
	assert_failures("a.*=fail@4", 8);
	assert_failures("*=fail@1", 1);
}

static void kill_ends_the_process_there(void **state)
{
	(void)state;
	assert_killed("a.c=kill", SIGKILL);
	assert_killed("a.b=kill@3", SIGKILL);
}

static void wait_takes_its_time_and_goes_on(void **state)
{
	int64_t before = clock_monotonic_ns();

	(void)state;
	assert_failures("a.b=wait:20", 0);
	assert_true(clock_monotonic_ns() - before >= 60 * INT64_C(1000000));
}

static void a_rule_that_is_not_understood_aborts(void **state)
{
	(void)state;
	assert_killed("a.b=fial", SIGABRT);
	assert_killed("a.b", SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_rules_nothing_happens),
		cmocka_unit_test(fail_acts_at_every_passage_or_at_the_nth),
		cmocka_unit_test(a_star_matches_all_that_begin_so),
		cmocka_unit_test(kill_ends_the_process_there),
		cmocka_unit_test(wait_takes_its_time_and_goes_on),
		cmocka_unit_test(a_rule_that_is_not_understood_aborts),
	};

	return cmocka_run_group_tests_name("fault", tests, NULL, NULL);
}
