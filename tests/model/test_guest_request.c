/* Creation requests: every field with what it takes, and with wrong types, sizes, characters and
 * unknown names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "requests.h"

#define ACCEPTED(extra) CLEANUP(guest_freep) struct guest *guest = accepted(extra)

static void the_least_request_gets_the_defaults(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = NULL;

	(void)state;
	assert_int_equal(read_request("{\"name\": \"a.b\", \"image\": \"c\"}", &guest, NULL), 0);
	assert_string_equal(guest->name, "a.b");
	assert_string_equal(guest->image, "c");
	assert_string_equal(guest->driver, "lxc");
	assert_string_equal(guest->environment, "dev");
	assert_int_equal(guest->slots, 1);
	assert_int_equal(guest->storage_size, 5368709120);
	assert_true(guest->autostart.on);
	assert_true(guest->want_running);
	assert_false(guest->privileged);
	assert_int_equal(guest->address, 0);
	assert_int_equal(guest->labels_count, 0);
	assert_int_equal(guest->ports_count, 1);
	assert_string_equal(guest->ports[0].purpose, "ssh");
	assert_int_equal(guest->ports[0].proto, PORT_TCP);
	assert_int_equal(guest->ports[0].guest, 22);
	assert_int_equal(guest->ports[0].host, 0);
}

static void null_is_the_same_as_absent(void **state)
{
	ACCEPTED("\"driver\": null, \"slots\": null, \"limits\": null, \"storage\": null,"
		 "\"network\": null, \"ports\": null, \"environment\": null, \"autostart\": null,"
		 "\"labels\": null, \"privileged\": null, \"start\": null");

	(void)state;
	assert_string_equal(guest->driver, "lxc");
	assert_int_equal(guest->slots, 1);
	assert_int_equal(guest->ports_count, 1);
	assert_true(guest->want_running);
}

static void a_request_is_an_object(void **state)
{
	static const char *const requests[] = {"null", "true", "5", "\"x\"", "[]", "[{}]"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};

		assert_int_equal(read_request(requests[i], &guest, &err), -EINVAL);
		assert_string_equal(err.message, "the request must be a JSON object");
	}
}

static void name_and_image_are_needed(void **state)
{
	static const struct {
		const char *json, *field;
	} cases[] = {
		{"{}", "name"},
		{"{\"image\": \"i\"}", "name"},
		{"{\"name\": null, \"image\": \"i\"}", "name"},
		{"{\"name\": \"g\"}", "image"},
		{"{\"name\": \"g\", \"image\": null}", "image"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};

		assert_int_equal(read_request(cases[i].json, &guest, &err), -EINVAL);
		assert_string_equal(err.field, cases[i].field);
		assert_non_null(strstr(err.message, "is missing"));
	}
}

/* A later one of two equal names wins in the parser: so these replace the good ones. */
static void names(void **state)
{
	(void)state;
	REFUSED({"\"name\": 5", "name", "must be a string"},
		{"\"name\": [\"g\"]", "name", "must be a string"},
		{"\"name\": \"\"", "name", "must not be empty"},
		{"\"name\": \"G\"", "name", "lower-case"},
		{"\"name\": \"a/../b\"", "name", "lower-case letters, digits, hyphens"},
		{"\"name\": \"a\\u0000b\"", "name", "without NUL"},
		{"\"name\": \"a\\nb\"", "name", "lower-case letters, digits, hyphens"},
		{"\"image\": 5", "image", "must be a string"},
		{"\"image\": \"\"", "image", "must be an image's name"},
		{"\"image\": \"../x\"", "image", "must be an image's name"},
		{"\"driver\": 5", "driver", "must be a string"},
		{"\"driver\": \"\"", "driver", "must be a word"},
		{"\"driver\": \"../lxc\"", "driver", "must be a word"},
		{"\"driver\": \"abcdefghijklmnopqrstuvwxyz012345\"", "driver", "must be a word"},
		{"\"environment\": true", "environment", "must be a string"},
		{"\"environment\": \"test\"", "environment",
			"environment must be one of dev, staging, preprod, prod"},
		{"\"environment\": \"DEV\"", "environment", "must be one of"});
}

