/* Inside real machines. The conformance suite's commands, files and consoles, by the guest's agent;
 * then what is the KVM driver's own: the same by ssh, terminals, a disk that grows and is held, and
 * what becomes of a command when its agent, its machine, libvirt or the driver is killed. Machines
 * take seconds to boot: nearly all of it is done in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/conformance.h"
#include "conformance/guests.h"
#include "kvm_machines.h"
#include "kvm_node.h"

#define PATIENCE_MS	60000
#define SMALL		"/small"
#define HELD_SHORTLY_NS INT64_C(4000000000)
#define BIG		400000 /* more than a request to the agent takes */
#define DISK_GROWN	(160ULL << 20)

#define SH(text)                                                                                   \
	(const char *[])                                                                           \
	{                                                                                          \
		"sh", "-c", text, NULL                                                             \
	}

static char g_key[PATH_MAX], *g_public;

/* --- Words ------------------------------------------------------------------------------------ */

struct run {
	struct outcome o;
	int in, out, status; /* our ends */
};

static struct run begin(struct driver_exec exec)
{
	struct run run;
	int in[2], out[2], status[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	exec.stdin_fd = in[0];
	exec.stdout_fd = exec.stderr_fd = out[1];
	exec.status_fd = status[1];
	run.o = call(
		(struct driver_request){.call = DRIVER_CALL_EXEC, .id = GUEST_A, .exec = &exec});
	close(in[0]);
	close(out[1]);
	close(status[1]);
	run.in = in[1];
	run.out = out[0];
	run.status = status[0];
	return run;
}

static int end_of(struct run *run)
{
	int status;

	close(run->in);
	status = wait_status_of(run->status);
	close(run->status);
	close(run->out);
	return status;
}

static struct run begin_ok(const char *const *argv)
{
	struct run run = begin((struct driver_exec){.argv = argv});

