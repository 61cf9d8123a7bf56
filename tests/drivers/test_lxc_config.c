/* The LXC driver's pure parts: the configuration that it renders, against golden files (written
 * anew with UPDATE_GOLDEN=1); subordinate ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/lxc/config.h"
#include "drivers/lxc/probe.h"
#include "drivers/lxc/start.h"

static void assert_golden(const char *name, const char *text)
{
	AUTOFREE char *path = NULL, *wanted = NULL;

	assert_true(asprintf(&path, "%s/golden/%s", TEST_SOURCE_DIR, name) > 0);
	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(file_replace(path, text, 0644, false), 0);
	assert_int_equal(file_read(path, 65536, &wanted, NULL), 0);
	assert_string_equal(text, wanted);
}

static struct driver_guest plain(void)
{
	return (struct driver_guest){.id = "0123456789ab",
		.name = "web1.example.org",
		.rootfs = "/var/lib/corpus/pool/volumes/0123456789ab/rootfs",
		.net = {.bridge = "lxcbr1",
			.link = "cv0123456789",
			.mac = {0x00, 0x16, 0x3e, 0x12, 0x34, 0x56},
			.address = 0x0a050007,
			.prefix = 16,
			.gateway = 0x0a050001}};
}

static struct lxc_config config_of(const struct driver_guest *guest)
{
	return (struct lxc_config){.guest = guest,
		.idmap_base = 100000,
		.idmap_count = 65536,
		.seccomp = "/var/lib/corpus/lxc/seccomp",
		.log = "/var/log/corpus/lxc/0123456789ab.log",
		.console = "/var/log/corpus/lxc/0123456789ab.console",
		.halt_signal = SIGPWR,
		.cgroup_root = "corpus",
		.limits = {.memory = LIMIT_V1, .cpu = LIMIT_V1, .pids = LIMIT_V1}};
}

static void assert_renders(const struct lxc_config *config, const char *golden)
{
	AUTOFREE char *text = lxc_config_render(config);

	assert_non_null(text);
	assert_golden(golden, text);
}

static void a_plain_guest_is_unprivileged_and_has_one_link(void **state)
{
	struct driver_guest guest = plain();
	struct lxc_config config = config_of(&guest);

	(void)state;
	assert_renders(&config, "plain.conf");
}

static void limits_are_written_for_the_control_groups_of_the_host(void **state)
{
	struct driver_guest guest = plain();
	struct lxc_config config = config_of(&guest);

	(void)state;
	guest.limits = (struct guest_limits){.cpu_milli = 1500,
		.memory = 512 * 1024 * 1024,
		.swap = 256 * 1024 * 1024,
		.pids = 300,
		.io_weight = 200,
		.io_read = 1024 * 1024};
	assert_renders(&config, "limits-v1.conf");
	config.limits = (struct limits_host){.memory = LIMIT_V1, .cpu = LIMIT_V2, .io = LIMIT_V2};
	assert_renders(&config, "limits-hybrid.conf");
	config.cgroup_v2 = true;
	config.limits = (struct limits_host){LIMIT_V2, LIMIT_V2, LIMIT_V2, LIMIT_V2, 0};
	assert_renders(&config, "limits-v2.conf");
}

static void a_privileged_guest_has_no_map_but_a_list_of_devices(void **state)
{
	struct driver_guest guest = plain();
	struct lxc_config config = config_of(&guest);

	(void)state;
	guest.privileged = true;
	config.halt_signal = SIGRTMIN + 3;
	assert_renders(&config, "privileged-v1.conf");
	config.cgroup_v2 = true;
	config.cgroup_root = "corpus.slice/corpus-guests.service/corpus";
	config.apparmor_without_profile = true;
	assert_renders(&config, "privileged-v2.conf");
}

static void a_guest_without_address_or_bridge_still_has_a_network_of_its_own(void **state)
{
	struct driver_guest guest = plain();
	struct lxc_config config = config_of(&guest);

	(void)state;
	guest.net.address = 0;
	assert_renders(&config, "dhcp.conf");
	guest.net.bridge = NULL;
	config.halt_signal = SIGUSR2;
	assert_renders(&config, "no-bridge.conf");
}

static void what_is_added_by_hand_comes_last(void **state)
{
	const char *raw[] = {"lxc.environment = A=1", "lxc.prlimit.nofile = 4096", NULL};
	struct driver_guest guest = plain();
	struct lxc_config config = config_of(&guest);

	(void)state;
	guest.raw = raw;
	config.additions = "# From /etc/corpus/guests.d/all.conf:\nlxc.environment = B=2\n";
	assert_renders(&config, "additions.conf");
}

/* --- Hosts ----------------------------------------------------------------------------------- */

