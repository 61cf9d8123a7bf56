/* Domains as text: against golden files (written anew with UPDATE_GOLDEN=1) and libvirt's own
 * schema; and what people add to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libxml/relaxng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/kvm/xml.h"

#define VOLUME	"/var/lib/corpus/pool/volumes/0123456789ab"
#define SCHEMA	"/usr/share/libvirt/schemas/domain.rng"
#define MIB_KIB 1024ULL

static xmlRelaxNGPtr g_schema;

static void quiet(void *data, const char *fmt, ...)
{
	(void)data;
	(void)fmt;
}

static int read_schema(void **state)
{
	xmlRelaxNGParserCtxtPtr parser = xmlRelaxNGNewParserCtxt(SCHEMA);

	(void)state;
	g_schema = parser ? xmlRelaxNGParse(parser) : NULL;
	xmlRelaxNGFreeParserCtxt(parser);
	return g_schema ? 0 : -1;
}

static int free_schema(void **state)
{
	(void)state;
	xmlRelaxNGFree(g_schema);
	return 0;
}

static void say(void *data, const char *fmt, ...)
{
	va_list args;

	(void)data;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
}

static void assert_valid(const char *text)
{
	xmlDocPtr doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL, 0);
	xmlRelaxNGValidCtxtPtr context = xmlRelaxNGNewValidCtxt(g_schema);

	assert_non_null(doc);
	xmlRelaxNGSetValidErrors(context, say, quiet, NULL);
	if (xmlRelaxNGValidateDoc(context, doc) != 0)
		fail_msg("does not follow the schema: %s", text);
	xmlRelaxNGFreeValidCtxt(context);
	xmlFreeDoc(doc);
}

static void assert_golden(const char *name, const char *text)
{
	AUTOFREE char *path = NULL, *wanted = NULL;

	assert_valid(text);
	assert_true(asprintf(&path, "%s/golden/%s", TEST_SOURCE_DIR, name) > 0);
	if (getenv("UPDATE_GOLDEN"))
		assert_int_equal(file_replace(path, text, 0644, false), 0);
	assert_int_equal(file_read(path, 65536, &wanted, NULL), 0);
	assert_string_equal(text, wanted);
}

/* --- A guest --------------------------------------------------------------------------------- */

struct sample {
	struct driver_disk disk;
	struct driver_guest guest;
	struct limits_plan plan;
	struct xml_facts facts;
};

static void sample(struct sample *s)
{
	*s = (struct sample){
		.disk = {.path = VOLUME "/disk.qcow2",
			.base = VOLUME "/base",
			.base_format = DISK_QCOW2},
		.guest = {.id = "0123456789ab",
			.name = "web1.example.org",
			.net = {.bridge = "lxcbr1",
				.link = "cg0123456789ab",
				.mac = {0x00, 0x16, 0x3e, 0x12, 0x34, 0x56},
				.address = 0x0a050007,
				.prefix = 16,
				.gateway = 0x0a050001}},
		.plan = {.vcpus = 2, .vcpus_max = 2, .memory_kib = 256 * MIB_KIB},
		.facts = {.direct_io = true,
			.dac = "+64055:+64055",
			.console_socket = "/run/corpus/kvm/0123456789ab/console",
			.console = "/var/log/corpus/kvm/0123456789ab.console"},
	};
	s->guest.disk = &s->disk;
	s->facts.guest = &s->guest;
	s->facts.plan = &s->plan;
}

static void with_kernel(struct sample *s)
{
	sample(s);
	s->disk.kernel = VOLUME "/kernel";
	s->disk.initrd = VOLUME "/initrd";
	s->disk.cmdline = "root=/dev/vda console=ttyS0 quiet";
}

static char *render(const struct sample *s)
{
	char *text = xml_render(&s->facts);

	assert_non_null(text);
	return text;
}

static void assert_renders(const struct sample *s, const char *golden)
{
	AUTOFREE char *text = render(s);

	assert_golden(golden, text);
}

static void a_kernel_beside_the_disk_is_started_with_its_command_line(void **state)
{
	struct sample s;

	(void)state;
	with_kernel(&s);
	assert_renders(&s, "kernel.xml");
	s.disk.initrd = NULL;
	s.disk.cmdline = "";
	AUTOFREE char *bare = render(&s);
	assert_null(strstr(bare, "initrd"));
	assert_null(strstr(bare, "cmdline"));
}