	if (run.o.result < 0)
		fail_msg("%s", run.o.error.message);
	return run;
}

/* What comes until the text has. */
static void wait_for(int fd, const char *text)
{
	char buf[65536] = "";
	size_t have = 0;

	while (!strstr(buf, text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, PATIENCE_MS) == 1
				    ? read(fd, buf + have, sizeof(buf) - 1 - have)
				    : -1;

		if (n <= 0)
			fail_msg("\"%s\" does not come, only \"%s\"", text, buf);
		have += (size_t)n;
		buf[have] = '\0';
	}
}

static void in_guest(const char *script)
{
	assert_exec(SH(script), "", "", "", 0);
}

/* Why a machine does not come up is on its console. */
static void show_console(const char *id)
{
	struct driver_console wanted = {.fd = memory_file(""), .tail = 4096};
	char text[4097] = "";

	call((struct driver_request){.call = DRIVER_CALL_CONSOLE, .id = id, .console = &wanted});
	if (pread(wanted.fd, text, sizeof(text) - 1, 0) >= 0)
		print_error("%s\n", text);
	close(wanted.fd);
}

/* Whether it can be asked for something in time. */
static bool comes_up(void)
{
	int64_t end = clock_monotonic_ns() + KVM_MACHINE_BOOT_MS * 1000000LL;
	struct run run;

	while ((run = begin((struct driver_exec){.argv = SH(":")})).o.result < 0) {
		assert_int_equal(end_of(&run), -1);
		assert_int_equal(run.o.error.code, ERR_UNAVAILABLE);
		assert_non_null(strstr(run.o.error.message, "booting"));
		if (clock_monotonic_ns() > end)
			return false;
		poll(NULL, 0, 100);
	}
	assert_int_equal(end_of(&run), 0);
	return true;
}

static void start_anew(void)
{
	show_console(GUEST_A);
	call_ok((struct driver_request){.call = DRIVER_CALL_KILL, .id = GUEST_A});
	start_guest(GUEST_A);
}

/* Waits until the guest can be asked for something, and makes it what the tests need. */
static void ready(const char *id)
{
	AUTOFREE char *script = NULL;

	if (strcmp(id, GUEST_A) != 0)
		return;
	kvm_machine_await(comes_up, start_anew);
	assert_true(asprintf(&script,
			    "mkdir -p " SMALL " /root/.ssh; chmod 700 /root /root/.ssh; "
			    "mount -t tmpfs -o size=600k none " SMALL "; "
			    "echo '%s' >/root/.ssh/authorized_keys; "
			    "ip address add 10.99.0.97/24 dev eth0",
			    g_public) > 0);
	in_guest(script);
}

/* --- By ssh ------------------------------------------------------------------------------------
 */

static void write_big(const char *path)
{
	AUTOFREE char *big = malloc(BIG + 1), *back = malloc(BIG + 1);
	struct driver_file f = {
		.op = DRIVER_FILE_WRITE, .path = path, .mode = -1, .uid = -1, .gid = -1};

	memset(big, 'x', BIG);
	memcpy(big + BIG / 2, "middle", 6);
	big[BIG] = '\0';
	f.fd = memory_file(big);
	call_ok((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &f, .deadline_ms = 60000});
	close(f.fd);
	f.op = DRIVER_FILE_READ;
	f.fd = memory_file("");
	call_ok((struct driver_request){
		.call = DRIVER_CALL_FILE, .id = GUEST_A, .file = &f, .deadline_ms = 60000});
	assert_int_equal(pread(f.fd, back, BIG + 1, 0), BIG);
	assert_memory_equal(big, back, BIG);
	close(f.fd);
}

static void files_larger_than_a_request_come_whole(void **state)
{
	(void)state;
	borrow_guest();
	write_big("/big");
}

static void a_terminal_has_a_size_that_changes(void **state)
{
	struct winsize size = {.ws_row = 30, .ws_col = 100};
	int ours, theirs, status[2];
	struct driver_exec exec = {.argv = SH("trap 'stty size; exit 9' WINCH; stty size; "
					      "echo $TERM; while :; do sleep 1; done"),
		.env = (const char *[]){"TERM=dumb", NULL},
		.terminal = true};

	(void)state;
	borrow_guest();
	assert_int_equal(openpty(&ours, &theirs, NULL, NULL, &size), 0);
	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	exec.stdin_fd = exec.stdout_fd = exec.stderr_fd = theirs;
	exec.status_fd = status[1];
	call_ok((struct driver_request){.call = DRIVER_CALL_EXEC, .id = GUEST_A, .exec = &exec});
	close(theirs);
	close(status[1]);
	wait_for(ours, "30 100\r\ndumb\r\n");
	size = (struct winsize){.ws_row = 40, .ws_col = 120};
	ioctl(ours, TIOCSWINSZ, &size);
	wait_for(ours, "40 120\r\n");
	assert_int_equal(wait_status_of(status[0]), W_EXITCODE(9, 0));
	close(status[0]);
	close(ours);
}

static void stop_agent(void)
{
	struct run run = begin_ok(SH("read line; sed -i '/guest-agent/d' /etc/inittab; "
				     "kill -HUP 1; killall qemu-ga; sleep 60"));

	assert_int_equal(file_write_all(run.in, "\n", 1), 0);
	/* Its end is not seen: who would tell it? */
	assert_int_equal(end_of(&run), -1);
}

static void without_an_agent_commands_and_files_go_by_ssh(void **state)
{
	struct run run;

	(void)state;
	borrow_guest();
	stop_agent();
	assert_exec(
		SH("cat; echo err >&2; exit 7"), "hello\n", "hello\n", "err\n", W_EXITCODE(7, 0));
	assert_exec(SH("kill -9 $$"), "", "", "", W_EXITCODE(0, SIGKILL));
	run = begin((struct driver_exec){.argv = SH("id -u; id -G"), .user = "33:44"});
	assert_int_equal(run.o.result, 0);
	wait_for(run.out, "33\n44\n");
	assert_int_equal(end_of(&run), 0);
	write_big("/big-by-ssh");
}

/* It has been told a line, and no libvirtd is there any more. */
static struct run begin_and_lose_libvirt(void)
{
	struct run run;