static void every_environment_is_taken(void **state)
{
	static const char *const environments[] = {"dev", "staging", "preprod", "prod"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(environments); i++) {
		char extra[64];

		snprintf(extra, sizeof(extra), "\"environment\": \"%s\"", environments[i]);
		ACCEPTED(extra);
		assert_string_equal(guest->environment, environments[i]);
	}
}

static void slots(void **state)
{
	ACCEPTED("\"slots\": 4096");

	(void)state;
	assert_int_equal(guest->slots, 4096);
	REFUSED({"\"slots\": 0", "slots", "from 1 to 4096"},
		{"\"slots\": -1", "slots", "from 1 to 4096"},
		{"\"slots\": 4097", "slots", "from 1 to 4096"},
		{"\"slots\": 4294967297", "slots", "from 1 to 4096"},
		{"\"slots\": 1.5", "slots", "must be a whole number"},
		{"\"slots\": \"1\"", "slots", "must be a whole number"},
		{"\"slots\": {}", "slots", "must be a whole number"});
}

static void limits_in_all_their_forms(void **state)
{
	ACCEPTED("\"limits\": {\"cpus\": \"1.5\", \"memory\": \"1GiB\", \"swap\": 0, \"pids\": 500,"
		 "\"io_weight\": 10000, \"io_read\": \"64KiB\", \"io_write\": 70000,"
		 "\"net_ingress\": \"10MB\", \"net_egress\": 1000}");

	(void)state;
	assert_int_equal(guest->limits.cpu_milli, 1500);
	assert_int_equal(guest->limits.memory, UINT64_C(1) << 30);
	assert_int_equal(guest->limits.swap, 0);
	assert_int_equal(guest->limits.pids, 500);
	assert_int_equal(guest->limits.io_weight, 10000);
	assert_int_equal(guest->limits.io_read, 65536);
	assert_int_equal(guest->limits.io_write, 70000);
	assert_int_equal(guest->limits.net_ingress, 10000000);
	assert_int_equal(guest->limits.net_egress, 1000);
}

static void zero_is_no_limit(void **state)
{
	ACCEPTED("\"limits\": {\"cpus\": 0, \"memory\": \"0\", \"swap\": 0, \"pids\": 0,"
		 "\"io_weight\": 0, \"net_ingress\": 0, \"net_egress\": 0}");
	struct guest_limits none = {0};

	(void)state;
	assert_memory_equal(&guest->limits, &none, sizeof(none));
}

static void cpus_as_a_number_or_as_text(void **state)
{
	static const struct {
		const char *extra;
		uint32_t milli;
	} cases[] = {
		{"\"limits\": {\"cpus\": 2}", 2000},
		{"\"limits\": {\"cpus\": 0.01}", 10},
		{"\"limits\": {\"cpus\": 1.2346}", 1235},
		{"\"limits\": {\"cpus\": \"8192\"}", 8192000},
		{"\"limits\": {\"cpus\": \"0.5\"}", 500},
		{"\"limits\": {\"cpus\": \"0.25\"}", 250},
		{"\"limits\": {\"cpus\": \"1.005\"}", 1005},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ACCEPTED(cases[i].extra);
		assert_int_equal(guest->limits.cpu_milli, cases[i].milli);
	}
}

#define CPUS_EXPECTED "limits.cpus must be a number of CPUs"
#define SIZE_EXPECTED "must be a size: bytes, or a string like \"5GiB\""

