/* A guest whose init is systemd comes up without a failed unit that matters, and shuts down when
 * asked to. It needs a Debian root tree as a tar file: the environment variable
 * CORPUS_TEST_DEBIAN_TAR, or where ./dev keeps its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/ids.h"
#include "conformance/program.h"
#include "conformance/subject.h"
#include "node.h"

#define ID	    GUEST_A
#define DEFAULT_TAR "/var/cache/corpus-dev/debian-with-page.tar"

static struct subject *g_subject;
static char g_root[PATH_MAX];
static bool g_privileged;

static const char *tar_path(void)
{
	const char *path = getenv("CORPUS_TEST_DEBIAN_TAR");

	return path ? path : DEFAULT_TAR;
}

static void need_tar(void)
{
	if (access(tar_path(), R_OK) < 0)
		fail_msg("%s is not there: python3 -m harness.rootfs makes it, as ./dev test does",
			tar_path());
}

static void unpack(void)
{
	snprintf(g_root, sizeof(g_root), "%s/debian", node_dir());
	assert_int_equal(file_mkdirs(g_root, 0755), 0);
	RUN("tar", "-C", g_root, "-xf", tar_path());
}

static struct outcome call(struct driver_request request)
{
	struct outcome o;

	subject_call(g_subject, &request, &o, 1);
	if (o.result < 0)
		fail_msg("%s: %s", driver_call_to_string(request.call), o.error.message);
	return o;
}

static void define(void)
{
	struct driver_guest guest = {.id = ID,
		.name = "debian.example.org",
		.rootfs = g_root,
		.privileged = g_privileged,
		.limits = {.memory = 512ULL * 1024 * 1024, .pids = 500},
		.net = {.bridge = NODE_BRIDGE,
			.link = "cvtdeb",
			.mac = {0x00, 0x16, 0x3e, 0, 0, 9},
			.address = 0x0a630009,
			.prefix = 24,
			.gateway = 0x0a630001}};

	/* There the controllers are where v1 has them. */
	if (getenv("CORPUS_TEST_UNIFIED"))
		guest.limits = (struct guest_limits){0};
	call((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
}

/* What a shell command inside prints. */
static void run_inside(const char *command, char *buf, size_t size)
{
	const char *argv[] = {"/bin/sh", "-c", command, NULL};
	AUTOCLOSE int out = memfd_create("out", MFD_CLOEXEC);
	struct driver_exec exec = {.argv = argv, .stdin_fd = 0, .stdout_fd = out, .stderr_fd = 2};
	struct pollfd end = {.events = POLLIN};
	int status[2];
	ssize_t n;

	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	end.fd = status[0];
	exec.status_fd = status[1];
	call((struct driver_request){.call = DRIVER_CALL_EXEC, .id = ID, .exec = &exec});
	close(status[1]);
	assert_int_equal(poll(&end, 1, 50000), 1);
	close(status[0]);
	n = pread(out, buf, size - 1, 0);
	buf[n > 0 ? n : 0] = '\0';
}

/* Its manager answers on its own socket once it runs. */
static void wait_for_systemd(char *buf, size_t size)
{
	int64_t end = clock_monotonic_ns() + 60 * 1000000000LL;

	do {
		run_inside("while ! test -S /run/systemd/private; do sleep 0.05; done;"
			   "SYSTEMCTL_FORCE_BUS=0 systemctl is-system-running --wait",
			buf, size);
		assert_true(clock_monotonic_ns() < end);
	} while (strncmp(buf, "running", 7) != 0 && strncmp(buf, "degraded", 8) != 0);
}

static void systemd_comes_up_and_shuts_down(void **state)
{
	char buf[4096];
	int64_t begun;

	(void)state;
	need_tar();
	if (!g_root[0])
		unpack();
	define();
	begun = clock_monotonic_ns();
	call((struct driver_request){.call = DRIVER_CALL_START, .id = ID});
	wait_for_systemd(buf, sizeof(buf));
	print_message("           %s after %.1f s\n", strtok(buf, "\n"),
		(double)(clock_monotonic_ns() - begun) / 1e9);
	run_inside("systemctl --failed --no-legend --plain", buf, sizeof(buf));
	print_message("           failed units: %s\n", buf[0] ? buf : "none");
	assert_null(strstr(buf, "systemd-journald.service"));
	run_inside("cat /proc/1/comm; ip -4 -o address show eth0", buf, sizeof(buf));
	assert_non_null(strstr(buf, "systemd"));
	begun = clock_monotonic_ns();
	call((struct driver_request){.call = DRIVER_CALL_STOP, .id = ID, .timeout_ms = 60000});
	print_message(
		"           down after %.1f s\n", (double)(clock_monotonic_ns() - begun) / 1e9);
	assert_true(clock_monotonic_ns() - begun < 30 * 1000000000LL);
	call((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = ID});
	assert_null(node_leftovers(ID, false));
}

static void a_guest_that_reboots_itself_is_seen_running_again(void **state)
{
	char buf[4096];
	pid_t before, after;

	(void)state;
	need_tar();
	define();
	before = call((struct driver_request){.call = DRIVER_CALL_START, .id = ID}).statuses[0].pid;
	wait_for_systemd(buf, sizeof(buf));
	subject_wait_event(g_subject, ID, GUEST_RUNNING);
	subject_forget_events(g_subject);
	run_inside("kill -39 1", buf, sizeof(buf)); /* SIGRTMIN+5, systemd(1) */
	subject_wait_event(g_subject, ID, GUEST_RUNNING);
	after = call((struct driver_request){.call = DRIVER_CALL_STATUS, .id = ID}).statuses[0].pid;
	assert_true(after > 0 && after != before);
	call((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = ID});
	assert_null(node_leftovers(ID, false));
}

static int destroy(void **state)
{
	struct driver_request q = {.call = DRIVER_CALL_DESTROY, .id = ID};
	struct outcome o;

	(void)state;
	subject_call(g_subject, &q, &o, 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(systemd_comes_up_and_shuts_down, destroy),
		cmocka_unit_test_teardown(
			a_guest_that_reboots_itself_is_seen_running_again, destroy),
	};
	struct driver_config config;
	int failed;

	node_enter();
	config = node_config();
	g_subject = subject_create(NULL, LXC_PROGRAM, &config);
	failed = cmocka_run_group_tests_name("unprivileged systemd", tests, NULL, NULL);
	g_privileged = true;
	failed += cmocka_run_group_tests_name("privileged systemd", tests, NULL, NULL);
	subject_free(g_subject);
	return failed;
}
