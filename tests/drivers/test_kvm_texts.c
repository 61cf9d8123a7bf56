/* What the KVM driver reads out of others' texts and numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libvirt/libvirt.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/kvm/connect.h"
#include "drivers/kvm/guest.h"
#include "drivers/kvm/owner.h"
#include "drivers/kvm/start.h"

static void the_cause_is_what_qemu_said_last(void **state)
{
	static const char *const messages[][2] = {
		{"internal error: process exited while connecting to monitor: "
		 "2026-11-22T19:34:02.383681Z qemu-system-x86_64: -blockdev "
		 "{\"driver\":\"qcow2\"}: "
		 "Failed to get \"write\" lock",
			"Failed to get \"write\" lock"},
		{"internal error: qemu-system-x86_64: warning: odd\nqemu-system-x86_64: -foo: "
		 "invalid option",
			"-foo: invalid option"},
		{"Cannot get interface MTU on 'br7': No such device",
			"Cannot get interface MTU on 'br7': No such device"},
		{"qemu-system-x86_64", "qemu-system-x86_64"},
		{"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++)
		assert_string_equal(start_cause(messages[i][0]), messages[i][1]);
}

static void whom_qemu_runs_as_is_in_the_capabilities(void **state)
{
	char label[OWNER_LABEL_MAX];
	struct owner owner;

	(void)state;
	owner_of("<capabilities><host><secmodel><model>apparmor</model><doi>0</doi></secmodel>"
		 "<secmodel><model>dac</model><doi>0</doi><baselabel type='kvm'>+64055:+107"
		 "</baselabel><baselabel type='qemu'>+1:+2</baselabel></secmodel></host>"
		 "</capabilities>",
		&owner);
	assert_true(owner.known);
	assert_int_equal(owner.uid, 64055);
	assert_int_equal(owner.gid, 107);
	assert_string_equal(owner_label(label, &owner), "+64055:+107");
	owner_of("<capabilities><host/></capabilities>", &owner);
	assert_false(owner.known);
	owner_of("<capabilities>", &owner);
	assert_false(owner.known);
}

static void how_a_machine_ended_follows_from_its_reason(void **state)
{
	static const struct {
		int state, reason;
		bool by_us;
		int status;
	} ends[] = {
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, false, 0},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN, true, -1},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, false, 1 << 8},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED, true, -1},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, false, -1},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_UNKNOWN, false, -1},
		{VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SAVED, false, -1},
		{VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, false, -1},
		{0, 0, false, -1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		assert_int_equal(guest_exit_status_of(ends[i].state, ends[i].reason, ends[i].by_us),
			ends[i].status);
	assert_int_equal(
		guest_state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR), GUEST_FROZEN);
	assert_int_equal(
		guest_state_of(VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP), GUEST_STARTING);
	assert_int_equal(guest_state_of(VIR_DOMAIN_SHUTDOWN, 0), GUEST_STOPPING);
	assert_int_equal(guest_state_of(0, 0), GUEST_STOPPED);
}

static void endpoints_are_uris_of_what_has_machines(void **state)
{
	static const struct {
		const char *endpoint, *uri;
		enum kvm_type type;
	} known[] = {
		{NULL, "qemu:///system", KVM_QEMU},
		{"", "qemu:///system", KVM_QEMU},
		{"qemu+unix:///system?socket=/x", "qemu+unix:///system?socket=/x", KVM_QEMU},
		{"xen:///system", "xen:///system", KVM_XEN},
		{"test:///default", "test+unix:///default", KVM_TEST},
	};
	static const char *const unknown[] = {"lxc:///", "vbox:///session", "qemux:///", "/run/x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		AUTOFREE char *uri = NULL;
		enum kvm_type type;

		assert_int_equal(0, connect_choose(known[i].endpoint, &uri, &type, NULL));
		assert_string_equal(uri, known[i].uri);
		assert_int_equal(type, known[i].type);
	}
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		struct err err = {0};
		enum kvm_type type;
		char *uri;

		assert_true(connect_choose(unknown[i], &uri, &type, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.field, "endpoint");
	}
}

static void domains_are_named_by_the_guests_id(void **state)
{
	char name[KVM_NAME_MAX], uuid[VIR_UUID_STRING_BUFLEN];

	(void)state;
	assert_string_equal(connect_name(name, "0123456789ab"), "corpus-0123456789ab");
	assert_string_equal(
		connect_uuid(uuid, "0123456789ab"), "6b1d9c40-52e7-8a3f-b0c5-0123456789ab");
	assert_string_equal(connect_id_of(name), "0123456789ab");
	assert_null(connect_id_of("corpus-"));
	assert_null(connect_id_of("corpus-0123456789abc"));
	assert_null(connect_id_of("corpus-0123456789AB"));
	assert_null(connect_id_of("web1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_cause_is_what_qemu_said_last),
		cmocka_unit_test(whom_qemu_runs_as_is_in_the_capabilities),
		cmocka_unit_test(how_a_machine_ended_follows_from_its_reason),
		cmocka_unit_test(endpoints_are_uris_of_what_has_machines),
		cmocka_unit_test(domains_are_named_by_the_guests_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