static void wrong_limits(void **state)
{
	(void)state;
	REFUSED({"\"limits\": 5", "limits", "must be a JSON object"},
		{"\"limits\": []", "limits", "must be a JSON object"},
		{"\"limits\": {\"foo\": 1}", "limits.foo", "limits.foo is not a known field"},
		{"\"limits\": {\"Memory\": 1}", "limits.Memory", "is not a known field"},
		{"\"limits\": {\"cpus\": 0.001}", "limits.cpus", CPUS_EXPECTED " from 0.01 to"},
		{"\"limits\": {\"cpus\": 0.0000001}", "limits.cpus", CPUS_EXPECTED " from 0.01 to"},
		{"\"limits\": {\"cpus\": 8193}", "limits.cpus", CPUS_EXPECTED " from 0.01 to"},
		{"\"limits\": {\"cpus\": -1}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": 1e300}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"1.\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \".5\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"1.2345\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"-1\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"1e3\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": \"two\"}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"cpus\": true}", "limits.cpus", CPUS_EXPECTED},
		{"\"limits\": {\"memory\": true}", "limits.memory", "limits.memory " SIZE_EXPECTED},
		{"\"limits\": {\"memory\": 1.5}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": -1}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": \"\"}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": \"lots\"}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": \"1\\u0000\"}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": \"99999999TiB\"}", "limits.memory", SIZE_EXPECTED},
		{"\"limits\": {\"memory\": 1}", "limits.memory", "a size from 4 MiB to 1 PiB"},
		{"\"limits\": {\"memory\": \"2000TiB\"}", "limits.memory", "from 4 MiB to 1 PiB"},
		{"\"limits\": {\"swap\": []}", "limits.swap", SIZE_EXPECTED},
		{"\"limits\": {\"swap\": \"2000TiB\"}", "limits.swap", "to 1 PiB"},
		{"\"limits\": {\"pids\": -1}", "limits.pids", "from 1 to 4194304"},
		{"\"limits\": {\"pids\": 4194305}", "limits.pids", "from 1 to 4194304"},
		{"\"limits\": {\"pids\": \"5\"}", "limits.pids", "must be a whole number"},
		{"\"limits\": {\"io_weight\": 10001}", "limits.io_weight", "from 1 to 10000"},
		{"\"limits\": {\"io_weight\": 1.5}", "limits.io_weight", "must be a whole number"},
		{"\"limits\": {\"io_read\": 65535}", "limits.io_read", "from 64 KiB to 1 PiB"},
		{"\"limits\": {\"io_write\": 1}", "limits.io_write", "from 64 KiB to 1 PiB"},
		{"\"limits\": {\"net_ingress\": 5}", "limits.net_ingress", "must be a size from"},
		{"\"limits\": {\"net_egress\": {}}", "limits.net_egress", SIZE_EXPECTED});
}

static void storage(void **state)
{
	ACCEPTED("\"storage\": {\"size\": \"10GB\"}");

	(void)state;
	assert_int_equal(guest->storage_size, UINT64_C(10000000000));
	REFUSED({"\"storage\": \"5GiB\"", "storage", "must be a JSON object"},
		{"\"storage\": {\"size\": 0}", "storage.size", "from 1 MiB to 1 PiB"},
		{"\"storage\": {\"size\": \"100KiB\"}", "storage.size", "from 1 MiB to 1 PiB"},
		{"\"storage\": {\"size\": \"2000TiB\"}", "storage.size", "from 1 MiB to 1 PiB"},
		{"\"storage\": {\"size\": 99999999999999999}", "storage.size", "to 1 PiB"},
		{"\"storage\": {\"size\": true}", "storage.size", SIZE_EXPECTED},
		{"\"storage\": {\"used\": 1}", "storage.used", "is not a known field"});
}

static void network(void **state)
{
	ACCEPTED("\"network\": {\"address\": \"10.5.0.9\", \"mac\": \"00:16:3E:01:02:03\"}");
	static const uint8_t mac[] = {0, 0x16, 0x3e, 1, 2, 3};

	(void)state;
	assert_int_equal(guest->address, 0x0a050009);
	assert_memory_equal(guest->mac, mac, sizeof(mac));
	REFUSED({"\"network\": \"10.5.0.9\"", "network", "must be a JSON object"},
		{"\"network\": {\"address\": \"10.5.0\"}", "network.address", "an IPv4 address"},
		{"\"network\": {\"address\": \"10.5.0.9/16\"}", "network.address",
			"an IPv4 address"},
		{"\"network\": {\"address\": \"::1\"}", "network.address", "an IPv4 address"},
		{"\"network\": {\"address\": \"\"}", "network.address", "an IPv4 address"},
		{"\"network\": {\"address\": 5}", "network.address", "an IPv4 address"},
		{"\"network\": {\"mac\": 5}", "network.mac", "must be a MAC address"},
		{"\"network\": {\"mac\": \"00:16:3e\"}", "network.mac", "must be a MAC address"},
		{"\"network\": {\"mac\": \"01:16:3e:01:02:03\"}", "network.mac", "of one station"},
		{"\"network\": {\"mac\": \"00:00:00:00:00:00\"}", "network.mac", "of one station"},
		{"\"network\": {\"bridge\": \"br0\"}", "network.bridge", "is not a known field"});
}

