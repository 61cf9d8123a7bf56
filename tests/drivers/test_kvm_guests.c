/* Real machines and what is done to them from outside; what does not start, and says why; what is
 * not ours. They boot a boot sector (kvm_machines.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <glob.h>
#include <libvirt/libvirt.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "conformance/guests.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/kvm.h"
#include "kvm_machines.h"
#include "kvm_node.h"

#define WAIT_MS 60000

static char g_additions[PATH_MAX];
static virConnectPtr g_conn;

/* --- Words ----------------------------------------------------------------------------------- */

static void pause_briefly(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static const char *in(const char *folder, const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.3000s/%s", folder, name);
	return path;
}

/* Until the machine has booted, and hears the power button. */
static void wait_up(const char *id)
{
	int64_t end = clock_monotonic_ns() + WAIT_MS * INT64_C(1000000);
	char name[64];

	snprintf(name, sizeof(name), "%s.console", id);
	for (;;) {
		AUTOFREE char *text = NULL;
		bool there = file_read(in(node_config().log_dir, name), 65536, &text, NULL) == 0;

		if (there && strstr(text, KVM_MACHINE_UP))
			break;
		assert_true(clock_monotonic_ns() < end);
		pause_briefly();
	}
}

static void bring_up(void)
{
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	wait_up(GUEST_A);
}

static virDomainPtr domain_of(const char *id)
{
	char name[KVM_NAME_MAX];
	virDomainPtr domain = virDomainLookupByName(g_conn, connect_name(name, id));

	assert_non_null(domain);
	return domain;
}

static bool has_domain(const char *id)
{
	char name[KVM_NAME_MAX];
	virDomainPtr domain = virDomainLookupByName(g_conn, connect_name(name, id));

	if (domain)
		virDomainFree(domain);
	return domain != NULL;
}

static struct driver_guest facts(void)
{
	return guest_facts(GUEST_A, ROOTFS_PLAIN);
}

static void define_facts(const struct driver_guest *guest)
{
	call_ok((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = guest});
}

static struct err start_fails(enum err_code code)
{
	return call_fails((struct driver_request){.call = DRIVER_CALL_START, .id = GUEST_A}, code)
		.error;
}

static void expect_stopped(int exit_status)
{
	struct driver_status s = status_of(GUEST_A);

	assert_int_equal(s.state, GUEST_STOPPED);
	assert_int_equal(s.pid, 0);
	assert_int_equal(s.exit_status, exit_status);
	assert_nothing_left(GUEST_A, true);
}

/* --- Ends ------------------------------------------------------------------------------------ */

static void how_a_machine_ended_by_itself_is_told(void **state)
{
	struct driver_status status;
	virDomainPtr domain;

	(void)state;
	bring_up();
	domain = domain_of(GUEST_A);
	/* Not by us, so it counts as the guest's own doing. */
	assert_int_equal(0, virDomainShutdown(domain));
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	expect_stopped(0);

	status = start_guest(GUEST_A);
	assert_int_equal(status.exit_status, -1);
	subject_forget_events(subject());
	kill(status.pid, SIGKILL);
	subject_wait_event(subject(), GUEST_A, GUEST_STOPPED);
	expect_stopped(1 << 8);

	start_guest(GUEST_A);
	wait_up(GUEST_A);
	stop_guest(GUEST_A, 10000);
	expect_stopped(-1);
	virDomainFree(domain);
}

static void a_machine_that_hears_nothing_is_ended_in_time(void **state)
{
	int64_t begun;
	pid_t pid;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	pid = start_guest(GUEST_A).pid;
	kill(pid, SIGSTOP);
	begun = clock_monotonic_ns();
	call_ok((struct driver_request){.call = DRIVER_CALL_KILL, .id = GUEST_A});
	assert_true(clock_monotonic_ns() - begun < 30 * INT64_C(1000000000));
	assert_process_gone(pid);
	expect_stopped(-1);
}

static void what_others_suspend_is_frozen_and_is_shut_down_all_the_same(void **state)
{
	virDomainPtr domain;
	int64_t begun;

	(void)state;
	bring_up();
	domain = domain_of(GUEST_A);
	assert_int_equal(0, virDomainSuspend(domain));
	subject_wait_event(subject(), GUEST_A, GUEST_FROZEN);
	assert_int_equal(status_of(GUEST_A).state, GUEST_FROZEN);
	begun = clock_monotonic_ns();
	stop_guest(GUEST_A, 60000);
	assert_true(clock_monotonic_ns() - begun < 50 * INT64_C(1000000000));
	expect_stopped(-1);
	virDomainFree(domain);
}

static void disk(enum driver_disk_op op)
{
	const struct driver_disk_work work = {.op = op};

	call_ok((struct driver_request){.call = DRIVER_CALL_DISK, .id = GUEST_A, .disk = &work});
}

/* The first of them all, see main. */
static void a_hold_that_libvirt_did_not_answer_is_let_go(void **state)
{
	const struct driver_disk_work hold = {.op = DRIVER_DISK_HOLD};

	(void)state;
	bring_up();
	call_fails((struct driver_request){.call = DRIVER_CALL_DISK, .id = GUEST_A, .disk = &hold},
		ERR_DRIVER);
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
	disk(DRIVER_DISK_HOLD);
	assert_int_equal(status_of(GUEST_A).state, GUEST_FROZEN);
	disk(DRIVER_DISK_RELEASE);
	assert_int_equal(status_of(GUEST_A).state, GUEST_RUNNING);
}

/* --- What does not start --------------------------------------------------------------------- */

static void what_is_missing_is_named(void **state)
{
	struct driver_guest guest = facts();
	struct driver_disk disk = *guest.disk;
	struct err err;

	(void)state;
	guest.net.bridge = "nobr0";
	define_facts(&guest);
	err = start_fails(ERR_DRIVER);
	assert_string_equal(err.field, "net.bridge");
	assert_string_equal(err.message, "there is no bridge nobr0");
	expect_stopped(-1);

	guest = facts();
	guest.disk = &disk;
	disk.base = "/nonexistent/base";
	define_facts(&guest);
	err = start_fails(ERR_DRIVER);
	assert_string_equal(err.field, "disk.base");
	assert_non_null(strstr(err.message, "/nonexistent/base"));
	expect_stopped(-1);

	disk = *facts().disk;
	disk.kernel = node_dir(); /* not a file */
	define_facts(&guest);
	assert_string_equal(start_fails(ERR_DRIVER).field, "disk.kernel");
}

static void a_disk_that_is_in_use_is_a_conflict(void **state)
{
	const struct driver_disk *taken = kvm_machine_disk(GUEST_B, ROOTFS_PLAIN);
	struct driver_guest guest = facts();
	struct err err;

	(void)state;
	guest.disk = taken;
	define_facts(&guest);
	define_guest(GUEST_B, ROOTFS_PLAIN);
	start_guest(GUEST_B);
	err = start_fails(ERR_CONFLICT);
	assert_string_equal(err.field, "disk.path");
	assert_non_null(strstr(err.message, guest.disk->path));
	expect_stopped(-1);
	assert_int_equal(status_of(GUEST_B).state, GUEST_RUNNING);
}

static void more_memory_than_the_node_has_is_said_so(void **state)
{
	struct driver_guest guest = facts();
	struct sysinfo info;

	(void)state;
	assert_int_equal(0, sysinfo(&info));
	guest.limits.memory = (uint64_t)info.totalram * info.mem_unit;
	define_facts(&guest);
	assert_string_equal(start_fails(ERR_NO_ROOM).field, "limits.memory");
	expect_stopped(-1);
	guest.limits.memory *= 2;
	assert_string_equal(
		call_fails((struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest},
			ERR_INVALID)
			.error.field,
		"limits.memory");
}

static void what_qemu_says_when_it_dies_is_passed_on(void **state)
{
	struct driver_guest guest = facts();
	struct err err;

	(void)state;
	guest.raw = (const char *[]){
		"<qemu:commandline>", "<qemu:arg value='-nonsense'/>", "</qemu:commandline>", NULL};
	define_facts(&guest);
	err = start_fails(ERR_DRIVER);
	assert_string_equal(err.message, "the machine does not start: -nonsense: invalid option");
	expect_stopped(-1);
}

/* --- Additions ------------------------------------------------------------------------------- */

static void put_addition(const char *name, const char *text, mode_t mode)
{
	assert_int_equal(0, file_replace(in(g_additions, name), text, mode, false));
}

static void additions_are_part_of_the_machine(void **state)
{
	struct driver_guest guest = facts();
	virDomainPtr domain;

	(void)state;
	put_addition("all.xml", "<devices><watchdog model='i6300esb'/></devices>", 0644);
	put_addition("conformance.example.org.xml", "<description>by hand</description>", 0600);
	put_addition("other.xml", "not even XML", 0644);
	guest.raw = (const char *[]){"<qemu:commandline>",
		"<qemu:env name='COLOUR' value='bl&apos;ue'/>", "</qemu:commandline>", NULL};
	define_facts(&guest);
	start_guest(GUEST_A);
	domain = domain_of(GUEST_A);
	AUTOFREE char *xml = virDomainGetXMLDesc(domain, 0);
	assert_non_null(strstr(xml, "<watchdog model='i6300esb'"));
	assert_non_null(strstr(xml, "<description>by hand</description>"));
	assert_non_null(strstr(xml, "value='bl&apos;ue'"));
	virDomainFree(domain);
}

static void additions_that_cannot_be_taken_are_named(void **state)
{
	struct driver_guest guest = facts();
	struct err err;

	(void)state;
	define_facts(&guest);
	put_addition("all.xml", "<!-- mine -->\n<uuid/>", 0644);
	err = start_fails(ERR_INVALID);
	assert_string_equal(err.field, "all.xml:2");
	put_addition("all.xml", "<description/>", 0666);
	assert_int_equal(0, chmod(in(g_additions, "all.xml"), 0666));
	err = start_fails(ERR_INVALID);
	assert_non_null(strstr(err.message, "nobody else may write"));
	expect_stopped(-1);
	guest.raw = (const char *[]){"<vcpu>", "1</vcpu>", NULL};
	err = call_fails(
		(struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest}, ERR_INVALID)
		      .error;
	assert_string_equal(err.field, "raw[0]");
}

static int remove_additions(void **state)
{
	int r = guests_remove_all(state);

	file_remove_tree(g_additions);
	mkdir(g_additions, 0755);
	return r;
}

/* --- What is ours, and what is not ----------------------------------------------------------- */

static virDomainPtr define_foreign(const char *name, const char *uuid)
{
	char xml[512];
	virDomainPtr domain;

	snprintf(xml, sizeof(xml),
		"<domain type='qemu'><name>%s</name><uuid>%s</uuid><memory unit='MiB'>64</memory>"
		"<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>",
		name, uuid);
	domain = virDomainDefineXML(g_conn, xml);
	assert_non_null(domain);
	return domain;
}

static void assert_untouched(virDomainPtr domain)
{
	int foreign_state = 0;

	assert_int_equal(1, virDomainIsPersistent(domain));
	assert_int_equal(0, virDomainGetState(domain, &foreign_state, NULL, 0));
	assert_int_equal(foreign_state, VIR_DOMAIN_RUNNING);
}

static void expect_left_alone(const char *name, const char *uuid)
{
	virDomainPtr foreign = define_foreign(name, uuid);
	struct outcome o;

	assert_int_equal(0, virDomainCreate(foreign));
	/* It is nobody's. */
	o = call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_int_equal(o.statuses_count, 0);
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	assert_untouched(foreign);
	/* Nor that of a guest whose domain it might be. */
	define_guest(GUEST_A, ROOTFS_PLAIN);
	assert_int_equal(status_of(GUEST_A).state, GUEST_STOPPED);
	start_fails(ERR_CONFLICT);
	call_fails((struct driver_request){.call = DRIVER_CALL_KILL, .id = GUEST_A}, ERR_CONFLICT);
	call_ok((struct driver_request){.call = DRIVER_CALL_DESTROY, .id = GUEST_A});
	assert_untouched(foreign);
	virDomainDestroy(foreign);
	virDomainUndefine(foreign);
	virDomainFree(foreign);
}

static void domains_that_only_look_like_ours_are_left_alone(void **state)
{
	char uuid[VIR_UUID_STRING_BUFLEN];

	(void)state;
	connect_uuid(uuid, GUEST_A);
	expect_left_alone(around("corpus-", GUEST_A, ""), uuid);
	expect_left_alone(around("corpus-", GUEST_A, ""), "00000000-0000-4000-8000-000000000001");
	expect_left_alone("somebody's", uuid);
}

static void a_domain_of_ours_without_a_guest_is_removed(void **state)
{
	virDomainPtr domain;
	AUTOFREE char *xml = NULL;

	(void)state;
	define_guest(GUEST_A, ROOTFS_PLAIN);
	start_guest(GUEST_A);
	domain = domain_of(GUEST_A);
	xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_INACTIVE);
	assert_non_null(xml);
	virDomainFree(domain);
	destroy_guest(GUEST_A);
	domain = virDomainDefineXML(g_conn, xml);
	assert_non_null(domain);
	virDomainFree(domain);
	call_ok((struct driver_request){.call = DRIVER_CALL_LIST});
	assert_null(virDomainLookupByName(g_conn, around("corpus-", GUEST_A, "")));
}