static void firmware_boots_the_disk(void **state)
{
	struct sample s;

	(void)state;
	sample(&s);
	s.disk.base_format = DISK_RAW;
	assert_renders(&s, "bios.xml");
	s.disk.uefi = true;
	s.disk.nvram = VOLUME "/nvram";
	s.facts.accelerated = true;
	assert_renders(&s, "uefi.xml");
}

static void limits_of_all_kinds_are_written(void **state)
{
	struct sample s;

	(void)state;
	with_kernel(&s);
	s.plan = (struct limits_plan){.vcpus = 2,
		.vcpus_max = 4,
		.period_us = 100000,
		.quota_us = 150000,
		.memory_kib = 1024 * MIB_KIB,
		.memory_max_kib = 8192 * MIB_KIB,
		.slots = 16,
		.io_read = 1048576,
		.io_write = 2097152};
	assert_renders(&s, "limits.xml");
}

static void text_of_users_is_only_text(void **state)
{
	struct sample s;

	(void)state;
	with_kernel(&s);
	s.guest.name = "</title><on_crash>preserve</on_crash> & \"it's\"";
	s.disk.path = VOLUME "/a'><source file='/etc/shadow'/><x y='";
	s.disk.cmdline = "init=\"/bin/sh -c 'echo <&>'\" ]]>";
	assert_renders(&s, "names.xml");
}

static void there_may_be_a_seed_and_need_be_no_network(void **state)
{
	struct sample s;

	(void)state;
	with_kernel(&s);
	s.guest.net.bridge = NULL;
	s.disk.seed = VOLUME "/seed.iso";
	s.facts.direct_io = false;
	s.facts.dac = NULL;
	assert_renders(&s, "seed.xml");
}

static void other_hypervisors_get_what_they_know(void **state)
{
	struct sample s;

	(void)state;
	with_kernel(&s);
	s.disk.seed = VOLUME "/seed.iso";
	s.plan.quota_us = 50000;
	s.plan.period_us = 100000;
	s.facts.type = KVM_TEST;
	assert_renders(&s, "test.xml");
	s.facts.type = KVM_XEN;
	s.facts.dac = NULL;
	assert_renders(&s, "xen.xml");
}

/* --- Additions ------------------------------------------------------------------------------- */

static void additions_join_what_is_there(void **state)
{
	struct addition additions[] = {
		{.origin = "/etc/corpus/kvm/all.xml",
			.text = "<!-- for all -->\n<features><hyperv><relaxed state='on'/></hyperv>"
				"</features>\n<clock offset='localtime'><timer name='kvmclock' "
				"present='no'/></clock>\n<cpu mode='custom'><model>Nehalem</model>"
				"</cpu>\n<seclabel type='none' model='apparmor'/>\n"},
		{.origin = "/etc/corpus/kvm/web1.xml",
			.text = "<domain type='kvm'><cputune><vcpupin vcpu='0' cpuset='0'/>"
				"<vcpupin vcpu='1' cpuset='1'/></cputune>\n"
				"<devices><controller type='usb' model='qemu-xhci'/>\n"
				"<memballoon model='none'/><watchdog model='i6300esb'/></devices>"
				"</domain>"},
		{.origin = "raw",
			.by_line = true,
			.text = "<qemu:commandline>\n<qemu:arg value='-d'/><qemu:arg "
				"value='a&amp;b'/>\n"
				"</qemu:commandline>\n<iothreads>1</iothreads>"},
	};
	char *merged = NULL;
	struct err err = {0};
	struct sample s;

	(void)state;
	with_kernel(&s);
	s.plan.period_us = s.plan.quota_us = 100000;
	AUTOFREE char *text = render(&s);
	if (xml_merge(text, additions, ARRAY_SIZE(additions), &merged, &err) < 0)
		fail_msg("%s", err.message);
	assert_golden("additions.xml", merged);
	free(merged);
	assert_int_equal(0, xml_merge(text, NULL, 0, &merged, &err));
	assert_string_equal(strchr(merged, '\n') + 1, text);
	free(merged);
}

