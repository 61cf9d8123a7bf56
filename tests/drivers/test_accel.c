/* What is found out about acceleration: by really booting, under QEMU's emulation where a working
 * accelerator is wanted, and with programs in QEMU's place that do what a broken one does. */
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
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/process.h"
#include "drivers/kvm/accel.h"
#include "drivers/kvm/accel_boot.h"

#define LONG_MS	 30000 /* a busy machine may take its time where it is not what is tested */
#define SHORT_MS 2000  /* and here, until a script has said what it has to say */

/* A place with everything that makes up a host. */
struct place {
	char dir[64], qemu[96], cpuinfo[96], device[96], machine_id[96], counter[96];
	struct accel_host host;
};

static void write_text(const char *path, const char *text)
{
	assert_int_equal(file_replace(path, text, 0644, false), 0);
}

/* A program in QEMU's place; it notes that it was run, and has its process id in `…/pid`. */
static void qemu_does(struct place *p, const char *script)
{
	char text[1024];

	snprintf(text, sizeof(text), "#!/bin/sh\necho $$ >>%s\n%s\n", p->counter, script);
	write_text(p->qemu, text);
	assert_int_equal(chmod(p->qemu, 0755), 0);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	snprintf(p->dir, sizeof(p->dir), "/tmp/test-accel-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	assert_int_equal(chmod(p->dir, 0777), 0); /* QEMU is not run by root */
	snprintf(p->qemu, sizeof(p->qemu), "%s/qemu", p->dir);
	snprintf(p->cpuinfo, sizeof(p->cpuinfo), "%s/cpuinfo", p->dir);
	snprintf(p->device, sizeof(p->device), "%s/device", p->dir);
	snprintf(p->machine_id, sizeof(p->machine_id), "%s/machine-id", p->dir);
	snprintf(p->counter, sizeof(p->counter), "%s/runs", p->dir);
	write_text(p->cpuinfo, "processor\t: 0\nmodel name\t: Abacus 1\nflags\t\t: vmx\n");
	write_text(p->device, "");
	write_text(p->machine_id, "0123456789abcdef0123456789abcdef\n");
	write_text(p->counter, "");
	assert_int_equal(chmod(p->counter, 0666), 0);
	p->host = (struct accel_host){.qemu = p->qemu,
		.accelerator = "kvm",
		.device = p->device,
		.cpuinfo = p->cpuinfo,
		.machine_id = p->machine_id,
		.timeout_ms = LONG_MS};
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;
	int r = file_remove_tree(p->dir);

	free(p);
	return r;
}

static unsigned runs(const struct place *p)
{
	AUTOFREE char *text = NULL;
	unsigned count = 0;

	assert_int_equal(file_read(p->counter, 65536, &text, NULL), 0);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		count++;
	return count;
}

/* The program that was run last is gone. */
static void assert_gone(const struct place *p)
{
	AUTOFREE char *text = NULL;
	pid_t pid = 0;

	assert_int_equal(file_read(p->counter, 65536, &text, NULL), 0);
	for (char *at = text; *at; at = strchrnul(at, '\n') + 1)
		pid = atoi(at);
	assert_true(pid > 0);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and nobody's child is left */
	assert_int_equal(errno, ECHILD);
}

static struct accel_finding find(const struct place *p)
{
	struct accel_finding finding;

	accel_find(&p->host, p->dir, &finding);
	return finding;
}

/* --- What is booted -------------------------------------------------------------------------- */

/* QEMU's own emulation stands in for a good host. */
static void what_is_booted_works_where_a_machine_does(void **state)
{
	struct place *p = *state;
	struct accel_finding finding;

	p->host.qemu = accel_this_host.qemu;
	p->host.accelerator = "tcg";
	finding = find(p);
	assert_string_equal(finding.reason, "");
	assert_true(finding.works);
	assert_false(finding.inconclusive);
	assert_true(finding.found_ms > 0 && finding.found_ms <= clock_realtime_ms());
}

/* cli; 1: hlt; jmp 1b, where the processor begins. */
static void a_machine_that_stands_still_is_told_with_where(void **state)
{
	static const char STILL[16] = {'\xfa', '\xf4', '\xeb', '\xfd'};
	struct place *p = *state;
	struct accel_finding finding;

	p->host.qemu = accel_this_host.qemu;
	p->host.accelerator = "tcg";
	p->host.timeout_ms = 1000;
	accel_boot(&p->host, STILL, sizeof(STILL), &finding);
	assert_false(finding.works);
	assert_true(finding.inconclusive);
	assert_string_equal(
		finding.reason, "a small machine stood still while it was beginning, in real mode");
}

/* It says that all is well, but by a processor that has none of it: ends by a triple fault. */
static void what_only_says_that_it_works_does_not(void **state)
{
	/* mov $0x3f8, %dx; mov $'W', %al; out %al, %dx; lidt of nothing; int3 */
	static const char LIAR[32] = {'\xba', '\xf8', '\x03', '\xb0', 'W', '\xee', '\x2e', '\x0f',
		'\x01', '\x1e', '\xf8', '\xff', '\xcc', [16] = '\xeb', [17] = '\xee'};
	struct place *p = *state;
	struct accel_finding finding;

	p->host.qemu = accel_this_host.qemu;
	p->host.accelerator = "tcg";
	accel_boot(&p->host, LIAR, sizeof(LIAR), &finding);
	assert_false(finding.works);
	assert_false(finding.inconclusive);
	assert_string_equal(
		finding.reason, "a small machine failed while it was beginning, in real mode");
}

/* Whatever it is: in time, with a reason exactly when it does not work. */
static void this_host_is_found_out_in_time(void **state)
{
	struct place *p = *state;
	int64_t before = clock_monotonic_ns();
	struct accel_finding finding;

	accel_find(&accel_this_host, p->dir, &finding);
	assert_true(clock_monotonic_ns() - before < INT64_C(30000) * 1000000);
	assert_int_equal(finding.works, finding.reason[0] == '\0');
	print_message("here: %s\n", finding.works ? "works" : finding.reason);
}

/* --- What QEMU does -------------------------------------------------------------------------- */

static void each_way_to_fail_has_its_reason(void **state)
{
	static const struct {
		const char *script, *reason;
		bool inconclusive;
	} CASES[] = {
		{"printf RPLC; exec sleep 60",
			"a small machine stood still while it was using SSE and XSAVE", true},
		{"printf RPLCX; kill -ABRT $$",
			"QEMU was ended by signal 6 (Aborted) while a small machine was handling a "
			"page fault",
			false},
		{"printf RPL!; exit 5",
			"a small machine failed while it was reading what the processor is", false},
		{"printf RPLCXFMTIANUSW; exit 0", "a small machine failed while it was ending",
			false},
		{"echo qemu-system-x86_64: warning: odd >&2\n"
		 "echo qemu-system-x86_64: CPU model host does not work >&2\nexit 1",
			"QEMU ended at once, and said: CPU model host does not work", false},
	};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct accel_finding finding;

		qemu_does(p, CASES[i].script);
		p->host.timeout_ms = CASES[i].inconclusive ? SHORT_MS : LONG_MS;
		finding = find(p);
		assert_string_equal(finding.reason, CASES[i].reason);
		assert_false(finding.works);
		assert_int_equal(finding.inconclusive, CASES[i].inconclusive);
		assert_int_equal(runs(p), i + 1);
		assert_gone(p);
	}
}

