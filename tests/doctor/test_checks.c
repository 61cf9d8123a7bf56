/* What the doctor says of kernels, control groups, ids, file systems, room, time and limits: one
 * row for each kind of host. */
#include "findings.h"

#define V2 "30 1 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1                                                                                         \
	"31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"                         \
	"32 1 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"               \
	"33 1 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"

static void kernels_are_judged_by_what_they_can(void **state)
{
	static const struct {
		struct kernel_facts facts;
		const char *expected;
	} CASES[] = {
		{{"6.1.0-18-amd64", true, true, true},
			"good: Linux 6.1.0-18-amd64, with id-mapped mounts, pidfds and openat2"},
		{{"5.14.21", true, true, true}, "bad: Linux 5.14.21 cannot map the ids of guests "
						"on btrfs (Linux 5.15 can)"},
		{{"5.4.0", false, true, false},
			"bad: Linux 5.4.0 has no id-mapped mounts (Linux 5.12 has)\n"
			"bad: Linux 5.4.0 has no openat2 (Linux 5.6 has)"},
		{{"odd", true, true, true},
			"good: Linux odd, with id-mapped mounts, pidfds and openat2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_kernel(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void control_groups_of_all_kinds_are_told_apart(void **state)
{
	static const struct {
		struct cgroup_facts facts;
		const char *expected;
	} CASES[] = {
		{{V2, "cpuset cpu io memory pids\n", NULL, false},
			"good: control groups v2, with cpu, memory, pids and io"},
		{{V2, "cpuset cpu io pids\n", NULL, false},
			"warning: control groups v2, without the controllers memory: such limits "
			"do "
			"not hold"},
		{{V1, NULL, NULL, false}, "warning: control groups v1, without the controllers io: "
					  "such limits do not "
					  "hold"},
		{{V2 V1, "io\n", "corpus.slice/corpus-guests.service", true},
			"good: control groups v1 and v2 (hybrid), with cpu, memory, pids and io\n"
			"good: guests' groups lie below corpus.slice/corpus-guests.service, which "
			"is "
			"delegated to corpus"},
		{{V2, "cpu io memory pids", "", true},
			"good: control groups v2, with cpu, memory, pids and io\n"
			"warning: guests' groups are not below a unit that systemd has delegated: "
			"it "
			"may change them"},
		{{"30 1 0:26 / /proc rw - proc proc rw\nnonsense\n", NULL, NULL, true},
			"bad: no control groups are mounted below /sys/fs/cgroup"},
		{{NULL, NULL, NULL, false},
			"bad: no control groups are mounted below /sys/fs/cgroup"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_cgroups(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void user_namespaces_that_are_off_are_named(void **state)
{
	static const struct {
		struct namespace_facts facts;
		const char *expected;
	} CASES[] = {
		{{"63432\n", NULL}, "good: user namespaces can be made"},
		{{"63432\n", "0\n"}, "good: user namespaces can be made"},
		{{"0\n", "0\n"},
			"bad: user.max_user_namespaces is 0: no unprivileged guest can start"},
		{{NULL, NULL}, "bad: the kernel has no user namespaces, in which guests run"},
		{{"63432\n", "1\n"},
			"warning: AppArmor refuses user namespaces to programs without a profile, "
			"also in guests"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_namespaces(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void a_range_of_ids_must_be_roots_and_large_enough(void **state)
{
	static const struct {
		const char *text;
		uint32_t base, count;
		const char *expected;
	} CASES[] = {
		{"root:100000:65536\n", 0, 0, "good: F gives root the ids from 100000 on"},
		{"admin:1:2\n0:200000:65536", 0, 0, "good: F gives root the ids from 200000 on"},
		{"root:100000:1000\nroot:200000:65536\n", 200000, 65536,
			"good: F gives root the ids from 200000 on"},
		{"root:100000:65536\n", 150000, 65536,
			"bad: F gives root no range of ids for guests that holds the one of idmap "
			"in "
			"corpusd.yaml"},
		{"root:100000:1000\n", 0, 0,
			"warning: F gives root only 1000 ids: systems inside expect 65536"},
		{"admin:100000:65536\n", 0, 0, "bad: F gives root no range of ids for guests"},
		{"", 0, 0, "bad: F gives root no range of ids for guests"},
		{NULL, 0, 0, "bad: F gives root no range of ids for guests"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_subids(&report, "F", CASES[i].text, CASES[i].base, CASES[i].count);
		assert_findings(&report, CASES[i].expected);
	}
}

static void btrfs_has_to_be_there_or_loadable(void **state)
{
	static const struct {
		struct btrfs_facts facts;
		const char *expected;
	} CASES[] = {
		{{"nodev\tproc\n\tbtrfs\n", false, true, true, false, "6.7.0"},
			"good: btrfs is there, with simple quotas"},
		{{"nodev\tproc\n\tbtrfs\n", false, true, true, true, "6.7.0"},
			"good: btrfs is there, with classic quotas"},
		{{"nodev\tproc\n", true, false, false, false, "6.1.0"},
			"good: btrfs can be loaded, with classic quotas"},
		{{"nodev\tproc\n", false, true, true, false, "6.1.0"},
			"bad: the kernel knows no btrfs, on which guests' storage lies"},
		{{"\tbtrfs\n", false, false, true, false, "6.1.0"},
			"good: btrfs is there, with classic quotas\n"
			"bad: mkfs.btrfs is missing: the pool cannot be made"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_btrfs(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

#define GIB (UINT64_C(1) << 30)

static void little_room_is_a_warning_and_none_is_bad(void **state)
{
	static const struct {
		struct space_facts facts;
		const char *expected;
	} CASES[] = {
		{{"it", "/x", 100 * GIB, 50 * GIB, 1000, 900, 0},
			"good: it (/x): 50 GiB of 100 GiB are free"},
		{{"it", "/x", 100 * GIB, 9 * GIB, 0, 0, 0},
			"warning: it (/x): 9 GiB of 100 GiB are free"},
		{{"it", "/x", 100 * GIB, GIB / 2, 0, 0, 0},
			"bad: it (/x): 512 MiB of 100 GiB are free"},
		{{"it", "/x", 0, 0, 0, 0, 0}, "bad: it (/x): 0 B of 0 B are free"},
		{{"it", "/x", 100 * GIB, 50 * GIB, 1000, 0, 0},
			"good: it (/x): 50 GiB of 100 GiB are free\n"
			"bad: it (/x): 0 of 1000 inodes are free"},
		{{"it", "/x", 100 * GIB, 50 * GIB, 0, 0, 60 * GIB},
			"warning: it (/x): 50 GiB of 100 GiB are free, and may be needed: "
			"60 GiB"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_space(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void a_clock_that_nobody_sets_and_one_of_long_ago_are_told(void **state)
{
	static const struct {
		bool synchronised;
		int year;
		const char *expected;
	} CASES[] = {
		{true, 2026, "good: the clock is synchronised"},
		{false, 2026, "warning: nothing sets the clock"},
		{true, 1970, "bad: the clock says that it is the year 1970"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_time(&report, CASES[i].synchronised, CASES[i].year);
		assert_findings(&report, CASES[i].expected);
	}
}

static void low_limits_are_told_with_what_raises_them(void **state)
{
	struct report report = {0};

	(void)state;
	check_limits(&report, &(struct limit_facts){1024, 128, 16 * GIB, GIB / 8});
	assert_findings(&report,
		"warning: a process may open 1024 files\n"
		"warning: all unprivileged guests together may watch files 128 times: enough for "
		"some dozen with systemd\n"
		"warning: 128 MiB of 16 GiB of memory can be had");
	check_limits(&report, &(struct limit_facts){1048576, 0, 16 * GIB, 8 * GIB});
	assert_findings(&report, "good: a process may open 1048576 files\n"
				 "good: 8 GiB of 16 GiB of memory can be had");
}

static void a_driver_that_cannot_says_why(void **state)
{
	struct report report = {0};

	(void)state;
	check_driver(&report, &(struct driver_facts){"lxc", "liblxc 5.0.2", "", true, NULL, NULL});
	check_driver(&report, &(struct driver_facts){"kvm", "libvirt 9.0.0", "", true, "tcg", ""});
	check_driver(&report, &(struct driver_facts){"kvm", "", "no /dev/kvm", false, "", "x"});
	check_driver(&report, &(struct driver_facts){"new", "", NULL, false, NULL, NULL});
	check_driver(&report,
		&(struct driver_facts){.name = "docker",
			.version = "Docker 20.10",
			.usable = true,
			.notice = "layers of guests have no bound: vfs; guests end with dockerd: "
				  "no live-restore"});
	assert_string_equal(line_text(json_array_get(report.lines, 5), "check"), "docker");
	assert_non_null(strstr(
		line_text(json_array_get(report.lines, 6), "advice"), "\"live-restore\": true"));
	assert_findings(&report, "good: lxc can run guests: liblxc 5.0.2\n"
				 "good: kvm can run guests: libvirt 9.0.0, by tcg\n"
				 "bad: kvm cannot run guests: no /dev/kvm\n"
				 "bad: new cannot run guests: not known yet\n"
				 "good: docker can run guests: Docker 20.10\n"
				 "warning: layers of guests have no bound: vfs\n"
				 "warning: guests end with dockerd: no live-restore");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernels_are_judged_by_what_they_can),
		cmocka_unit_test(control_groups_of_all_kinds_are_told_apart),
		cmocka_unit_test(user_namespaces_that_are_off_are_named),
		cmocka_unit_test(a_range_of_ids_must_be_roots_and_large_enough),
		cmocka_unit_test(btrfs_has_to_be_there_or_loadable),
		cmocka_unit_test(little_room_is_a_warning_and_none_is_bad),
		cmocka_unit_test(a_clock_that_nobody_sets_and_one_of_long_ago_are_told),
		cmocka_unit_test(low_limits_are_told_with_what_raises_them),
		cmocka_unit_test(a_driver_that_cannot_says_why),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
