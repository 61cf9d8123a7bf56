/* Watching guests of somebody else by a process of its own. That somebody is a directory here: a
 * file "there" while it can be asked, a file for each guest that holds its state, a named pipe by
 * which it tells that a guest has changed. */
#include "drivers/watch/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/watch/source.h"

#define A	    "00000000000a"
#define B	    "00000000000b"
#define LOST	    "lost________" /* in the place of an id */
#define DEADLINE_MS 60000

static char g_dir[64];
static struct remote *g_remote;

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", g_dir, name);
	return path;
}

/* --- Somebody else, and the process that listens to it ---------------------------------------- */

struct listener {
	const struct source *source;
	int events;
};

static bool open_events(void *data)
{
	struct listener *l = data;

	l->events = open(path_of("events"), O_RDWR | O_CLOEXEC);
	return access(path_of("there"), F_OK) == 0;
}

static void close_events(void *data)
{
	struct listener *l = data;

	l->events = fd_close(l->events);
}

/* Until an event says that the connection is lost. */
static void serve(void *data)
{
	const struct listener *l = data;
	struct pollfd fds[] = {
		{.fd = l->events, .events = POLLIN}, {.fd = l->source->orders, .events = POLLIN}};
	char id[GUEST_ID_LEN + 1] = "";

	while (poll(fds, 2, -1) > 0) {
		if (fds[1].revents)
			source_take_order(l->source);
		if (!fds[0].revents)
			continue;
		if (read(l->events, id, GUEST_ID_LEN) != GUEST_ID_LEN || strcmp(id, LOST) == 0)
			return;
		source_look(l->source, id);
	}
}

static bool look(void *data, const char *id, struct driver_status *ret)
{
	const struct listener *l = data;
	AUTOFREE char *text = NULL;

	if (file_read(path_of(id), 64, &text, NULL) < 0)
		return false;
	*ret = (struct driver_status){.state = GUEST_UNKNOWN, .exit_status = -1};
	snprintf(ret->id, sizeof(ret->id), "%s", id);
	if (l->events < 0)
		return true;
	ret->pid = atoi(text);
	ret->state = ret->pid ? GUEST_RUNNING : GUEST_STOPPED;
	return true;
}

static int list(void *data, struct driver_status **ret, size_t *ret_count)
{
	static const char *const ids[] = {A, B};
	struct driver_status *all = calloc(2, sizeof(*all));
	size_t count = 0;

	for (size_t i = 0; all && i < ARRAY_SIZE(ids); i++)
		count += look(data, ids[i], &all[count]);
	*ret = all;
	*ret_count = count;
	return all ? 0 : -ENOMEM;
}

static void run(void *data, struct source *source)
{
	static const struct source_ops ops = {open_events, serve, close_events, look, list};
	struct listener l = {.source = source, .events = -1};

	(void)data;
	source_run(source, &ops, &l);
}

static bool defined(void *data, const char *id)
{
	(void)data;
	return access(path_of(id), F_OK) == 0;
}

/* --- What the host is told -------------------------------------------------------------------- */

struct wanted {
	const char *id;
	enum guest_state state;
	pid_t pid;
	bool seen;
	size_t others;
};

static void on_event(void *data, const struct driver_status *status)
{
	struct wanted *w = data;

	if (strcmp(status->id, w->id) == 0 && status->state == w->state && status->pid == w->pid)
		w->seen = true;
	else
		w->others++;
}

/* Waits until this was told; returns what else was. */
static size_t await(const char *ask, const char *id, enum guest_state state, pid_t pid)
{
	struct wanted wanted = {.id = id, .state = state, .pid = pid};
	int64_t end = clock_monotonic_ns() + DEADLINE_MS * 1000000LL;
	struct pollfd f = {.fd = remote_fd(g_remote), .events = POLLIN};

	if (ask)
		remote_dispatch(g_remote, ask, on_event, &wanted);
	while (!wanted.seen && clock_monotonic_ns() < end && poll(&f, 1, DEADLINE_MS) >= 0)
		remote_dispatch(g_remote, NULL, on_event, &wanted);
	assert_true(wanted.seen);
	return wanted.others;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(file_replace(path_of(name), text, 0600, false), 0);
}

