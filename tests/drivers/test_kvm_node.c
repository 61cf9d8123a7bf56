/* The node that tests of virtual machines run in: libvirtd can be killed under a machine, can hang
 * and come back, and all goes with the process, also when that is killed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/err.h"
#include "base/file.h"
#include "conformance/ids.h"
#include "conformance/program.h"
#include "kvm_node.h"

#define ID   GUEST_A
#define NAME around("corpus-", ID, "")

static int virsh(const char *verb, const char *what)
{
	const char *argv[] = {"virsh", "--quiet", "--connect", KVM_NODE_URI, verb, what, NULL};
	struct err err = {0};
	int r = program_try(argv, 60000, &err);

	if (r < 0)
		print_message("%s\n", err.message);
	return r;
}

/* A machine without a disk: its firmware finds nothing to boot, and stays. */
static void create_machine(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/machine.xml", node_dir());
	assert_int_equal(0, file_replace(path,
				    around("<domain type='qemu'><name>", NAME,
					    "</name><memory unit='MiB'>64</memory><os><type "
					    "arch='x86_64' machine='pc'>hvm</type></os></domain>"),
				    0644, false));
	assert_int_equal(0, virsh("create", path));
}

static void machines_outlive_libvirtd(void **state)
{
	(void)state;
	assert_null(kvm_node_leftovers(ID, false));
	create_machine();
	assert_non_null(kvm_node_leftovers(ID, false));
	kvm_node_signal(SIGKILL);
	assert_int_equal(-1, kill(kvm_node_libvirtd(), 0));
	assert_non_null(kvm_node_leftovers(ID, false));
	kvm_node_start();
	assert_int_equal(0, virsh("domstate", NAME));
	assert_int_equal(0, virsh("destroy", NAME));
	assert_null(kvm_node_leftovers(ID, false));
}

static void a_libvirtd_that_hangs_does_not_answer_until_it_goes_on(void **state)
{
	const char *argv[] = {"virsh", "--connect", KVM_NODE_URI, "list", NULL};
	struct err err = {0};

	(void)state;
	kvm_node_signal(SIGSTOP);
	assert_true(program_try(argv, 300, &err) < 0);
	assert_int_equal(ERR_TIMEOUT, err.code);
	kvm_node_signal(SIGCONT);
	assert_int_equal(0, virsh("list", "--all"));
}

/* The other process: makes a machine, and is killed. */
static int become_victim(void)
{
	kvm_node_enter();
	create_machine();
	printf("%s\n", kvm_node_leftovers(ID, false));
	fflush(stdout);
	return raise(SIGKILL);
}

static void all_goes_with_a_process_that_is_killed(void **state)
{
	char command[256], group[512] = "";
	FILE *said;

	(void)state;
	snprintf(command, sizeof(command), "/proc/%d/exe victim", getpid());
	said = popen(command, "r");
	assert_non_null(said);
	assert_non_null(fgets(group, sizeof(group), said));
	assert_int_equal(0, strncmp(group, "process ", 8));
	/* The keeper holds the pipe's other end until it is done. */
	while (fgets(group, sizeof(group), said))
		;
	pclose(said);
	assert_null(kvm_node_leftovers(ID, false));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest alone[] = {
		cmocka_unit_test(all_goes_with_a_process_that_is_killed),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(machines_outlive_libvirtd),
		cmocka_unit_test(a_libvirtd_that_hangs_does_not_answer_until_it_goes_on),
	};

	if (argc > 1 && strcmp(argv[1], "victim") == 0)
		return become_victim();
	if (cmocka_run_group_tests_name("kvm node, alone", alone, NULL, NULL) != 0)
		return 1;
	kvm_node_enter();
	return cmocka_run_group_tests_name("kvm node", tests, NULL, NULL);
}
