/* Words for the tests of the suite. */
#include "guests.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "program.h"

#define STATUS_MS 60000 /* until what is not known is known */

static struct {
	const struct environment *environment;
	struct subject *subject;
	uint32_t capabilities;
} g_suite;

void guests_begin(const struct environment *e)
{
	g_suite.environment = e;
	g_suite.subject = subject_create(e->ops, e->program, &e->config);
	g_suite.capabilities =
		call_ok((struct driver_request){.call = DRIVER_CALL_PROBE}).info.capabilities;
}

void guests_end(void)
{
	call((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	subject_free(g_suite.subject);
	g_suite.subject = NULL;
}

static bool is_running(const char *id)
{
	struct outcome o = call((struct driver_request){.call = DRIVER_CALL_STATUS, .id = id});

	return o.result == 0 && o.statuses[0].state == GUEST_RUNNING;
}

int guests_remove_all(void **state)
{
	struct outcome o;

	(void)state;
	unsetenv("CORPUS_FAULT");
	if (g_suite.environment->shared_guest && is_running(GUEST_A))
		return 0;
	o = call((struct driver_request){.call = DRIVER_CALL_LIST});
	for (size_t i = 0; i < o.statuses_count; i++)
		call((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = o.statuses[i].id});
	subject_forget_events(g_suite.subject);
	return 0;
}

const struct environment *environment(void)
{
	return g_suite.environment;
}

struct subject *subject(void)
{
	return g_suite.subject;
}

bool can(enum driver_capability capability)
{
	return g_suite.capabilities & capability;
}

struct outcome call(struct driver_request request)
{
	struct outcome outcome;

	subject_call(g_suite.subject, &request, &outcome, 1);
	return outcome;
}

struct outcome call_ok(struct driver_request request)
{
	struct outcome o = call(request);

	if (o.result < 0)
		fail_msg("%s: %s: %s", driver_call_to_string(request.call),
			err_code_to_string(o.error.code), o.error.message);
	return o;
}

struct outcome call_fails(struct driver_request request, enum err_code code)
{
	struct outcome o = call(request);

	if (o.result == 0)
		fail_msg("%s succeeded", driver_call_to_string(request.call));
	if (o.error.code != code)
		fail_msg("%s: %s: %s", driver_call_to_string(request.call),
			err_code_to_string(o.error.code), o.error.message);
	return o;
}

struct driver_guest guest_facts(const char *id, enum rootfs_kind kind)
{
	static char link[DRIVER_LINK_MAX + 1];
	const struct environment *e = g_suite.environment;
	struct driver_guest guest = {.id = id,
		.name = "conformance.example.org",
		.rootfs = e->rootfs ? e->rootfs(kind) : NULL,
		.disk = e->disk ? e->disk(id, kind) : NULL,
		.container = e->container ? e->container(id, kind) : NULL,
		.privileged = e->privileged,
		.net = {.bridge = e->bridge,
			.link = link,
			.mac = {0x00, 0x16, 0x3e, 0x01, 0x02, 0x03},
			.prefix = 24,
			.gateway = 0x0a630001}};
	size_t n = strlen(id);

	snprintf(link, sizeof(link), "cvt%.8s", n > 8 ? id + n - 8 : id);
	guest.net.mac[5] = n ? (uint8_t)id[n - 1] : 0;
	guest.net.address = 0x0a630000U + guest.net.mac[5];
	return guest;
}

void define_guest(const char *id, enum rootfs_kind kind)
{
	struct driver_guest guest = guest_facts(id, kind);

	call_ok((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
}

struct driver_status start_guest(const char *id)
{
	struct outcome o = call_ok((struct driver_request){.call = DRIVER_CALL_START, .id = id});

	assert_int_equal(o.statuses_count, 1);
	assert_string_equal(o.statuses[0].id, id);
	assert_int_equal(o.statuses[0].state, GUEST_RUNNING);
	if (!g_suite.environment->end_played) {
		assert_true(o.statuses[0].pid > 1);
		assert_int_equal(kill(o.statuses[0].pid, 0), 0);
	}
	if (g_suite.environment->ready)
		g_suite.environment->ready(id);
	return o.statuses[0];
}

struct driver_status status_at_once(const char *id)
{
	return call_ok((struct driver_request){.call = DRIVER_CALL_STATUS, .id = id}).statuses[0];
}

struct driver_status status_of(const char *id)
{
	int64_t end = clock_monotonic_ns() + STATUS_MS * 1000000LL;
	struct driver_status status;

	do
		status = status_at_once(id);
	while (status.state == GUEST_UNKNOWN && clock_monotonic_ns() < end);
	return status;
}

void stop_guest(const char *id, uint64_t timeout_ms)
{
	call_ok((struct driver_request){
		.call = DRIVER_CALL_STOP, .id = id, .timeout_ms = timeout_ms});
}

void destroy_guest(const char *id)
{
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = id});
	assert_nothing_left(id, false);
}

bool is_machine(void)
{
	return g_suite.environment->disk;
}

void borrow_guest(void)
{
	if (g_suite.environment->shared_guest && is_running(GUEST_A))
		return;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
}

void return_guest(void)
{
	if (!g_suite.environment->shared_guest)
		destroy_guest(GUEST_A);
}

void prepare_inside(const char *fmt, ...)
{
	const struct environment *e = g_suite.environment;
	AUTOFREE char *script = NULL;
	va_list args;

	va_start(args, fmt);
	assert_true(vasprintf(&script, fmt, args) > 0);
	va_end(args);
	if (!e->rootfs) { /* its files are reached from inside only */
		assert_exec((const char *[]){"sh", "-c", script, NULL}, "", "", "", 0);
		return;
	}
	program_shell("R=%s\n%s", e->rootfs(ROOTFS_PLAIN), script);
}

void assert_process_goes(pid_t pid)
{
	AUTOCLOSE int pidfd = process_pidfd(pid);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0)
		assert_int_equal(poll(&p, 1, 60000), 1);
	assert_process_gone(pid);
}

void end_guest(pid_t pid)
{
	if (g_suite.environment->end_played)
		g_suite.environment->end_played(GUEST_A);
	else
		kill(pid, SIGKILL);
}

void assert_process_gone(pid_t pid)
{
	AUTOFREE char *path = NULL, *text = NULL;
	const char *after;

	assert_true(asprintf(&path, "/proc/%d/stat", pid) > 0);
	if (file_read(path, 4096, &text, NULL) < 0)
		return;
	/* Dead, and not yet reaped by whoever inherited it, is gone enough. */
	after = strrchr(text, ')');
	assert_non_null(after);
	assert_int_equal(after[2], 'Z');
}

void assert_nothing_left(const char *id, bool defined)
{
	const char *left =
		g_suite.environment->leftovers ? g_suite.environment->leftovers(id, defined) : NULL;

	if (left)
		fail_msg("left of guest %s: %s", id, left);
}

struct driver_file file_at(enum driver_file_op op, const char *path)
{
	return (struct driver_file){
		.op = op, .path = path, .fd = -1, .mode = -1, .uid = -1, .gid = -1};
}

int memory_file(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

void assert_holds(int fd, const char *text)
{
	char buf[4096];
	ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

	assert_true(n >= 0);
	buf[n] = '\0';
	assert_string_equal(buf, text);
}

int wait_status_of(int status_fd)
{
	struct pollfd p = {.fd = status_fd, .events = POLLIN};
	int status;

	if (poll(&p, 1, 60000) != 1)
		fail_msg("the command does not end");
	return read(status_fd, &status, sizeof(status)) == sizeof(status) ? status : -1;
}

void assert_exec(const char *const *argv, const char *input, const char *output, const char *errors,
	int status)
{
	AUTOCLOSE int in = memory_file(input);
	AUTOCLOSE int out = memory_file("");
	AUTOCLOSE int errs = memory_file("");
	int ends[2];
	struct driver_exec exec = {
		.argv = argv, .stdin_fd = in, .stdout_fd = out, .stderr_fd = errs};
	struct outcome o;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);

	AUTOCLOSE int status_fd = ends[0];

	exec.status_fd = ends[1];
	o = call_ok(
		(struct driver_request){.call = DRIVER_CALL_EXEC, .id = GUEST_A, .exec = &exec});
	close(ends[1]);
	assert_true(o.pid > 1);
	assert_int_equal(wait_status_of(status_fd), status);
	assert_holds(out, output);
	assert_holds(errs, errors);
}
