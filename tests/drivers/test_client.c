/* The client against a driver that errs in every way that the fake driver can: it dies, hangs,
 * talks garbage, is missing, keeps dying. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "drivers/client/client.h"

#define ID_A "00000000000a"
#define ID_B "00000000000b"

#define PATIENCE_MS 60000

static char g_dir[] = "/tmp/corpus-test-client-XXXXXX";
static char g_state[PATH_MAX], g_run[PATH_MAX], g_root[PATH_MAX];

static struct {
	sd_event *loop;
	struct driver_client *client;
	unsigned ups, downs;
	uint64_t margin_ms;
} g_test;

/* What a call came to. */
struct result {
	unsigned called;
	enum err_code code;
	char message[ERR_MESSAGE_MAX];
	size_t statuses;
	enum guest_state state; /* of the first */
};

static void on_state(void *data, bool up)
{
	(void)data;
	if (up)
		g_test.ups++;
	else
		g_test.downs++;
}

static void on_guest(void *data, const struct driver_status *status)
{
	(void)data;
	(void)status;
}

static void on_reply(void *data, const struct driver_reply *reply)
{
	struct result *r = data;

	r->called++;
	r->code = reply->result < 0 ? reply->error.code : ERR_OK;
	snprintf(r->message, sizeof(r->message), "%s", reply->error.message);
	r->statuses = reply->statuses_count;
	r->state = reply->statuses_count ? reply->statuses[0].state : GUEST_ABSENT;
}

static void create_client(const char *program)
{
	struct driver_client_config config = {.name = "fake",
		.program = program,
		.driver = {.state_dir = g_state, .run_dir = g_run, .log_dir = g_run},
		.margin_ms = g_test.margin_ms};
	struct driver_client_events events = {.state = on_state, .guest = on_guest};

	assert_int_equal(
		driver_client_create(g_test.loop, &config, &events, &g_test.client, NULL), 0);
}

static void set_faults(const char *json)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/faults.json", g_state);
	assert_int_equal(file_replace(path, json, 0600, false), 0);
}

static int setup(void **state)
{
	(void)state;
	file_mkdirs(g_state, 0700);
	g_test.ups = g_test.downs = 0;
	g_test.margin_ms = 0;
	if (sd_event_new(&g_test.loop) < 0)
		return -1;
	create_client(FAKE_PROGRAM);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	g_test.client = driver_client_destroy(g_test.client);
	g_test.loop = sd_event_unref(g_test.loop);
	return file_remove_tree(g_state);
}

static void run_until(const unsigned *counter, unsigned least)
{
	int64_t end = clock_monotonic_ns() + 2 * PATIENCE_MS * 1000000LL;

	while (*counter < least) {
		assert_true(clock_monotonic_ns() < end);
		sd_event_run(g_test.loop, 100000);
	}
}

static int begin(struct driver_request q, struct result *r, struct err *err)
{
	*r = (struct result){0};
	if (!q.deadline_ms)
		q.deadline_ms = PATIENCE_MS; /* the contract's are for less busy machines */
	return driver_client_call(g_test.client, &q, on_reply, r, err);
}

static struct result call(struct driver_request q)
{
	struct result r;
	struct err err = {0};

	if (begin(q, &r, &err) < 0)
		fail_msg("%s", err.message);
	run_until(&r.called, 1);
	return r;
}

#define LIST   ((struct driver_request){.call = DRIVER_CALL_LIST})
#define PROBE  ((struct driver_request){.call = DRIVER_CALL_PROBE})
#define STATUS ((struct driver_request){.call = DRIVER_CALL_STATUS, .id = ID_A})

static struct result create_guest(const char *id)
{
	struct driver_guest guest = {.id = id, .name = "a.example.org", .rootfs = g_root};