static void ports(void **state)
{
	ACCEPTED("\"ports\": [{\"guest\": 80}, {\"proto\": \"udp\", \"host\": 5353, \"guest\": 53,"
		 "\"purpose\": \"dns\"}, {\"host\": 0, \"guest\": 1}, {\"host\": null, \"guest\": "
		 "2},"
		 "{\"proto\": \"tcp\", \"host\": 5353, \"guest\": 65535}]");

	(void)state;
	assert_int_equal(guest->ports_count, 6);
	assert_int_equal(guest->ports[0].proto, PORT_TCP);
	assert_int_equal(guest->ports[0].host, 0);
	assert_int_equal(guest->ports[0].guest, 80);
	assert_string_equal(guest->ports[0].purpose, "");
	assert_int_equal(guest->ports[1].proto, PORT_UDP);
	assert_int_equal(guest->ports[1].host, 5353);
	assert_ptr_equal(guest_port_by_purpose(guest, "dns"), &guest->ports[1]);
	assert_ptr_equal(guest_port_by_purpose(guest, "ssh"), &guest->ports[5]);
	assert_null(guest_port_by_purpose(guest, "web"));
}

static void an_ssh_port_that_is_given_is_kept(void **state)
{
	ACCEPTED("\"ports\": [{\"host\": 40022, \"guest\": 2222, \"purpose\": \"ssh\"}]");

	(void)state;
	assert_int_equal(guest->ports_count, 1);
	assert_int_equal(guest->ports[0].host, 40022);
	assert_int_equal(guest->ports[0].guest, 2222);
}

static void wrong_ports(void **state)
{
	(void)state;
	REFUSED({"\"ports\": {}", "ports", "must be an array of ports"},
		{"\"ports\": \"80\"", "ports", "must be an array of ports"},
		{"\"ports\": [80]", "ports[0]", "must be a JSON object"},
		{"\"ports\": [null]", "ports[0]", "must be a JSON object"},
		{"\"ports\": [{}]", "ports[0].guest", "is missing"},
		{"\"ports\": [{\"guest\": 1}, {\"guest\": 2}, {\"guest\": 3, \"bar\": 1}]",
			"ports[2].bar", "ports[2].bar is not a known field"},
		{"\"ports\": [{\"guest\": 0}]", "ports[0].guest", "from 1 to 65535"},
		{"\"ports\": [{\"guest\": 65536}]", "ports[0].guest", "from 1 to 65535"},
		{"\"ports\": [{\"guest\": -80}]", "ports[0].guest", "from 1 to 65535"},
		{"\"ports\": [{\"guest\": \"80\"}]", "ports[0].guest", "must be a whole number"},
		{"\"ports\": [{\"guest\": 80.5}]", "ports[0].guest", "must be a whole number"},
		{"\"ports\": [{\"guest\": 80, \"host\": 65536}]", "ports[0].host",
			"from 0 to 65535"},
		{"\"ports\": [{\"guest\": 80, \"host\": \"any\"}]", "ports[0].host",
			"must be a whole number"},
		{"\"ports\": [{\"guest\": 80, \"proto\": \"sctp\"}]", "ports[0].proto",
			"must be \"tcp\" or \"udp\""},
		{"\"ports\": [{\"guest\": 80, \"proto\": \"TCP\"}]", "ports[0].proto",
			"must be \"tcp\" or \"udp\""},
		{"\"ports\": [{\"guest\": 80, \"proto\": 6}]", "ports[0].proto",
			"must be \"tcp\" or \"udp\""},
		{"\"ports\": [{\"guest\": 80, \"purpose\": \"Web\"}]", "ports[0].purpose",
			"must be a word"},
		{"\"ports\": [{\"guest\": 80, \"purpose\": 5}]", "ports[0].purpose",
			"must be a string"},
		{"\"ports\": [{\"guest\": 80, \"purpose\": \"abcdefghijklmnopqrstuvwxyz012345\"}]",
			"ports[0].purpose", "must be a word"},
		{"\"ports\": [{\"guest\": 80, \"host\": 4000}, {\"guest\": 81, \"host\": 4000}]",
			"ports[1].host", "tcp port 4000 is given twice"},
		{"\"ports\": [{\"guest\": 80, \"purpose\": \"a\"}, {\"guest\": 81, \"purpose\": "
		 "\"a\"}]",
			"ports[1].purpose", "\"a\" is given twice"},
		{"\"ports\": [{\"guest\": 22, \"proto\": \"udp\", \"purpose\": \"ssh\"}]", "ports",
			"must be tcp"});
}

