/* Measures the LXC driver across the boundary: medians of each call on an idle node, what starting
 * many side by side takes, and what a running guest costs in memory beyond its own processes. Not a
 * test: prints figures. Usage: bench_driver_lxc [ROUNDS [GUESTS [ROOTFS]]] */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "conformance/subject.h"
#include "node.h"

#define ROUNDS_MAX 1000
#define GUESTS_MAX 64 /* what an outcome can list */

enum { CREATE, START, EXEC, KILL, START_AGAIN, STOP, DESTROY, CALLS };

static const char *const NAMES[CALLS] = {
	"create", "start", "exec", "kill", "start", "stop", "destroy"};

static const char *g_rootfs;
static int g_null;

static struct driver_guest facts(const char *id, const char *link)
{
	return (struct driver_guest){.id = id,
		.name = "bench.example.org",
		.rootfs = g_rootfs,
		.net = {.bridge = NODE_BRIDGE,
			.link = link,
			.mac = {0x00, 0x16, 0x3e, 0, 0, (uint8_t)strtol(id, NULL, 16)},
			.address = 0x0a630002U + (uint32_t)strtol(id, NULL, 16),
			.prefix = 24,
			.gateway = 0x0a630001}};
}

static void check(const struct outcome *o)
{
	if (o->result < 0) {
		fprintf(stderr, "%s\n", o->error.message);
		exit(1);
	}
}

static double timed(struct subject *s, struct driver_request request)
{
	int64_t begun = clock_monotonic_ns();
	struct outcome o;

	subject_call(s, &request, &o, 1);
	check(&o);
	return (double)(clock_monotonic_ns() - begun) / 1e6;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* From the call to the end of `true`. */
static double timed_exec(struct subject *s, const char *id)
{
	const char *argv[] = {"true", NULL};
	struct driver_exec exec = {
		.argv = argv, .stdin_fd = g_null, .stdout_fd = g_null, .stderr_fd = 2};
	int64_t begun = clock_monotonic_ns();
	int ends[2], status = -1;

	if (pipe2(ends, O_CLOEXEC) < 0)
		exit(1);
	exec.status_fd = ends[1];
	timed(s, (struct driver_request){.call = DRIVER_CALL_EXEC, .id = id, .exec = &exec});
	close(ends[1]);
	if (read(ends[0], &status, sizeof(status)) != sizeof(status) || status != 0)
		fprintf(stderr, "the command ended with %d\n", status);
	close(ends[0]);
	return (double)(clock_monotonic_ns() - begun) / 1e6;
}

static void bench_calls(struct subject *s, size_t rounds)
{
	static double times[CALLS][ROUNDS_MAX];
	const char *id = "000000000001";
	struct driver_guest guest = facts(id, "cvb1");

	for (size_t i = 0; i < rounds; i++) {
		times[CREATE][i] = timed(
			s, (struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
		times[START][i] =
			timed(s, (struct driver_request){.call = DRIVER_CALL_START, .id = id});
		times[EXEC][i] = timed_exec(s, id);
		times[KILL][i] =
			timed(s, (struct driver_request){.call = DRIVER_CALL_KILL, .id = id});
		times[START_AGAIN][i] =
			timed(s, (struct driver_request){.call = DRIVER_CALL_START, .id = id});
		times[STOP][i] =
			timed(s, (struct driver_request){
					 .call = DRIVER_CALL_STOP, .id = id, .timeout_ms = 30000});
		times[DESTROY][i] =
			timed(s, (struct driver_request){.call = DRIVER_CALL_DESTROY, .id = id});
	}
	for (int c = 0; c < CALLS; c++) {
		qsort(times[c], rounds, sizeof(double), compare);
		printf("%-8s p50 %6.1f ms   p90 %6.1f ms   least %6.1f ms\n", NAMES[c],
			times[c][rounds / 2], times[c][rounds * 9 / 10], times[c][0]);
	}
}

/* KiB of a line of /proc/PID/smaps_rollup. */
static long smaps(pid_t pid, const char *key)
{
	AUTOFREE char *text = NULL;
	const char *line;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	if (file_read(path, 65536, &text, NULL) < 0 || !(line = strstr(text, key)))
		return 0;
	return strtol(line + strlen(key), NULL, 10);
}

static pid_t parent_of(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (file_read(path, 4096, &text, NULL) == 0)
		sscanf(strrchr(text, ')') + 1, " %*c %d", &parent);
	return parent;
}

static void print_memory(struct subject *s, const struct outcome *o, size_t count)
{
	long rss = 0, pss = 0, dirty = 0;
	pid_t driver = subject_pid(s);

	for (size_t i = 0; i < count; i++) {
		pid_t monitor = parent_of(o[i].statuses[0].pid);

		rss += smaps(monitor, "\nRss:");
		pss += smaps(monitor, "\nPss:");
		dirty += smaps(monitor, "\nPrivate_Dirty:");
	}
	printf("monitor  RSS %ld KiB, PSS %ld KiB, private dirty %ld KiB (mean of %zu)\n",
		rss / (long)count, pss / (long)count, dirty / (long)count, count);
	printf("driver   RSS %ld KiB, PSS %ld KiB\n", smaps(driver, "\nRss:"),
		smaps(driver, "\nPss:"));
}

static void bench_many(struct subject *s, size_t count)
{
	static char ids[GUESTS_MAX][GUEST_ID_LEN + 1], links[GUESTS_MAX][DRIVER_LINK_MAX + 1];
	static struct driver_request q[GUESTS_MAX];
	static struct outcome o[GUESTS_MAX];
	int64_t begun;

	for (size_t i = 0; i < count; i++) {
		struct driver_guest guest;

		snprintf(ids[i], sizeof(ids[i]), "%012zx", i + 2);
		snprintf(links[i], sizeof(links[i]), "cvb%zu", i + 2);
		guest = facts(ids[i], links[i]);
		timed(s, (struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest});
		q[i] = (struct driver_request){.call = DRIVER_CALL_START, .id = ids[i]};
	}
	begun = clock_monotonic_ns();
	subject_call(s, q, o, count);
	printf("%zu starts side by side %.1f ms each\n", count,
		(double)(clock_monotonic_ns() - begun) / 1e6 / (double)count);
	for (size_t i = 0; i < count; i++) {
		check(&o[i]);
		q[i].call = DRIVER_CALL_DESTROY;
	}
	print_memory(s, o, count);
	begun = clock_monotonic_ns();
	subject_call(s, q, o, count);
	printf("%zu destroys side by side %.1f ms each\n", count,
		(double)(clock_monotonic_ns() - begun) / 1e6 / (double)count);
}

int main(int argc, char **argv)
{
	size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20;
	size_t guests = argc > 2 ? strtoul(argv[2], NULL, 10) : 20;
	struct driver_config config;
	struct subject *s;

	node_enter();
	g_null = open("/dev/null", O_RDWR | O_CLOEXEC);
	g_rootfs = argc > 3 ? argv[3] : node_rootfs(ROOTFS_PLAIN);
	config = node_config();
	s = subject_create(NULL, LXC_PROGRAM, &config);
	bench_calls(s, rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds);
	bench_many(s, guests < 1 ? 1 : guests > GUESTS_MAX ? GUESTS_MAX : guests);
	subject_free(s);
	return 0;
}