	return call((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
}

/* --- Death ----------------------------------------------------------------------------------- */

static void the_process_starts_on_first_need(void **state)
{
	(void)state;
	assert_int_equal(driver_client_pid(g_test.client), 0);
	assert_int_equal(call(LIST).code, ERR_OK);
	assert_true(driver_client_pid(g_test.client) > 0);
	assert_int_equal(g_test.ups, 1);
}

static void death_ends_calls_in_hand_and_the_next_ones_work(void **state)
{
	struct result slow, next;
	pid_t first;

	(void)state;
	set_faults("{\"probe\": {\"hang\": \"before\"}}");
	assert_int_equal(call(LIST).code, ERR_OK);
	first = driver_client_pid(g_test.client);
	assert_int_equal(begin(PROBE, &slow, NULL), 0);
	kill(first, SIGKILL);
	/* Made before the death is noticed, or after: it is answered all the same. */
	run_until(&slow.called, 1);
	assert_int_equal(slow.code, ERR_UNAVAILABLE);
	assert_int_equal(begin(LIST, &next, NULL), 0);
	run_until(&next.called, 1);
	assert_int_equal(next.code, ERR_OK);
	assert_int_not_equal(driver_client_pid(g_test.client), first);
	assert_int_equal(g_test.downs, 1);
	assert_int_equal(g_test.ups, 2);
}

static void it_comes_back_even_when_nobody_calls(void **state)
{
	(void)state;
	call(LIST);
	kill(driver_client_pid(g_test.client), SIGKILL);
	run_until(&g_test.ups, 2);
}

static void a_crash_before_or_after_the_work_is_unavailable(void **state)
{
	(void)state;
	set_faults("{\"create\": {\"crash\": \"before\", \"count\": 1}}");
	assert_int_equal(create_guest(ID_A).code, ERR_UNAVAILABLE);
	assert_int_equal(call(STATUS).code, ERR_NOT_FOUND);
	set_faults("{\"create\": {\"crash\": \"after\", \"count\": 1}}");
	assert_int_equal(create_guest(ID_A).code, ERR_UNAVAILABLE);
	assert_int_equal(call(STATUS).code, ERR_OK);
	assert_int_equal(create_guest(ID_A).code, ERR_OK);
}

static void one_that_keeps_dying_is_held_back_and_says_for_how_long(void **state)
{
	struct err err = {0};
	struct result r;
	int started = 0;

	(void)state;
	set_faults("{\"*\": {\"crash\": \"before\"}}");
	while (begin(LIST, &r, &err) == 0 && started++ < 20)
		run_until(&r.called, 1);
	assert_in_range(started, 3, 8);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "held back for another"));
}

static void a_missing_program_is_unavailable_at_once(void **state)
{
	struct err err = {0};
	struct result r;

	(void)state;
	g_test.client = driver_client_destroy(g_test.client);
	create_client("/nonexistent/corpus-driver-none");
	assert_true(begin(LIST, &r, &err) < 0);
	assert_int_equal(err.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "/nonexistent/corpus-driver-none"));
	assert_int_equal(r.called, 0);
}

static void a_program_that_is_no_driver_is_unavailable(void **state)
{
	(void)state;
	g_test.client = driver_client_destroy(g_test.client);
	create_client("/bin/true");
	for (int i = 0; i < 3; i++) {
		struct err err = {0};
		struct result r;

		if (begin(LIST, &r, &err) == 0) {
			driver_client_destroy(g_test.client);
			assert_int_equal(r.called, 1);
			assert_int_equal(r.code, ERR_CANCELLED);
			create_client("/bin/true");
		}
	}
	assert_int_equal(g_test.ups, 0);
}

/* --- Silence --------------------------------------------------------------------------------- */

/* A busy machine may take its time to answer at a deadline. */
static void wait_for_late_answers(void)
{
	g_test.client = driver_client_destroy(g_test.client);
	g_test.margin_ms = PATIENCE_MS;
	create_client(FAKE_PROGRAM);
}

static void a_call_that_hangs_ends_at_its_deadline_and_the_driver_lives_on(void **state)
{
	struct driver_request q = STATUS;
	struct result r;
	pid_t pid;

	(void)state;
	wait_for_late_answers();
	create_guest(ID_A);
	pid = driver_client_pid(g_test.client);
	set_faults("{\"status\": {\"hang\": \"before\"}}");
	q.deadline_ms = 200;
	r = call(q);
	assert_int_equal(r.code, ERR_TIMEOUT);
	set_faults("{}");
	assert_int_equal(driver_client_pid(g_test.client), pid);
	assert_int_equal(call(STATUS).code, ERR_OK);
}

static void a_start_cut_off_at_its_deadline_leaves_nothing_running(void **state)
{
	struct driver_request start = {.call = DRIVER_CALL_START, .id = ID_A, .deadline_ms = 300};
	char init[PATH_MAX + 16];
	struct result r;

	(void)state;
	wait_for_late_answers();
	snprintf(init, sizeof(init), "%s/sbin", g_root);
	file_mkdirs(init, 0755);
	snprintf(init, sizeof(init), "%s/sbin/init", g_root);
	assert_int_equal(file_replace(init, "", 0755, false), 0);
	create_guest(ID_A);
	set_faults("{\"start\": {\"hang\": \"after\"}}");
	assert_int_equal(call(start).code, ERR_TIMEOUT);
	set_faults("{}");
	r = call(STATUS);
	assert_int_equal(r.state, GUEST_STOPPED);
	start.deadline_ms = 0;
	assert_int_equal(call(start).code, ERR_OK);
	assert_int_equal(call(STATUS).state, GUEST_RUNNING);
	start.call = DRIVER_CALL_DESTROY;
	assert_int_equal(call(start).code, ERR_OK);
}