	borrow_guest();
	run = begin_ok(SH("read line; echo \"got $line\"; exit 5"));
	kvm_node_signal(SIGKILL);
	assert_int_equal(file_write_all(run.in, "it\n", 3), 0);
	return run;
}

static void end_well(struct run *run)
{
	wait_for(run->out, "got it");
	assert_int_equal(end_of(run), W_EXITCODE(5, 0));
}

static void a_command_by_ssh_needs_no_libvirt(void **state)
{
	struct run run = begin_and_lose_libvirt();

	(void)state;
	end_well(&run);
	kvm_node_start();
}

/* --- Faults ------------------------------------------------------------------------------------
 */

static void a_command_goes_on_when_libvirt_is_back(void **state)
{
	struct run run = begin_and_lose_libvirt();

	(void)state;
	kvm_node_start();
	end_well(&run);
}

static void freeze(bool frozen)
{
	call_ok((struct driver_request){
		.call = DRIVER_CALL_FREEZE, .id = GUEST_A, .frozen = frozen});
}

static void a_command_waits_while_its_machine_is_frozen(void **state)
{
	struct run run;

	(void)state;
	borrow_guest();
	run = begin_ok(SH("read line; echo \"got $line\""));
	freeze(true);
	assert_int_equal(file_write_all(run.in, "it\n", 3), 0);
	assert_int_equal(poll(&(struct pollfd){.fd = run.out, .events = POLLIN}, 1, 500), 0);
	freeze(false);
	wait_for(run.out, "got it");
	assert_int_equal(end_of(&run), 0);
}

/* What it left in the guest goes with the next one who enters. */
static void a_carrier_that_is_killed_is_cleaned_up_after(void **state)
{
	struct run run;

	(void)state;
	borrow_guest();
	run = begin_ok(SH("while sleep 1; do echo x; done"));
	wait_for(run.out, "x");
	kill(run.o.pid, SIGKILL);
	assert_int_equal(end_of(&run), -1);
	run = begin_ok(SH("ls -d /run/corpus-* | wc -l; ls -l /proc/*/fd 2>/dev/null | "
			  "grep -c 'corpus-.*deleted'"));
	wait_for(run.out, "1\n"); /* its own */
	end_of(&run);
}

/* --- The disk ----------------------------------------------------------------------------------
 */

static struct outcome disk(enum driver_disk_op op, uint64_t size)
{
	struct driver_disk_work work = {.op = op, .size = size};

