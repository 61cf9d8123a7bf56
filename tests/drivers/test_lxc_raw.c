/* Lines added to a guest's configuration: what is allowed, what is refused and how it is said, and
 * the files that ops keep by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/lxc/raw.h"

static char g_dir[] = "/tmp/corpus-test-raw-XXXXXX";

static void lines_of_the_manual_are_allowed(void **state)
{
	static const char *const lines[] = {
		"lxc.mount.entry = /srv/data srv none bind,create=dir 0 0",
		"lxc.environment=COLOUR=blue",
		"  lxc.cgroup.devices.allow = c 10:200 rwm",
		"lxc.cgroup2.devices.allow = c 10:200 rwm",
		"lxc.hook.pre-start = /usr/local/sbin/before",
		"lxc.prlimit.nofile = 4096",
		"lxc.sysctl.net.ipv4.ip_forward\t=\t1",
		"lxc.apparmor.profile = unconfined",
		"lxc.cap.drop =",
		"lxc.cgroup.memory.swappiness = 10",
		"# a comment with lxc.net.0.type = none",
		"\t ",
		"",
	};
	char why[RAW_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!raw_line_allowed(lines[i], why))
			fail_msg("%s: %s", lines[i], why);
}

static void what_the_agent_relies_on_is_refused_with_the_way_to_do_it(void **state)
{
	static const char *const lines[][2] = {
		{"lxc.net.0.type = none", "ports"},
		{"lxc.net =", "ports"},
		{" lxc.rootfs.path=dir:/", "files"},
		{"lxc.rootfs.options = ro", "files"},
		{"lxc.uts.name = other", "rename"},
		{"lxc.idmap = u 0 0 1", "ids"},
		{"lxc.idmap =", "ids"},
		{"lxc.cgroup.dir = /x", "control groups"},
		{"lxc.cgroup.dir.container = x", "control groups"},
		{"lxc.cgroup =", "name of a file"},
		{"lxc.cgroup2=", "name of a file"},
		{"lxc.cgroup.pids.max = max", "limits.pids"},
		{"lxc.cgroup2.memory.max = max", "limits.memory"},
		{"lxc.console.logfile = /etc/passwd", "console"},
		{"lxc.log.file = /x", "log"},
		{"lxc.include = /etc", "additions directory"},
		{"lxc.namespace.keep = net", "namespaces"},
		{"lxc.monitor.unshare = 1", "outlive"},
		{"lxc.ephemeral = 1", "destroy"},
		{"lxc.start.auto = 1", "autostart"},
		{"lxc.init.cmd = /bin/sh", "/sbin/init"},
		{"lxc.signal.halt = SIGTERM", "stopped"},
		{"lxc.networks = eth0", "this liblxc has no lxc.networks"},
		{"net.0.type = none", "lxc.KEY = VALUE"},
		{"lxc.environment", "lxc.KEY = VALUE"},
		{"lxc.env ironment = x", "lxc.KEY = VALUE"},
		{"lxc.environment = a\nlxc.net.0.type = none", "control character"},
		{"lxc.environment = a\r", "control character"},
	};
	char why[RAW_WHY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		if (raw_line_allowed(lines[i][0], why))
			fail_msg("%s was allowed", lines[i][0]);
		if (!strstr(why, lines[i][1]))
			fail_msg("%s: %s", lines[i][0], why);
	}
}

static void a_refusal_names_the_line(void **state)
{
	const char *lines[] = {"lxc.environment = A=1", "# fine", "lxc.uts.name = b", NULL};
	struct err err = {0};

	(void)state;
	assert_int_equal(raw_check(NULL, &err), 0);
	assert_true(raw_check(lines, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "raw[2]");
	assert_string_equal(
		err.message, "raw[2]: lxc.uts.name cannot be set: rename the guest instead");
	lines[2] = NULL;
	assert_int_equal(raw_check(lines, &err), 0);
}

/* --- Files ------------------------------------------------------------------------------------ */

static void put(const char *name, const char *text, mode_t mode)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", g_dir, name);
	assert_int_equal(file_replace(path, text, mode, false), 0);
}

static int clear(void **state)
{
	(void)state;
	file_remove_tree(g_dir);
	return mkdir(g_dir, 0755);
}

static char *read_all(const char *name)
{
	char *text = NULL;
	struct err err = {0};

	if (raw_read_additions(g_dir, name, &text, &err) < 0)
		fail_msg("%s", err.message);
	return text;
}

static void files_of_all_and_of_the_guest_are_read_in_that_order(void **state)
{
	AUTOFREE char *wanted = NULL;

	(void)state;
	put("all.conf", "# for all\n\nlxc.environment = A=1\n", 0644);
	put("web1.example.org.conf", "lxc.environment = B=2", 0600);
	put("other.conf", "lxc.environment = C=3\n", 0644);
	AUTOFREE char *both = read_all("web1.example.org");
	assert_true(asprintf(&wanted,
			    "# From %s/all.conf:\n# for all\nlxc.environment = A=1\n"
			    "# From %s/web1.example.org.conf:\nlxc.environment = B=2\n",
			    g_dir, g_dir) > 0);
	assert_string_equal(both, wanted);
	/* A guest that is called "all" gets those lines once. */
	AUTOFREE char *once = read_all("all");
	assert_null(strstr(strstr(once, "From") + 1, "From"));
}

static void no_files_and_no_directory_are_no_lines(void **state)
{
	char *text = NULL;

	(void)state;
	AUTOFREE char *none = read_all("web1");
	assert_string_equal(none, "");
	assert_int_equal(raw_read_additions("/nonexistent", "web1", &text, NULL), 0);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(raw_read_additions(NULL, "web1", &text, NULL), 0);
	assert_string_equal(text, "");
	free(text);
}

static void a_fault_names_the_file_and_the_line(void **state)
{
	struct err err = {0};
	char *text = NULL;

	(void)state;
	put("web1.conf", "lxc.environment = A=1\n\nlxc.net.0.type = none\n", 0644);
	assert_true(raw_read_additions(g_dir, "web1", &text, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_string_equal(err.field, "web1.conf:3");
	assert_non_null(strstr(err.message, "/web1.conf, line 3: lxc.net.0.type cannot be set"));
	assert_null(text);
}

static void a_file_that_others_may_write_is_not_believed(void **state)
{
	struct err err = {0};
	char path[128], *text = NULL;

	(void)state;
	put("all.conf", "lxc.environment = A=1\n", 0644);
	snprintf(path, sizeof(path), "%s/all.conf", g_dir);
	assert_int_equal(chmod(path, 0664), 0);
	assert_true(raw_read_additions(g_dir, "web1", &text, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_non_null(strstr(err.message, "nobody else may write"));
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0644), 0);
		assert_int_equal(chown(path, 1, 1), 0);
		assert_true(raw_read_additions(g_dir, "web1", &text, &err) < 0);
	}
	/* Nor is one that is no file at all waited for. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(raw_read_additions(g_dir, "web1", &text, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_the_manual_are_allowed),
		cmocka_unit_test(what_the_agent_relies_on_is_refused_with_the_way_to_do_it),
		cmocka_unit_test(a_refusal_names_the_line),
		cmocka_unit_test_setup(files_of_all_and_of_the_guest_are_read_in_that_order, clear),
		cmocka_unit_test_setup(no_files_and_no_directory_are_no_lines, clear),
		cmocka_unit_test_setup(a_fault_names_the_file_and_the_line, clear),
		cmocka_unit_test_setup(a_file_that_others_may_write_is_not_believed, clear),
	};
	int failed;

	if (!mkdtemp(g_dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	file_remove_tree(g_dir);
	return failed;
}
