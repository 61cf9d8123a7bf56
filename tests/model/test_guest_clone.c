/* Requests for clones: all that may be the same is, unless the request says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "requests.h"

/* Every field that a request may have. */
#define ORIGINAL                                                                                   \
	"{\"name\": \"old\", \"image\": \"i:1\", \"driver\": \"kvm\", \"slots\": 3,"               \
	"\"limits\": {\"cpus\": 1.5, \"memory\": \"1GiB\", \"swap\": \"1MiB\", \"pids\": 50,"      \
	"\"io_weight\": 7, \"io_read\": \"1MiB\", \"io_write\": \"2MiB\","                         \
	"\"net_ingress\": 5000, \"net_egress\": 6000}, \"environment\": \"prod\","                 \
	"\"autostart\": {\"on\": false, \"order\": 3, \"delay\": \"5s\"},"                         \
	"\"restart\": {\"policy\": \"always\", \"max\": 4},"                                       \
	"\"health\": {\"check\": \"exec\", \"command\": [\"true\"], \"interval\": \"7s\"},"        \
	"\"user_data\": \"#!/bin/sh\\n\", \"raw\": [\"a = b\"], \"privileged\": true,"             \
	"\"labels\": {\"a\": \"1\", \"b\": \"2\"}, \"storage\": {\"size\": \"1GiB\"},"             \
	"\"network\": {\"address\": \"10.5.0.9\", \"mac\": \"00:16:3e:00:00:01\"},"                \
	"\"ports\": [{\"guest\": 80, \"host\": 40080, \"purpose\": \"web\"},"                      \
	"{\"guest\": 53, \"proto\": \"udp\", \"host\": 40053}]}"

static int clone(const char *text, struct guest **ret, struct err *err)
{
	CLEANUP(guest_freep) struct guest *from = make(ORIGINAL);
	json_auto_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(json);
	from->first_boot_done = true;
	return guest_from_clone_request(from, json, ret, err);
}

/* What `guest` would be if a patch of nothing but these fields were all that it differs in. */
static void assert_differs_by(const struct guest *guest, const char *expected)
{
	CLEANUP(guest_freep) struct guest *from = make(ORIGINAL);
	json_auto_t *wanted = json_loads(expected, 0, NULL);
	json_auto_t *patch = NULL;
	struct err err = {0};

	/* Of what is fixed only name and numbers may be others. */
	strcpy(from->name, guest->name);
	for (size_t i = 0; i < from->ports_count; i++)
		from->ports[i].host = 0;
	if (guest_diff(from, guest, &patch, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(json_equal(patch, wanted));
}

static void all_but_name_and_numbers_is_taken_over(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = NULL;
	static const uint8_t none[6];

	(void)state;
	assert_int_equal(clone("{\"name\": \"new\"}", &guest, NULL), 0);
	assert_string_equal(guest->name, "new");
	assert_differs_by(guest, "{}");
	assert_string_equal(guest->user_data, "#!/bin/sh\n");
	assert_int_equal(guest->address, 0);
	assert_memory_equal(guest->mac, none, 6);
	assert_int_equal(guest->ports_count, 3);
	for (size_t i = 0; i < guest->ports_count; i++)
		assert_int_equal(guest->ports[i].host, 0);
	assert_true(guest->want_running && guest->first_boot_done);
	assert_string_equal(guest->id, "");
}

static void what_the_request_says_comes_first(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = NULL;

	(void)state;
	assert_int_equal(
		clone("{\"name\": \"new\", \"limits\": {\"memory\": null, \"pids\": 60},"
		      "\"labels\": {\"a\": null, \"c\": \"3\"}, \"health\": null, \"start\": false,"
		      "\"storage\": {\"size\": \"2GiB\"}, \"network\": {\"address\": "
		      "\"10.5.0.10\"},"
		      "\"ports\": [{\"guest\": 81, \"host\": 40081}]}",
			&guest, NULL),
		0);
	assert_int_equal(guest->limits.memory, 0);
	assert_int_equal(guest->limits.pids, 60);
	assert_int_equal(guest->limits.cpu_milli, 1500);
	assert_int_equal(guest->labels_count, 2);
	assert_string_equal(guest->labels[1].key, "c");
	assert_int_equal(guest->health.check, GUEST_CHECK_NONE);
	assert_int_equal(guest->storage_size, UINT64_C(2) << 30);
	assert_int_equal(guest->address, 0x0a05000a);
	assert_int_equal(guest->ports_count, 2);
	assert_int_equal(guest->ports[0].host, 40081);
	assert_non_null(guest_port_by_purpose(guest, "ssh"));
	assert_false(guest->want_running);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *request, *field;
	} cases[] = {
		{"{}", "name"},
		{"{\"name\": \"Not A Name\"}", "name"},
		{"{\"name\": \"n\", \"driver\": \"lxc\"}", "driver"},
		{"{\"name\": \"n\", \"image\": \"i:1\"}", "image"},
		{"{\"name\": \"n\", \"privileged\": false}", "privileged"},
		{"{\"name\": \"n\", \"limits\": {\"bogus\": 1}}", "limits.bogus"},
		{"{\"name\": \"n\", \"state\": \"running\"}", "state"},
		{"{\"name\": \"n\", \"ports\": [{\"guest\": 99999}]}", "ports[0].guest"},
		{"[]", ""},
		{"7", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guest *guest = NULL;
		struct err err = {0};

		assert_true(clone(cases[i].request, &guest, &err) < 0);
		assert_null(guest);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.field, cases[i].field);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_but_name_and_numbers_is_taken_over),
		cmocka_unit_test(what_the_request_says_comes_first),
		cmocka_unit_test(what_is_wrong_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