	return call_ok((struct driver_request){
		.call = DRIVER_CALL_DISK, .id = GUEST_A, .disk = &work, .deadline_ms = 60000});
}

static void a_disk_grows_with_its_file_system(void **state)
{
	(void)state;
	borrow_guest();
	assert_true(disk(DRIVER_DISK_RESIZE, DISK_GROWN).disk.file_system);
	assert_true(disk(DRIVER_DISK_RESIZE, DISK_GROWN).disk.file_system);
	in_guest("set -- $(df -k / | tail -1); [ $2 -gt 140000 ]");
}

static void unused_blocks_are_returned(void **state)
{
	(void)state;
	borrow_guest();
	in_guest("dd if=/dev/urandom of=/filler bs=65536 count=160 2>/dev/null; sync; rm /filler; "
		 "sync");
	assert_in_range(disk(DRIVER_DISK_DISCARD, 0).disk.freed, 8 << 20, 1 << 30);
}

static bool is_frozen(void)
{
	return status_of(GUEST_A).state == GUEST_FROZEN;
}

static void a_held_guest_stands_still_until_it_is_released(void **state)
{
	struct run run;

	(void)state;
	borrow_guest();
	run = begin_ok(SH("read line; echo \"got $line\""));
	assert_true(disk(DRIVER_DISK_HOLD, 0).disk.file_system);
	assert_true(is_frozen());
	assert_true(disk(DRIVER_DISK_HOLD, 0).disk.file_system);
	disk(DRIVER_DISK_RELEASE, 0);
	disk(DRIVER_DISK_RELEASE, 0);
	assert_false(is_frozen());
	in_guest("echo x >/written; sync");
	assert_int_equal(file_write_all(run.in, "it\n", 3), 0);
	wait_for(run.out, "got it");
	assert_int_equal(end_of(&run), 0);
	freeze(true);
	assert_false(disk(DRIVER_DISK_HOLD, 0).disk.file_system);
	disk(DRIVER_DISK_RELEASE, 0);
	assert_true(is_frozen()); /* as it was */
	freeze(false);
}

/* By one that holds it for four seconds, which a busy node may need for the way there. */
static void hold_shortly(const char *rule)
{
	struct driver_disk_work work = {.op = DRIVER_DISK_HOLD};
	int64_t begun;
	struct outcome o;
	bool frozen;

	setenv("CORPUS_FAULT", rule, 1);
	subject_crash(subject());
	begun = clock_monotonic_ns();
	o = call((struct driver_request){.call = DRIVER_CALL_DISK, .id = GUEST_A, .disk = &work});
	frozen = is_frozen();
	if (clock_monotonic_ns() - begun < HELD_SHORTLY_NS)
		assert_true(o.result == 0 && o.disk.file_system && frozen);
	if (o.result < 0)
		assert_int_equal(o.error.code, ERR_TIMEOUT);
	unsetenv("CORPUS_FAULT");
	subject_crash(subject());
}

static void expect_goes_on(void)
{
	int64_t end = clock_monotonic_ns() + PATIENCE_MS * 1000000LL;

	while (is_frozen() && clock_monotonic_ns() < end)
		poll(NULL, 0, 50);
	assert_false(is_frozen());
	in_guest("echo x >/written-again; sync"); /* its file systems, too */
}

static void a_guest_that_nobody_releases_goes_on_by_itself(void **state)
{
	(void)state;
	borrow_guest();
	hold_shortly("driver.kvm.hold.short=fail");
	expect_goes_on();
}

static void a_guest_that_is_held_when_nobody_watches_any_more_goes_on(void **state)
{
	(void)state;
	borrow_guest();
	hold_shortly("driver.kvm.hold.short=fail,driver.kvm.hold.rest=wait:5000");
	expect_goes_on();
}

/* --- All of it ---------------------------------------------------------------------------------
 */

static const struct driver_disk *make_disk(const char *id, enum rootfs_kind kind)
{
	return kind == ROOTFS_PLAIN ? kvm_machine_disk_on_image(id) : kvm_machine_disk(id, kind);
}

static int run_own(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(files_larger_than_a_request_come_whole),
		guest_test(a_terminal_has_a_size_that_changes),
		guest_test(a_command_goes_on_when_libvirt_is_back),
		guest_test(a_command_waits_while_its_machine_is_frozen),
		guest_test(a_carrier_that_is_killed_is_cleaned_up_after),
		guest_test(a_disk_grows_with_its_file_system),
		guest_test(unused_blocks_are_returned),
		guest_test(a_held_guest_stands_still_until_it_is_released),
		guest_test(a_guest_that_nobody_releases_goes_on_by_itself),
		guest_test(a_guest_that_is_held_when_nobody_watches_any_more_goes_on),
		guest_test(without_an_agent_commands_and_files_go_by_ssh),
		guest_test(a_command_by_ssh_needs_no_libvirt),
	};

	signal(SIGPIPE, SIG_IGN); /* a command that has ended is a failure to tell of */
	return cmocka_run_group_tests_name("inside a machine, besides", tests, NULL, NULL);
}

int main(void)
{
	struct environment e = {.program = KVM_PROGRAM,
		.bridge = NODE_BRIDGE,
		.disk = make_disk,
		.ready = ready,
		.leftovers = kvm_node_leftovers,
		.parts = CONFORMANCE_COMMANDS | CONFORMANCE_FILES | CONFORMANCE_CONSOLES,
		.shared_guest = true,
		.own = run_own,
		.console_bytes = 700000,
		.console_device = "/dev/ttyS0",
		.small_directory = SMALL};
	struct err err = {0};
	int failed;

	kvm_node_enter();
	snprintf(g_key, sizeof(g_key), "%s/key", node_dir());
	if (seed_node_key(g_key, &g_public, &err) < 0) {
		fprintf(stderr, "%s\n", err.message);
		return 1;
	}
	e.config = node_config();
	e.config.ssh_key = g_key;
	failed = conformance_run("inside a machine", &e);
	free(g_public);
	return failed;
}