/* A deadline of half a minute is not waited for. */
static void a_machine_that_kvm_gives_up_is_not_waited_for(void **state)
{
	struct place *p = *state;
	struct accel_finding finding;

	qemu_does(p, "printf RPLC; echo 'KVM internal error. Suberror: 1' >&2; exec sleep 25");
	int64_t before = clock_monotonic_ns();
	finding = find(p);
	assert_true(clock_monotonic_ns() - before < INT64_C(20000) * 1000000);
	assert_string_equal(
		finding.reason, "KVM gave up a small machine that was using SSE and XSAVE");
	assert_false(finding.inconclusive);
	assert_gone(p);
}

/* Who tries is killed in the middle of it. */
static void qemu_is_not_run_by_root_and_dies_with_us(void **state)
{
	struct place *p = *state;
	AUTOCLOSE int ready = -1, pidfd = -1;
	char told[128], script[256], line[64] = {0};
	struct pollfd gone;
	unsigned uid, qemu;
	pid_t pid;

	snprintf(told, sizeof(told), "%s/told", p->dir);
	assert_int_equal(mkfifo(told, 0666), 0);
	assert_int_equal(chmod(told, 0666), 0);
	ready = open(told, O_RDWR | O_CLOEXEC);
	assert_true(ready >= 0);
	snprintf(script, sizeof(script), "echo $(id -u) $$ >%s; exec sleep 60", told);
	qemu_does(p, script);
	pid = fork();
	if (pid == 0) {
		(void)find(p);
		_exit(0);
	}
	assert_true(read(ready, line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "%u %u", &uid, &qemu), 2);
	pidfd = process_pidfd((pid_t)qemu);
	assert_true(pidfd >= 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(uid != 0 || geteuid() != 0);
	gone = (struct pollfd){.fd = pidfd, .events = POLLIN};
	assert_int_equal(poll(&gone, 1, LONG_MS), 1);
}

/* --- One look -------------------------------------------------------------------------------- */

static void without_a_device_or_qemu_nothing_is_run_or_remembered(void **state)
{
	struct place *p = *state;
	struct accel_finding finding;
	char reason[200];

	qemu_does(p, "printf RPL!; exit 5");
	assert_int_equal(unlink(p->device), 0);
	finding = find(p);
	snprintf(reason, sizeof(reason), "there is no %s", p->device);
	assert_string_equal(finding.reason, reason);
	assert_int_equal(finding.found_ms, 0);

	assert_int_equal(symlink(p->device, p->device), 0);
	finding = find(p);
	snprintf(reason, sizeof(reason), "%s cannot be opened: Too many levels of symbolic links",
		p->device);
	assert_string_equal(finding.reason, reason);

	assert_int_equal(unlink(p->device), 0);
	write_text(p->device, "");
	assert_int_equal(chmod(p->qemu, 0644), 0);
	finding = find(p);
	snprintf(reason, sizeof(reason), "there is no QEMU (%s) to try it with", p->qemu);
	assert_string_equal(finding.reason, reason);
	assert_int_equal(runs(p), 0);

	/* And all of it there again: at once. */
	assert_int_equal(chmod(p->qemu, 0755), 0);
	(void)find(p);
	assert_int_equal(runs(p), 1);
}

/* --- Remembered ------------------------------------------------------------------------------ */

static void assert_same(const struct accel_finding *a, const struct accel_finding *b)
{
	assert_int_equal(a->works, b->works);
	assert_string_equal(a->reason, b->reason);
	assert_true(a->found_ms > 0);
	assert_int_equal(a->found_ms, b->found_ms);
	assert_int_equal(a->inconclusive, b->inconclusive);
}

static void what_was_found_is_remembered_and_how_long_ago(void **state)
{
	struct place *p = *state;
	struct accel_finding first, second, recalled;

	assert_false(accel_recall(&p->host, p->dir, &recalled));
	qemu_does(p, "printf RPL!; exit 5");
	first = find(p);
	second = find(p);
	assert_int_equal(runs(p), 1);
	assert_same(&first, &second);
	assert_true(accel_recall(&p->host, p->dir, &recalled));
	assert_same(&first, &recalled);
}

static void change_processor(struct place *p)
{
	write_text(p->cpuinfo, "processor\t: 0\nmodel name\t: Abacus 2\nflags\t\t: vmx\n");
}

static void change_flags(struct place *p)
{
	write_text(p->cpuinfo, "processor\t: 0\nmodel name\t: Abacus 2\nflags\t\t: vmx ept\n");
}

static void change_qemu(struct place *p)
{
	assert_int_equal(utime(p->qemu, &(struct utimbuf){1, 1}), 0);
}

static void change_device(struct place *p)
{
	assert_int_equal(chmod(p->device, 0600), 0);
}

static void change_machine(struct place *p)
{
	write_text(p->machine_id, "fedcba9876543210fedcba9876543210\n");
}

static void spoil_file(struct place *p)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/acceleration", p->dir);
	write_text(path, "{\"host\": 3");
}