static void ports_of_the_node_itself_are_never_given_out(void **state)
{
	static const unsigned reserved[] = {22, 25, 53, 80, 443};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};
		char extra[64];

		snprintf(extra, sizeof(extra), "\"ports\": [{\"guest\": 1, \"host\": %u}]",
			reserved[i]);
		assert_int_equal(read_with(extra, &guest, &err), -EINVAL);
		assert_string_equal(err.field, "ports[0].host");
		assert_non_null(strstr(err.message, "never given out"));
	}
}

/* "FIELD": OPEN ITEM, ITEM, … CLOSE with `count` items, each from its number. */
static char *many(const char *open, const char *item, const char *close, unsigned count)
{
	struct strbuf buf = {0};

	strbuf_add(&buf, open);
	for (unsigned i = 0; i < count; i++) {
		strbuf_add(&buf, i ? ", " : "");
		for (const char *p = item; *p; p++) {
			if (*p == '#')
				strbuf_addf(&buf, "%u", i + 1);
			else
				strbuf_add_bytes(&buf, p, 1);
		}
	}
	strbuf_add(&buf, close);
	return strbuf_take(&buf);
}

static void there_is_a_bound_of_ports(void **state)
{
	AUTOFREE char *most = many("\"ports\": [", "{\"guest\": #}", "]", GUEST_PORTS_MAX - 1);
	AUTOFREE char *no_ssh = many("\"ports\": [", "{\"guest\": #}", "]", GUEST_PORTS_MAX);
	AUTOFREE char *more = many("\"ports\": [", "{\"guest\": #}", "]", GUEST_PORTS_MAX + 1);
	const struct refusal refusals[] = {
		{no_ssh, "ports", "at most 63 beside ssh"},
		{more, "ports", "at most 64"},
	};
	ACCEPTED(most);

	(void)state;
	assert_int_equal(guest->ports_count, GUEST_PORTS_MAX);
	assert_refused(refusals, ARRAY_SIZE(refusals));
}

static void labels_are_kept_sorted(void **state)
{
	ACCEPTED("\"labels\": {\"z\": \"last\", \"a\": \"\", \"m\": \"caf\xc3\xa9\", \"gone\": "
		 "null}");

	(void)state;
	assert_int_equal(guest->labels_count, 3);
	assert_string_equal(guest->labels[0].key, "a");
	assert_string_equal(guest->labels[0].value, "");
	assert_string_equal(guest->labels[1].value, "caf\xc3\xa9");
	assert_string_equal(guest->labels[2].key, "z");
}