static void a_name_may_be_any_text(void **state)
{
	struct driver_guest guest = facts();
	virDomainPtr domain;

	(void)state;
	guest.name = "<a href='x'>&amp;</a> \"\xc3\xa4\" ]]>";
	define_facts(&guest);
	start_guest(GUEST_A);
	domain = domain_of(GUEST_A);
	AUTOFREE char *title = virDomainGetMetadata(domain, VIR_DOMAIN_METADATA_TITLE, NULL, 0);
	assert_string_equal(title, guest.name);
	virDomainFree(domain);
	guest.name = "two\nlines";
	call_fails(
		(struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest}, ERR_INVALID);
}

static bool is_there(const char *pattern)
{
	glob_t found = {0};
	bool any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;

	globfree(&found);
	return any;
}

static void nothing_is_left_of_a_guest_that_is_destroyed(void **state)
{
	const struct driver_config config = node_config();
	const char *folders[] = {config.state_dir, config.run_dir, config.log_dir};

	(void)state;
	bring_up();
	assert_true(is_there(around("/var/log/libvirt/qemu/corpus-", GUEST_A, ".log")));
	assert_true(is_there(in(node_config().log_dir, around("", GUEST_A, ".console"))));
	assert_true(is_there(in(node_config().run_dir, GUEST_A)));
	destroy_guest(GUEST_A);
	assert_false(has_domain(GUEST_A));
	assert_false(is_there(around("/var/log/libvirt/qemu/corpus-", GUEST_A, "*")));
	assert_false(is_there(around("/run/libvirt/qemu/corpus-", GUEST_A, "*")));
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		assert_false(is_there(in(folders[i], around("", GUEST_A, "*"))));
}