static void it_is_forgotten_when_the_host_changes(void **state)
{
	static void (*const CHANGES[])(struct place *) = {change_processor, change_flags,
		change_qemu, change_device, change_machine, spoil_file};
	struct place *p = *state;
	struct accel_finding finding;

	qemu_does(p, "printf RPL!; exit 5");
	(void)find(p);
	for (size_t i = 0; i < ARRAY_SIZE(CHANGES); i++) {
		CHANGES[i](p);
		assert_false(accel_recall(&p->host, p->dir, &finding));
		(void)find(p);
		(void)find(p);
		assert_int_equal(runs(p), i + 2);
	}
}

/* Other lines of it change all the time. */
static void a_processors_frequency_is_no_change(void **state)
{
	struct place *p = *state;

	qemu_does(p, "printf RPL!; exit 5");
	(void)find(p);
	write_text(p->cpuinfo,
		"processor\t: 0\ncpu MHz\t\t: 800.1\nmodel name\t: Abacus 1\nflags\t\t: vmx\n");
	(void)find(p);
	assert_int_equal(runs(p), 1);
}

/* A machine may have stood still because the host was busy: that is not believed for ever. */
static void standing_still_is_believed_for_hours_only(void **state)
{
	struct place *p = *state;
	AUTOFREE char *text = NULL;
	struct accel_finding finding;
	char path[128], *at;

	p->host.timeout_ms = SHORT_MS;
	qemu_does(p, "exec sleep 60");
	(void)find(p);
	(void)find(p);
	assert_int_equal(runs(p), 1);
	snprintf(path, sizeof(path), "%s/acceleration", p->dir);
	assert_int_equal(file_read(path, 65536, &text, NULL), 0);
	at = strstr(text, "\"found_ms\": ");
	assert_non_null(at);
	at[strlen("\"found_ms\": 1")] = '0'; /* many years ago */
	write_text(path, text);
	assert_false(accel_recall(&p->host, p->dir, &finding));
}

