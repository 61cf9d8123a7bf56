/* What the doctor says of libvirt, QEMU and KVM: one row for each kind of host. */
#include <errno.h>

#include "findings.h"

/* --- libvirt --------------------------------------------------------------------------------- */

static void a_uri_leads_to_the_sockets_of_this_machine_or_none(void **state)
{
	static const struct {
		const char *uri, *first, *second;
	} CASES[] = {
		{"qemu:///system", "/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"},
		{"xen:///system", "/run/libvirt/libvirt-sock", "/run/libvirt/virtxend-sock"},
		{"qemu+unix:///system", "/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock"},
		{"qemu+unix:///system?socket=/tmp/x&no_tty=1", "/tmp/x", ""},
		{"qemu:///system?mode=direct&socket=/tmp/y", "/tmp/y", ""},
		{"qemu:///system?mysocket=/tmp/y", "/run/libvirt/libvirt-sock",
			"/run/libvirt/virtqemud-sock"},
		{"qemu://host/system", "", ""},
		{"qemu+ssh://root@host/system", "", ""},
		{"qemu+tcp:///system", "", ""},
		{"test:///default", "", ""},
		{"nonsense", "", ""},
		{"", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		char sockets[LIBVIRT_SOCKETS][108];

		libvirt_sockets(CASES[i].uri, sockets);
		assert_string_equal(sockets[0], CASES[i].first);
		assert_string_equal(sockets[1], CASES[i].second);
		assert_string_equal(sockets[2], "");
	}
}

static void a_libvirtd_that_does_not_answer_is_told_with_why(void **state)
{
	static const struct {
		struct libvirtd_facts facts;
		const char *expected;
	} CASES[] = {
		{{"qemu:///system", "/s", 0, false, "lxcbr1"},
			"good: libvirtd takes connections at /s"},
		{{"qemu:///system", "/s", ENOENT, false, "lxcbr1"},
			"bad: libvirtd is not there: there is no /s"},
		{{"qemu:///system", "/s", ECONNREFUSED, false, "lxcbr1"},
			"bad: libvirtd does not run: nobody listens at /s"},
		{{"qemu:///system", "/s", EAGAIN, false, "lxcbr1"},
			"bad: libvirtd hangs: it takes no more connections at /s"},
		{{"qemu:///system", "/s", EACCES, false, "lxcbr1"},
			"bad: libvirtd cannot be reached at /s: Permission denied"},
		{{"qemu:///system", "/s", 0, true, "lxcbr1"},
			"good: libvirtd takes connections at /s\n"
			"bad: libvirtd is in another network namespace, and cannot put machines on "
			"lxcbr1"},
		{{"test:///default", NULL, 0, false, "lxcbr1"},
			"good: libvirt is asked at test:///default, of which nothing more can be "
			"seen here"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_libvirtd(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void virtlogd_is_wanted_unless_qemu_writes_by_itself(void **state)
{
	static const struct {
		const char *conf;
		int connected;
		const char *expected;
	} CASES[] = {
		{NULL, 0, "good: virtlogd takes connections"},
		{"#stdio_handler = \"file\"\n", ENOENT,
			"bad: virtlogd, which libvirt leads QEMU's output to, cannot be reached: "
			"No such file or directory"},
		{"user = \"x\"\nstdio_handler = \"logd\"\n", ECONNREFUSED,
			"bad: virtlogd, which libvirt leads QEMU's output to, cannot be reached: "
			"Connection refused"},
		{"\n  stdio_handler=\"file\"", ENOENT, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_virtlogd(&report, CASES[i].conf, CASES[i].connected);
		if (*CASES[i].expected)
			assert_findings(&report, CASES[i].expected);
		else
			assert_null(report.lines);
	}
}

#define NETWORK(name, rest) "<network>\n  <name>" name "</name>\n" rest "</network>\n"
#define GATEWAY		    0x0a050001 /* 10.5.0.1 */

static void a_network_of_libvirts_that_clashes_with_ours_is_named(void **state)
{
	static const struct {
		const char *xml, *expected;
	} CASES[] = {
		{NETWORK("default",
			 "<bridge name='virbr0'/>\n<forward/>\n"
			 "<ip address='192.168.122.1' netmask='255.255.255.0'><dhcp/></ip>"),
			"good: libvirt's network default does not clash with ours"},
		{NETWORK("wide", "<ip address='10.0.0.1' netmask='255.0.0.0'/>"),
			"bad: libvirt's network wide has the address 10.0.0.1, in the network of "
			"our guests (10.5.0.1/16)"},
		{NETWORK("narrow", "<ip family='ipv4' address='10.5.7.1' prefix='24'/>"),
			"bad: libvirt's network narrow has the address 10.5.7.1, in the network of "
			"our guests (10.5.0.1/16)"},
		{NETWORK("beside", "<ip address='10.6.0.1' prefix='16'/>"),
			"good: libvirt's network beside does not clash with ours"},
		{NETWORK("two", "<bridge stp='on' name='lxcbr1' delay='0'/>"
				"<ip family='ipv6' address='fd00::1' prefix='64'/>"
				"<ip address='10.5.9.9' netmask='255.255.255.0'/>"),
			"bad: libvirt's network two has the bridge lxcbr1, which is corpusd's\n"
			"bad: libvirt's network two has the address 10.5.9.9, in the network of "
			"our guests (10.5.0.1/16)"},
		{NETWORK("bare", "<ip address='10.6.0.1'/>"
				 "<other netmask='255.0.0.0' prefix='8'/>"),
			"good: libvirt's network bare does not clash with ours"},
		{NETWORK("odd", "<ip address='10.5.0.9' netmask='nonsense' prefix='99'/>"),
			"bad: libvirt's network odd has the address 10.5.0.9, in the network of "
			"our guests (10.5.0.1/16)"},
		{"<network><ip", "good: libvirt's network  does not clash with ours"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_libvirt_network(&report, CASES[i].xml, "lxcbr1", GATEWAY, 16);
		assert_findings(&report, CASES[i].expected);
	}
}

static void apparmor_matters_where_it_is_on(void **state)
{
	static const struct {
		struct apparmor_facts facts;
		const char *expected;
	} CASES[] = {
		{{NULL, "unconfined\n", false, false}, ""},
		{{"N\n", "unconfined\n", false, false}, ""},
		{{"Y\n", NULL, true, true}, ""},
		{{"Y\n", "unconfined\n", true, true},
			"warning: AppArmor is on, but libvirtd has no profile: neither have its "
			"machines"},
		{{"Y\n", "libvirtd (enforce)\n", false, true},
			"bad: libvirt cannot make AppArmor's profiles for machines: "
			"/etc/apparmor.d/libvirt/TEMPLATE.qemu is missing"},
		{{"Y\n", "libvirtd (enforce)\n", true, false},
			"bad: libvirt cannot make AppArmor's profiles for machines: "
			"apparmor_parser is missing"},
		{{"Y\n", "libvirtd (enforce)\n", true, true},
			"good: AppArmor confines machines to their own files"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_apparmor(&report, &CASES[i].facts);
		if (*CASES[i].expected)
			assert_findings(&report, CASES[i].expected);
		else
			assert_null(report.lines);
	}
}

/* --- QEMU ------------------------------------------------------------------------------------ */

static void each_program_that_is_missing_is_named_with_what_it_is_for(void **state)
{
	static const struct {
		struct qemu_facts facts;
		const char *expected;
	} CASES[] = {
		{{true, true, true, true, true, true},
			"good: QEMU, its tools and UEFI firmware are there"},
		{{false, false, false, true, false, false},
			"bad: QEMU (qemu-system-x86_64) is missing: no machine can start\n"
			"bad: qemu-img is missing: disks cannot be imported, made or resized\n"
			"warning: qemu-storage-daemon is missing: disks cannot be shrunk\n"
			"warning: e2fsck or resize2fs is missing: disks cannot be shrunk\n"
			"warning: there is no UEFI firmware: images that boot by it do not start"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_qemu(&report, &CASES[i].facts);
		assert_findings(&report, CASES[i].expected);
	}
}

static void the_user_of_qemu_is_the_configured_one(void **state)
{
	static const struct {
		const char *conf, *user;
	} CASES[] = {
		{NULL, "libvirt-qemu"},
		{"", "libvirt-qemu"},
		{"# The user\n#user = \"root\"\nswtpm_user = \"tss\"\n", "libvirt-qemu"},
		{"user = \"qemu\"\n", "qemu"},
		{"group = \"kvm\"\n\tuser=\"+1000\" # us\n", "+1000"},
		{"user \"x\"\nuser = y", "y"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		char user[64];

		qemu_user(CASES[i].conf, user);
		assert_string_equal(user, CASES[i].user);
	}
}

static void the_directory_that_stops_qemu_is_named(void **state)
{
	struct report report = {0};

	(void)state;
	check_reach(&report, "libvirt-qemu", "/p/pool", NULL);
	check_reach(&report, "libvirt-qemu", "/p/pool", "/p");
	assert_string_equal(line_text(json_array_get(report.lines, 1), "advice"),
		"`chmod o+x /p` lets it pass without showing what is in there.");
	assert_findings(&report,
		"good: QEMU, as the user libvirt-qemu, reaches the pool\n"
		"bad: QEMU runs as the user libvirt-qemu, who cannot pass /p on the way to the "
		"pool (/p/pool)");
}

/* --- Acceleration ---------------------------------------------------------------------------- */

#define MINUTE INT64_C(60000)
#define NOW    (100 * 24 * 60 * MINUTE)

static void acceleration_is_told_with_its_age_and_what_to_do(void **state)
{
	static const struct {
		struct acceleration_facts facts;
		const char *expected, *advice; /* how the advice begins */
	} CASES[] = {
		{{true, false, true, true, "", NOW - 3 * 24 * 60 * MINUTE, NOW, "F"},
			"good: KVM works here (found out 3 days ago)", NULL},
		{{true, false, true, true, "", NOW - 61 * MINUTE, NOW, "F"},
			"good: KVM works here (found out 1 hour ago)", NULL},
		{{true, false, true, true, "", NOW - 59 * MINUTE, NOW, "F"},
			"good: KVM works here (found out 59 minutes ago)", NULL},
		{{true, false, true, true, "", NOW + MINUTE, NOW, "F"},
			"good: KVM works here (found out just now)", NULL},
		{{true, true, true, true, "", NOW, NOW, "F"},
			"warning: KVM works here (found out just now), but libvirtd cannot see "
			"/dev/kvm: machines are emulated, many times slower",
			"Look for InaccessiblePaths="},
		{{true, false, false, false, "", 0, NOW, "F"},
			"warning: whether KVM works here has not been found out",
			"The driver finds it out"},
		{{false, false, true, false, "there is no /dev/kvm", 0, NOW, "F"},
			"warning: machines are emulated, many times slower than by KVM: there is "
			"no /dev/kvm",
			"`modprobe kvm_intel`"},
		{{true, false, true, false, "it stood still", NOW, NOW, "F"},
			"warning: machines are emulated, many times slower than by KVM: it stood "
			"still (found out just now)",
			"Hide /dev/kvm from libvirtd"},
		{{true, true, true, false, "it stood still", NOW, NOW, "F"},
			"warning: machines are emulated, many times slower than by KVM: it stood "
			"still (found out just now)",
			"To have it tried again remove F"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};
		const char *advice;

		check_acceleration(&report, &CASES[i].facts);
		advice = line_text(json_array_get(report.lines, 0), "advice");
		if (CASES[i].advice)
			assert_memory_equal(advice, CASES[i].advice, strlen(CASES[i].advice));
		assert_findings(&report, CASES[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_uri_leads_to_the_sockets_of_this_machine_or_none),
		cmocka_unit_test(a_libvirtd_that_does_not_answer_is_told_with_why),
		cmocka_unit_test(virtlogd_is_wanted_unless_qemu_writes_by_itself),
		cmocka_unit_test(a_network_of_libvirts_that_clashes_with_ours_is_named),
		cmocka_unit_test(apparmor_matters_where_it_is_on),
		cmocka_unit_test(each_program_that_is_missing_is_named_with_what_it_is_for),
		cmocka_unit_test(the_user_of_qemu_is_the_configured_one),
		cmocka_unit_test(the_directory_that_stops_qemu_is_named),
		cmocka_unit_test(acceleration_is_told_with_its_age_and_what_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