static void subordinate_ids_are_those_of_root(void **state)
{
	const char *text = "alice:100000:65536\n# root:1:1\nroot:200000:65536\n0:500000:10\n";
	uint32_t base = 0, count = 0;

	(void)state;
	assert_true(probe_first_range(text, &base, &count));
	assert_int_equal(base, 200000);
	assert_int_equal(count, 65536);
	assert_true(probe_has_range(text, 200000, 65536));
	assert_true(probe_has_range(text, 500005, 5));
	assert_false(probe_has_range(text, 100000, 65536));
	assert_false(probe_has_range(text, 200001, 65536));
	assert_false(probe_first_range("alice:1:2\n", &base, &count));
	assert_false(probe_first_range("", &base, &count));
}

/* --- The guest's init ------------------------------------------------------------------------ */

static char g_root[] = "/tmp/corpus-test-init-XXXXXX";

static void put_init(const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/sbin", g_root);
	file_mkdirs(path, 0755);
	snprintf(path, sizeof(path), "%s/sbin/init", g_root);
	unlink(path);
	if (target)
		assert_int_equal(symlink(target, path), 0);
	else
		assert_int_equal(file_replace(path, "", 0755, false), 0);
}

static void put_program(const char *name, mode_t mode)
{
	char path[128], dir[128];

	snprintf(path, sizeof(path), "%s%s", g_root, name);
	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	file_mkdirs(dir, 0755);
	assert_int_equal(file_replace(path, "", mode, false), 0);
}

static void the_signal_to_halt_follows_from_which_init_it_is(void **state)
{
	int signal = 0;

	(void)state;
	put_program("/lib/systemd/systemd", 0755);
	put_program("/bin/busybox", 0755);
	put_init("/lib/systemd/systemd");
	assert_int_equal(init_halt_signal(g_root, &signal, NULL), 0);
	assert_int_equal(signal, SIGRTMIN + 3);
	put_init("../bin/busybox");
	assert_int_equal(init_halt_signal(g_root, &signal, NULL), 0);
	assert_int_equal(signal, SIGUSR2);
	put_init(NULL);
	assert_int_equal(init_halt_signal(g_root, &signal, NULL), 0);
	assert_int_equal(signal, SIGPWR);
}

static void an_init_that_cannot_be_executed_or_leads_out_is_none(void **state)
{
	struct err err = {0};
	int signal = 0;

	(void)state;
	/* These exist on the node, but not in the guest. */
	put_init("/bin/sh");
	assert_true(init_halt_signal(g_root, &signal, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
	put_init("../../../../../../bin/sh");
	assert_true(init_halt_signal(g_root, &signal, NULL) < 0);
	put_init("init");
	assert_true(init_halt_signal(g_root, &signal, NULL) < 0);
	put_program("/bin/plain", 0644);
	put_init("/bin/plain");
	assert_true(init_halt_signal(g_root, &signal, NULL) < 0);
	put_init("/bin");
	assert_true(init_halt_signal(g_root, &signal, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_guest_is_unprivileged_and_has_one_link),
		cmocka_unit_test(limits_are_written_for_the_control_groups_of_the_host),
		cmocka_unit_test(a_privileged_guest_has_no_map_but_a_list_of_devices),
		cmocka_unit_test(a_guest_without_address_or_bridge_still_has_a_network_of_its_own),
		cmocka_unit_test(what_is_added_by_hand_comes_last),
		cmocka_unit_test(subordinate_ids_are_those_of_root),
		cmocka_unit_test(the_signal_to_halt_follows_from_which_init_it_is),
		cmocka_unit_test(an_init_that_cannot_be_executed_or_leads_out_is_none),
	};
	int failed;

	if (!mkdtemp(g_root))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	file_remove_tree(g_root);
	return failed;
}