static void tell(const char *text)
{
	AUTOCLOSE int fd = open(path_of("events"), O_RDWR | O_CLOEXEC);

	assert_int_equal(write(fd, text, GUEST_ID_LEN), GUEST_ID_LEN);
}

static pid_t process(void)
{
	AUTOFREE char *text = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", getpid(), getpid());
	assert_int_equal(file_read(path, 4096, &text, NULL), 0);
	return atoi(text);
}

static int begin(void **state)
{
	static const struct remote_ops ops = {.run = run, .defined = defined};

	(void)state;
	snprintf(g_dir, sizeof(g_dir), "/tmp/corpus-remote-XXXXXX");
	if (!mkdtemp(g_dir) || mkfifo(path_of("events"), 0600) < 0)
		return -1;
	put("there", "");
	put(A, "0");
	return remote_create(&ops, NULL, &g_remote, NULL);
}

static int end(void **state)
{
	(void)state;
	g_remote = remote_free(g_remote);
	return file_remove_tree(g_dir);
}

/* --- Tests ------------------------------------------------------------------------------------ */

static void test_tells_of_all_at_first_and_of_changes_then(void **state)
{
	(void)state;
	await(NULL, A, GUEST_STOPPED, 0);
	put(B, "7");
	tell(B);
	await(NULL, B, GUEST_RUNNING, 7);
	put(A, "8");
	tell(A);
	await(NULL, A, GUEST_RUNNING, 8);
}

static void test_answers_who_asks_also_when_nothing_has_changed(void **state)
{
	(void)state;
	await(NULL, A, GUEST_STOPPED, 0);
	assert_int_equal(await(A, A, GUEST_STOPPED, 0), 0);
	assert_int_equal(await(A, A, GUEST_STOPPED, 0), 0);
}

static void test_what_is_not_defined_any_more_is_stopped_and_forgotten(void **state)
{
	(void)state;
	put(A, "9");
	tell(A);
	await(NULL, A, GUEST_RUNNING, 9);
	assert_int_equal(unlink(path_of(A)), 0);
	tell(A);
	await(NULL, A, GUEST_STOPPED, 0);
}

static void test_guests_are_unknown_while_nobody_can_be_asked(void **state)
{
	(void)state;
	await(NULL, A, GUEST_STOPPED, 0);
	assert_int_equal(unlink(path_of("there")), 0);
	tell(LOST);
	await(NULL, A, GUEST_UNKNOWN, 0);
	await(A, A, GUEST_UNKNOWN, 0);
	put(A, "3");
	put("there", "");
	await(NULL, A, GUEST_RUNNING, 3);
}

static void test_a_process_that_ends_is_replaced(void **state)
{
	pid_t first = process();

	(void)state;
	await(NULL, A, GUEST_STOPPED, 0);
	assert_true(first > 1);
	kill(first, SIGKILL);
	await(NULL, A, GUEST_UNKNOWN, 0);
	await(NULL, A, GUEST_STOPPED, 0);
	assert_true(process() > 1);
	assert_int_not_equal(process(), first);
}

static void test_nothing_is_left_of_it(void **state)
{
	pid_t pid = process();

	(void)state;
	assert_true(pid > 1);
	g_remote = remote_free(g_remote);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
}

#define remote_test(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		remote_test(test_tells_of_all_at_first_and_of_changes_then),
		remote_test(test_answers_who_asks_also_when_nothing_has_changed),
		remote_test(test_what_is_not_defined_any_more_is_stopped_and_forgotten),
		remote_test(test_guests_are_unknown_while_nobody_can_be_asked),
		remote_test(test_a_process_that_ends_is_replaced),
		remote_test(test_nothing_is_left_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