static void a_later_addition_has_the_last_word(void **state)
{
	struct addition additions[] = {
		{.origin = "all.xml",
			.text = "<memtune><hard_limit unit='KiB'>1</hard_limit></memtune>"},
		{.origin = "web1.xml",
			.text = "<memtune><hard_limit unit='KiB'>2</hard_limit></memtune>"},
	};
	char *merged = NULL;
	struct sample s;

	(void)state;
	sample(&s);
	AUTOFREE char *text = render(&s);
	assert_int_equal(0, xml_merge(text, additions, 2, &merged, NULL));
	assert_null(strstr(merged, ">1</hard_limit>"));
	assert_non_null(strstr(merged, ">2</hard_limit>"));
	free(merged);
}

static void what_the_agent_relies_on_is_refused_with_the_way_to_do_it(void **state)
{
	static const char *const texts[][2] = {
		{"<name>x</name>", "name cannot be set: it follows"},
		{"<uuid>x</uuid>", "uuid cannot"},
		{"<domain><name>x</name></domain>", "name cannot"},
		{"<title>x</title>", "rename the guest"},
		{"<metadata/>", "agent's"},
		{"<memory>1</memory>", "limits.memory"},
		{"<vcpu>1</vcpu>", "limits.cpus"},
		{"<cputune><shares>1</shares><quota>1</quota></cputune>", "cputune/quota"},
		{"<os><kernel>/x</kernel></os>", "os/kernel cannot be set: the image"},
		{"<os firmware='efi'/>", "os/@firmware"},
		{"<cpu><numa/></cpu>", "cpu/numa"},
		{"<on_reboot>destroy</on_reboot>", "restart policy"},
		{"<seclabel type='none' model='dac'/>", "not dac"},
		{"<seclabel type='none'/>", "not dac"},
		{"devices", "expected elements"},
		{"<features/> and", "expected elements"},
		{"<devices>", "Premature end"},
		{"<devices></device>", "mismatch"},
		{"</additions><additions>", "Extra content"},
		{"<!DOCTYPE a><features/>", "StartTag"},
		{"<features>&lt;&xxe;</features>", "xxe"},
		{"<features a=1/>", "Start Tag"},
		{"<x:features/>", "Namespace prefix x"},
		{"<title>\x01</title>", "invalid"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct addition a = {.text = texts[i][0], .origin = "/x/all.xml"};
		struct err err = {0};

		if (xml_check(&a, &err) == 0)
			fail_msg("%s was allowed", a.text);
		assert_int_equal(err.code, ERR_INVALID);
		if (!strstr(err.message, texts[i][1]))
			fail_msg("%s: %s", a.text, err.message);
	}
}

static void a_refusal_names_the_file_and_the_line(void **state)
{
	struct addition a = {.text = "<features/>\n\n<devices>\n</devices>\n<vcpu>1</vcpu>\n",
		.origin = "/etc/corpus/kvm/web1.xml"};
	struct err err = {0};

	(void)state;
	assert_true(xml_check(&a, &err) < 0);
	assert_string_equal(err.field, "web1.xml:5");
	assert_string_equal(err.message,
		"/etc/corpus/kvm/web1.xml, line 5: vcpu cannot be set: use "
		"limits.cpus instead");
	a.text = "<features/>\n<devices\n\n";
	assert_true(xml_check(&a, &err) < 0);
	assert_non_null(strstr(err.message, "/etc/corpus/kvm/web1.xml, line "));
	a = (struct addition){.text = "<features/>\n<uuid/>", .origin = "raw", .by_line = true};
	assert_true(xml_check(&a, &err) < 0);
	assert_string_equal(err.field, "raw[1]");
	assert_string_equal(
		err.message, "raw[1]: uuid cannot be set: it follows from the guest's id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_kernel_beside_the_disk_is_started_with_its_command_line),
		cmocka_unit_test(firmware_boots_the_disk),
		cmocka_unit_test(limits_of_all_kinds_are_written),
		cmocka_unit_test(text_of_users_is_only_text),
		cmocka_unit_test(there_may_be_a_seed_and_need_be_no_network),
		cmocka_unit_test(other_hypervisors_get_what_they_know),
		cmocka_unit_test(additions_join_what_is_there),
		cmocka_unit_test(a_later_addition_has_the_last_word),
		cmocka_unit_test(what_the_agent_relies_on_is_refused_with_the_way_to_do_it),
		cmocka_unit_test(a_refusal_names_the_file_and_the_line),
	};

	return cmocka_run_group_tests(tests, read_schema, free_schema);
}