static void a_stopped_process_is_killed_and_replaced(void **state)
{
	struct driver_request q = STATUS;
	pid_t pid;

	(void)state;
	create_guest(ID_A);
	pid = driver_client_pid(g_test.client);
	kill(pid, SIGSTOP);
	q.deadline_ms = 100;
	assert_int_equal(call(q).code, ERR_TIMEOUT);
	assert_int_equal(call(STATUS).code, ERR_OK);
	assert_int_not_equal(driver_client_pid(g_test.client), pid);
}

static void one_slow_call_does_not_delay_another(void **state)
{
	struct result slow;

	(void)state;
	create_guest(ID_A);
	set_faults("{\"probe\": {\"hang\": \"before\"}}");
	assert_int_equal(begin(PROBE, &slow, NULL), 0);
	assert_int_equal(call(STATUS).code, ERR_OK);
	assert_int_equal(slow.called, 0);
	g_test.client = driver_client_destroy(g_test.client);
	assert_int_equal(slow.code, ERR_CANCELLED);
}

/* --- Garbage --------------------------------------------------------------------------------- */

static void garbage_ends_the_process_and_not_us(void **state)
{
	static const char *const garbage[] = {
		"x",
		"[]",
		"{}",
		"null",
		"{\\\"serial\\\": \\\"1\\\"}",
		"{\\\"serial\\\": -1}",
		"{\\\"event\\\": 7}",
		"{\\\"event\\\": {}}",
		"{\\\"event\\\": {\\\"id\\\": \\\"0123456789abcdef\\\", \\\"state\\\": "
		"\\\"running\\\"}}",
		"{\\\"event\\\": {\\\"id\\\": \\\"a\\\", \\\"state\\\": \\\"gone\\\"}}",
		"{\\\"event\\\": {\\\"id\\\": \\\"a\\\", \\\"state\\\": \\\"running\\\", "
		"\\\"pid\\\": 99999999}}",
		"{\\\"serial\\\": 1, \\\"statuses\\\": {}}",
		"{\\\"serial\\\": 1, \\\"statuses\\\": [7]}",
		"{\\\"serial\\\": 1, \\\"error\\\": \\\"no\\\"}",
		"{\\\"serial\\\": 1, \\\"serial\\\": 2}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(garbage); i++) {
		char json[512];
		struct result r;

		/* Each time a client that has not begun to hold its driver back. */
		driver_client_destroy(g_test.client);
		create_client(FAKE_PROGRAM);
		snprintf(json, sizeof(json),
			"{\"probe\": {\"garbage\": \"%s\", \"hang\": \"before\", \"count\": 1}}",
			garbage[i]);
		set_faults(json);
		r = call(PROBE);
		if (r.code != ERR_UNAVAILABLE)
			fail_msg("%s: %s", garbage[i], err_code_to_string(r.code));
		assert_int_equal(call(PROBE).code, ERR_OK);
	}
}

static void a_reply_to_no_call_is_ignored(void **state)
{
	pid_t pid;

	(void)state;
	set_faults("{\"probe\": {\"garbage\": \"{\\\"serial\\\": 12345}\", \"count\": 1}}");
	assert_int_equal(call(LIST).code, ERR_OK);
	pid = driver_client_pid(g_test.client);
	assert_int_equal(call(PROBE).code, ERR_OK);
	assert_int_equal(driver_client_pid(g_test.client), pid);
}

static void an_error_of_a_code_that_nobody_knows_is_internal(void **state)
{
	(void)state;
	set_faults("{\"probe\": {\"error\": {\"code\": \"strange\", \"message\": \"why\"}}}");
	assert_int_equal(call(PROBE).code, ERR_INTERNAL);
	set_faults("{\"probe\": {\"error\": {\"code\": \"driver_failed\", \"message\": \"why\"}}}");
	assert_string_equal(call(PROBE).message, "why");
}

/* --- Much ------------------------------------------------------------------------------------ */

static void a_list_longer_than_a_message_comes_whole(void **state)
{
	(void)state;
	for (int i = 0; i < 900; i++) {
		char path[PATH_MAX + 32];

		snprintf(path, sizeof(path), "%s/%012x.json", g_state, i);
		assert_int_equal(file_replace(path, "{}", 0600, false), 0);
	}
	assert_int_equal(call(LIST).statuses, 900);
}