/* --- Files ----------------------------------------------------------------------------------- */

static void qemu_owns_what_the_guest_writes_and_nothing_else(void **state)
{
	struct driver_guest guest = facts();
	struct driver_disk disk = *guest.disk;
	const struct passwd *qemu = getpwnam("libvirt-qemu");
	char nvram[PATH_MAX];
	struct stat st;

	(void)state;
	assert_non_null(qemu);
	snprintf(nvram, sizeof(nvram), "%s/nvram", node_dir());
	disk.uefi = true;
	disk.nvram = nvram;
	guest.disk = &disk;
	define_facts(&guest);
	start_guest(GUEST_A);
	assert_int_equal(0, stat(disk.path, &st));
	assert_int_equal(st.st_uid, qemu->pw_uid);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(0, stat(disk.base, &st));
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	/* UEFI's variables are the volume's: they stay. */
	destroy_guest(GUEST_A);
	assert_int_equal(0, stat(nvram, &st));
	assert_int_equal(st.st_uid, qemu->pw_uid);
	unlink(nvram);
}

/* --- All ---------------------------------------------------------------------------------------
 */

static void lay_out(struct environment *e)
{
	snprintf(g_additions, sizeof(g_additions), "%s/additions", node_dir());
	mkdir(g_additions, 0755);
	e->config = node_config();
	e->config.additions_dir = g_additions;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		guest_test(how_a_machine_ended_by_itself_is_told),
		guest_test(a_machine_that_hears_nothing_is_ended_in_time),
		guest_test(what_others_suspend_is_frozen_and_is_shut_down_all_the_same),
		guest_test(a_hold_that_libvirt_did_not_answer_is_let_go),
		guest_test(what_is_missing_is_named),
		guest_test(a_disk_that_is_in_use_is_a_conflict),
		guest_test(more_memory_than_the_node_has_is_said_so),
		guest_test(what_qemu_says_when_it_dies_is_passed_on),
		cmocka_unit_test_teardown(additions_are_part_of_the_machine, remove_additions),
		cmocka_unit_test_teardown(
			additions_that_cannot_be_taken_are_named, remove_additions),
		guest_test(domains_that_only_look_like_ours_are_left_alone),
		guest_test(a_domain_of_ours_without_a_guest_is_removed),
		guest_test(a_name_may_be_any_text),
		guest_test(nothing_is_left_of_a_guest_that_is_destroyed),
		guest_test(qemu_owns_what_the_guest_writes_and_nothing_else),
	};
	struct environment e = {.ops = &kvm_driver_ops,
		.bridge = NODE_BRIDGE,
		.disk = kvm_machine_disk,
		.leftovers = kvm_node_leftovers};
	int failed;

	setenv("CORPUS_FAULT", "driver.kvm.hold.unanswered=fail@1", 1); /* read once */
	kvm_node_enter();
	lay_out(&e);
	guests_begin(&e);
	g_conn = virConnectOpen(KVM_NODE_URI);
	failed = g_conn ? cmocka_run_group_tests_name("kvm guests", tests, NULL, NULL) : 1;
	virConnectClose(g_conn);
	guests_end();
	return failed;
}