static void wrong_labels(void **state)
{
	AUTOFREE char *long_value = many("\"labels\": {\"a\": \"", "x", "\"}", 90);
	AUTOFREE char *too_many = many("\"labels\": {", "\"k#\": \"\"", "}", GUEST_LABELS_MAX + 1);
	const struct refusal refusals[] = {
		{long_value, "labels.a", "at most 255 bytes"},
		{too_many, "labels", "at most 64"},
	};

	(void)state;
	assert_refused(refusals, ARRAY_SIZE(refusals));
	REFUSED({"\"labels\": []", "labels", "must be an object of strings"},
		{"\"labels\": \"a=b\"", "labels", "must be an object of strings"},
		{"\"labels\": {\"a\": 5}", "labels.a", "must be a string"},
		{"\"labels\": {\"a\": {}}", "labels.a", "must be a string"},
		{"\"labels\": {\"A\": \"b\"}", "labels.A", "must be a word"},
		{"\"labels\": {\"\": \"b\"}", "labels.", "must be a word"},
		{"\"labels\": {\"a.b\": \"b\"}", "labels.a.b", "must be a word"},
		{"\"labels\": {\"a\": \"b\\nc\"}", "labels.a", "without control characters"},
		{"\"labels\": {\"a\": \"b\\u0000c\"}", "labels.a", "without control characters"});
}

static void switches(void **state)
{
	ACCEPTED("\"privileged\": true, \"start\": false, \"autostart\": {\"on\": false}");

	(void)state;
	assert_true(guest->privileged);
	assert_false(guest->want_running);
	assert_false(guest->autostart.on);
	REFUSED({"\"privileged\": 1", "privileged", "must be true or false"},
		{"\"privileged\": \"true\"", "privileged", "must be true or false"},
		{"\"start\": 0", "start", "must be true or false"},
		{"\"autostart\": true", "autostart", "must be a JSON object"},
		{"\"autostart\": {\"on\": \"yes\"}", "autostart.on", "must be true or false"});
}

static void what_the_node_decides_cannot_be_set(void **state)
{
	static const char *const fields[] = {"id", "state", "since", "problem", "pid", "addresses",
		"ssh", "used", "created", "etag", "health_state", "restarts", "snapshots",
		"user_data_size", "seed_pending", "restart_needed", "disk"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};
		char extra[64];

		snprintf(extra, sizeof(extra), "\"%s\": \"x\"", fields[i]);
		assert_int_equal(read_with(extra, &guest, &err), -EINVAL);
		assert_string_equal(err.field, fields[i]);
		assert_non_null(strstr(err.message, "is decided by the node and cannot be set"));
	}
}

static void what_is_not_known_is_refused(void **state)
{
	static const char *const fields[] = {"foo", "Name", "domains", "restarting", "sshkeys",
		"security", "want_running", "password", "__proto__", "name "};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};
		char extra[64];

		snprintf(extra, sizeof(extra), "\"%s\": null", fields[i]);
		assert_int_equal(read_with(extra, &guest, &err), -EINVAL);
		assert_string_equal(err.field, fields[i]);
		assert_non_null(strstr(err.message, "is not a known field"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_request_gets_the_defaults),
		cmocka_unit_test(null_is_the_same_as_absent),
		cmocka_unit_test(a_request_is_an_object),
		cmocka_unit_test(name_and_image_are_needed),
		cmocka_unit_test(names),
		cmocka_unit_test(every_environment_is_taken),
		cmocka_unit_test(slots),
		cmocka_unit_test(limits_in_all_their_forms),
		cmocka_unit_test(zero_is_no_limit),
		cmocka_unit_test(cpus_as_a_number_or_as_text),
		cmocka_unit_test(wrong_limits),
		cmocka_unit_test(storage),
		cmocka_unit_test(network),
		cmocka_unit_test(ports),
		cmocka_unit_test(an_ssh_port_that_is_given_is_kept),
		cmocka_unit_test(wrong_ports),
		cmocka_unit_test(ports_of_the_node_itself_are_never_given_out),
		cmocka_unit_test(there_is_a_bound_of_ports),
		cmocka_unit_test(labels_are_kept_sorted),
		cmocka_unit_test(wrong_labels),
		cmocka_unit_test(switches),
		cmocka_unit_test(what_the_node_decides_cannot_be_set),
		cmocka_unit_test(what_is_not_known_is_refused),
	};

	return cmocka_run_group_tests_name("guest_request", tests, NULL, NULL);
}