static void more_calls_than_fit_at_once_are_all_answered(void **state)
{
	static struct result r[300];

	(void)state;
	create_guest(ID_A);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		assert_int_equal(begin(STATUS, &r[i], NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(r); i++) {
		run_until(&r[i].called, 1);
		assert_true(r[i].code == ERR_OK || r[i].code == ERR_UNAVAILABLE);
	}
	assert_int_equal(r[0].code, ERR_OK);
}

static void arguments_beyond_a_message_are_refused(void **state)
{
	AUTOFREE char *name = malloc(100000);
	struct driver_guest guest = {.id = ID_A, .name = name, .rootfs = g_root};
	struct driver_request q = {.call = DRIVER_CALL_CREATE, .guest = &guest};
	struct err err = {0};
	struct result r;

	(void)state;
	memset(name, 'a', 99999);
	name[99999] = '\0';
	assert_true(begin(q, &r, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_int_equal(call(LIST).code, ERR_OK);
}

static void destroying_the_client_ends_each_call_once(void **state)
{
	struct result a, b;

	(void)state;
	set_faults("{\"probe\": {\"hang\": \"before\"}}");
	assert_int_equal(call(LIST).code, ERR_OK);
	assert_int_equal(begin(PROBE, &a, NULL), 0);
	assert_int_equal(begin(PROBE, &b, NULL), 0);
	g_test.client = driver_client_destroy(g_test.client);
	assert_int_equal(a.called, 1);
	assert_int_equal(b.called, 1);
	assert_int_equal(a.code, ERR_CANCELLED);
}

static void on_reply_call_again(void *data, const struct driver_reply *reply)
{
	struct driver_request again = LIST;
	struct err err = {0};

	on_reply(data, reply);
	again.deadline_ms = PATIENCE_MS;
	assert_true(driver_client_call(g_test.client, &again, on_reply, data, &err) < 0);
	assert_int_equal(err.code, ERR_CANCELLED);
}

static void a_call_from_the_last_callback_is_refused(void **state)
{
	struct driver_request q = PROBE;
	struct result r = {0};

	(void)state;
	set_faults("{\"probe\": {\"hang\": \"before\"}}");
	assert_int_equal(call(LIST).code, ERR_OK);
	q.deadline_ms = PATIENCE_MS;
	assert_int_equal(driver_client_call(g_test.client, &q, on_reply_call_again, &r, NULL), 0);
	g_test.client = driver_client_destroy(g_test.client);
	assert_int_equal(r.called, 1);
	assert_int_equal(r.code, ERR_CANCELLED);
}

static size_t count_fds(void)
{
	CLEANUP(closedirp) DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	return n;
}

static void deaths_and_commands_leak_no_descriptors(void **state)
{
	const char *argv[] = {"true", NULL};
	struct driver_exec exec = {
		.argv = argv, .stdin_fd = 0, .stdout_fd = 1, .stderr_fd = 2, .status_fd = 2};
	size_t before;

	(void)state;
	assert_int_equal(call(LIST).code, ERR_OK);
	before = count_fds();
	for (int i = 0; i < 3; i++) {
		struct result r;

		call((struct driver_request){
			.call = DRIVER_CALL_EXEC, .id = ID_A, .exec = &exec, .deadline_ms = 5000});
		kill(driver_client_pid(g_test.client), SIGKILL);
		run_until(&g_test.downs, (unsigned)i + 1);
		assert_int_equal(begin(LIST, &r, NULL), 0);
		run_until(&r.called, 1);
	}
	assert_int_equal(count_fds(), before);
}

#define client_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		client_test(the_process_starts_on_first_need),
		client_test(death_ends_calls_in_hand_and_the_next_ones_work),
		client_test(it_comes_back_even_when_nobody_calls),
		client_test(a_crash_before_or_after_the_work_is_unavailable),
		client_test(one_that_keeps_dying_is_held_back_and_says_for_how_long),
		client_test(a_missing_program_is_unavailable_at_once),
		client_test(a_program_that_is_no_driver_is_unavailable),
		client_test(a_call_that_hangs_ends_at_its_deadline_and_the_driver_lives_on),
		client_test(a_start_cut_off_at_its_deadline_leaves_nothing_running),
		client_test(a_stopped_process_is_killed_and_replaced),
		client_test(one_slow_call_does_not_delay_another),
		client_test(garbage_ends_the_process_and_not_us),
		client_test(a_reply_to_no_call_is_ignored),
		client_test(an_error_of_a_code_that_nobody_knows_is_internal),
		client_test(a_list_longer_than_a_message_comes_whole),
		client_test(more_calls_than_fit_at_once_are_all_answered),
		client_test(arguments_beyond_a_message_are_refused),
		client_test(destroying_the_client_ends_each_call_once),
		client_test(a_call_from_the_last_callback_is_refused),
		client_test(deaths_and_commands_leak_no_descriptors),
	};
	int failed;

	if (!mkdtemp(g_dir))
		return 1;
	snprintf(g_state, sizeof(g_state), "%s/state", g_dir);
	snprintf(g_run, sizeof(g_run), "%s/run", g_dir);
	snprintf(g_root, sizeof(g_root), "%s/root", g_dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	file_remove_tree(g_dir);
	return failed;
}
