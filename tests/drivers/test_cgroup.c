/* Control groups: what the host has, and which of them a process is in. */
#include "drivers/cgroup/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "groups.h"

static void control_groups_are_found_wherever_they_are_mounted(void **state)
{
	struct cgroups c;

	(void)state;
	cgroups_parse("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
		      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		      "33 31 0:30 / /groups/memory rw,relatime shared:9 - cgroup none rw,memory\n"
		      "34 31 0:31 /below /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
		      "35 31 0:32 / /nonexistent rw - cgroup2 cgroup2 rw\n",
		&c);
	assert_int_equal(c.count, 3);
	assert_false(c.unified);
	assert_string_equal(cgroups_with(&c, "cpu")->mount, "/sys/fs/cgroup/cpu,cpuacct");
	assert_string_equal(cgroups_with(&c, "memory")->mount, "/groups/memory");
	assert_null(cgroups_with(&c, "pids"));
	assert_null(cgroups_with(&c, "mem"));
	cgroups_parse("35 31 0:32 / /nonexistent rw - cgroup2 cgroup2 rw\n", &c);
	assert_true(c.unified);
	cgroups_parse("", &c);
	assert_int_equal(c.count, 0);
	assert_false(c.unified);
}

#define ID "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"

static const char *dir_of(const struct cgroup *g, const char *controller)
{
	return g->dirs[cgroups_with(g->cgroups, controller) - g->cgroups->hierarchies];
}

static void make_both(struct cgroups *ret)
{
	cgroups_parse("32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
		      "33 31 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n"
		      "34 31 0:31 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n"
		      "35 31 0:32 / /cg/unified rw - cgroup2 cgroup2 rw\n",
		ret);
}

static void a_process_is_found_in_each_hierarchy(void **state)
{
	struct cgroups c;
	struct cgroup g;

	(void)state;
	make_both(&c);
	assert_int_equal(
		cgroup_parse(&c,
			"12:name=systemd:/\n9:memory:/docker/" ID "\n"
			"4:cpu,cpuacct:/docker/" ID "\n3:pids:/docker/" ID "\n0::/unified\n",
			NULL, &g),
		0);
	assert_string_equal(dir_of(&g, "memory"), "/cg/memory/docker/" ID);
	assert_string_equal(dir_of(&g, "cpuacct"), "/cg/cpu,cpuacct/docker/" ID);
	assert_string_equal(dir_of(&g, "name=systemd"), "/cg/systemd/");
	assert_string_equal(g.dirs[3], "/cg/unified/unified");
}

static void the_group_of_a_name_holds_those_below_it(void **state)
{
	char path[PATH_MAX];
	struct cgroups c;
	struct cgroup g;

	(void)state;
	make_both(&c);
	assert_int_equal(cgroup_parse(&c,
				 "12:name=systemd:/init.scope\n9:memory:/docker/" ID "\n"
				 "0::/system.slice/docker-" ID ".scope/init.scope/x\n",
				 ID, &g),
		0);
	assert_string_equal(dir_of(&g, "memory"), "/cg/memory/docker/" ID);
	assert_string_equal(g.dirs[3], "/cg/unified/system.slice/docker-" ID ".scope");
	assert_string_equal(dir_of(&g, "name=systemd"), "");
	assert_int_equal(cgroup_path(&g, &c.hierarchies[2], "", path), -ENOENT);
	assert_int_equal(cgroup_path(&g, &c.hierarchies[1], "memory.stat", path), 0);
	assert_string_equal(path, "/cg/memory/docker/" ID "/memory.stat");
}

static void what_is_in_no_group_of_the_name_is_not_found(void **state)
{
	static const char *const texts[] = {"", "\n", "12", "9:memory", "9:memory:/\n0::/other\n",
		"9:memory:/../" ID "\n", "9:unheard:/" ID "\n"};
	struct cgroups c;
	struct cgroup g;

	(void)state;
	make_both(&c);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(cgroup_parse(&c, texts[i], ID, &g), -ENOENT);
	assert_int_equal(cgroup_of_process(&c, 0, NULL, &g), -ENOENT);
}

static void files_are_those_of_the_controllers_hierarchy(void **state)
{
	AUTOFREE char *text = NULL;

	(void)state;
	groups_add("memory", false, ",memory,");
	groups_add("all", true, ",io,");
	groups_put("all/io.weight", "default 100\n");
	groups_put("memory/x", "1");
	assert_int_equal(cgroup_read(groups_guest(), "io", "io.weight", &text), 0);
	assert_string_equal(text, "default 100\n");
	assert_int_equal(cgroup_write(groups_guest(), "memory", "x", "2"), 0);
	assert_string_equal(groups_text("memory/x"), "2");
	assert_int_equal(cgroup_write(groups_guest(), "pids", "pids.max", "2"), -EOPNOTSUPP);
	assert_int_equal(cgroup_write(groups_guest(), "io", "io.max", "2"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(control_groups_are_found_wherever_they_are_mounted),
		cmocka_unit_test(a_process_is_found_in_each_hierarchy),
		cmocka_unit_test(the_group_of_a_name_holds_those_below_it),
		cmocka_unit_test(what_is_in_no_group_of_the_name_is_not_found),
		cmocka_unit_test_setup_teardown(
			files_are_those_of_the_controllers_hierarchy, groups_begin, groups_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