static void where_nothing_can_be_remembered_it_is_found_out_each_time(void **state)
{
	struct place *p = *state;
	struct accel_finding finding;

	qemu_does(p, "printf RPL!; exit 5");
	for (unsigned i = 1; i <= 2; i++) {
		accel_find(&p->host, "/nonexistent/place", &finding);
		assert_string_equal(finding.reason,
			"a small machine failed while it was reading what the processor is");
		assert_int_equal(runs(p), i);
	}
}

static void of_several_at_once_one_tries(void **state)
{
	struct place *p = *state;
	pid_t pids[4];
	int status;

	qemu_does(p, "printf RPL!; exit 5");
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(find(p).works);
	}
	for (size_t i = 0; i < ARRAY_SIZE(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(runs(p), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(what_is_booted_works_where_a_machine_does),
		TEST(a_machine_that_stands_still_is_told_with_where),
		TEST(what_only_says_that_it_works_does_not),
		TEST(this_host_is_found_out_in_time),
		TEST(each_way_to_fail_has_its_reason),
		TEST(a_machine_that_kvm_gives_up_is_not_waited_for),
		TEST(qemu_is_not_run_by_root_and_dies_with_us),
		TEST(without_a_device_or_qemu_nothing_is_run_or_remembered),
		TEST(what_was_found_is_remembered_and_how_long_ago),
		TEST(it_is_forgotten_when_the_host_changes),
		TEST(a_processors_frequency_is_no_change),
		TEST(standing_still_is_believed_for_hours_only),
		TEST(where_nothing_can_be_remembered_it_is_found_out_each_time),
		TEST(of_several_at_once_one_tries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
