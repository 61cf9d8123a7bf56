/* Operations, images and ports as the API shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/image.h"
#include "model/operation.h"
#include "model/port.h"

static void assert_json(json_t *taken, const char *expected)
{
	json_auto_t *json = taken;
	json_auto_t *wanted = json_loads(expected, 0, NULL);
	AUTOFREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	assert_non_null(wanted);
	if (!json || !json_equal(json, wanted))
		fail_msg("%s\nis not\n%s", text ? text : "nothing", expected);
}

static struct operation example(void)
{
	return (struct operation){
		.id = "0123456789abcdef",
		.verb = "guest.create",
		.guest_id = "0123456789ab",
		.target = "g",
		.state = OPERATION_RUNNING,
		.step = "volume",
		.step_index = 1,
		.steps_count = 4,
		.uid = 1000,
		.created_ms = INT64_C(1700000000000),
		.started_ms = INT64_C(1700000000001),
	};
}

static void a_running_operation_shows_its_progress(void **state)
{
	struct operation operation = example();

	(void)state;
	assert_json(operation_to_json(&operation),
		"{\"id\": \"0123456789abcdef\", \"verb\": \"guest.create\","
		"\"guest_id\": \"0123456789ab\", \"target\": \"g\", \"state\": \"running\","
		"\"step\": \"volume\", \"step_index\": 1, \"steps_count\": 4, \"progress\": 0.25,"
		"\"uid\": 1000, \"created\": \"2023-11-14T22:13:20.000Z\","
		"\"started\": \"2023-11-14T22:13:20.001Z\", \"ended\": null,"
		"\"cancel_requested\": false, \"error\": null, \"transfer\": null}");
}

static void a_failed_one_shows_its_error(void **state)
{
	struct operation operation = example();
	json_auto_t *json = NULL;

	(void)state;
	operation.state = OPERATION_FAILED;
	operation.ended_ms = INT64_C(1700000000002);
	err_set(&operation.error, ERR_NO_ROOM, "storage.size", "the pool is full");
	json = operation_to_json(&operation);
	assert_json(json_incref(json_object_get(json, "error")),
		"{\"code\": \"no_room\", \"title\": \"No room left\","
		"\"detail\": \"the pool is full\", \"field\": \"storage.size\"}");
	assert_string_equal(
		json_string_value(json_object_get(json, "ended")), "2023-11-14T22:13:20.002Z");
}

static void what_is_moved_is_shown_until_the_end(void **state)
{
	struct operation operation = example();
	json_auto_t *moving = NULL, *ended = NULL;

	(void)state;
	operation.transfer.done = 5;
	strcpy(operation.transfer.what, "fetching");
	moving = operation_to_json(&operation);
	assert_json(json_incref(json_object_get(moving, "transfer")),
		"{\"done\": 5, \"total\": null, \"what\": \"fetching\"}");
	operation.state = OPERATION_DONE;
	ended = operation_to_json(&operation);
	assert_true(json_is_null(json_object_get(ended, "transfer")));
}

static void progress_stays_between_0_and_1(void **state)
{
	static const struct {
		enum operation_state state;
		uint32_t index, count;
		double progress;
	} cases[] = {
		{OPERATION_QUEUED, 0, 0, 0},
		{OPERATION_QUEUED, 0, 4, 0},
		{OPERATION_RUNNING, 3, 4, 0.75},
		{OPERATION_RUNNING, 4, 4, 1},
		{OPERATION_RUNNING, 9, 4, 1},
		{OPERATION_DONE, 0, 0, 1},
		{OPERATION_FAILED, 2, 4, 0.5},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct operation operation = example();
		json_auto_t *json = NULL;

		operation.state = cases[i].state;
		operation.step_index = cases[i].index;
		operation.steps_count = cases[i].count;
		json = operation_to_json(&operation);
		assert_true(
			json_real_value(json_object_get(json, "progress")) == cases[i].progress);
	}
}

static void three_states_are_for_ever(void **state)
{
	unsigned final = 0;

	(void)state;
	for (int i = 0; i < OPERATION_STATE_MAX_; i++) {
		enum operation_state value = OPERATION_STATE_MAX_;

		assert_int_equal(
			operation_state_from_string(
				operation_state_to_string((enum operation_state)i), &value),
			0);
		assert_int_equal(value, i);
		final |= (unsigned)operation_state_is_final(value) << i;
	}
	assert_int_equal(
		final, 1U << OPERATION_DONE | 1U << OPERATION_FAILED | 1U << OPERATION_CANCELLED);
	assert_int_equal(operation_state_from_string("", &(enum operation_state){0}), -EINVAL);
}

static void an_image(void **state)
{
	struct image image = {.name = "debian:12",
		.sha256 = "ab",
		.size = UINT64_C(5) << 30,
		.entries = 12,
		.created_ms = 0,
		.users = 3};

	(void)state;
	assert_json(image_to_json(&image),
		"{\"name\": \"debian:12\", \"kind\": \"tree\", \"sha256\": \"ab\", \"size\": "
		"5368709120,"
		"\"entries\": 12, \"created\": \"1970-01-01T00:00:00.000Z\", \"users\": 3}");
}

static void a_port_without_a_host_port_shows_null(void **state)
{
	struct port port = {.proto = PORT_UDP, .guest = 53, .purpose = "dns"};

	(void)state;
	assert_json(port_to_json(&port),
		"{\"proto\": \"udp\", \"host\": null, \"guest\": 53, \"purpose\": \"dns\"}");
	port.host = 40053;
	assert_json(port_to_json(&port),
		"{\"proto\": \"udp\", \"host\": 40053, \"guest\": 53, \"purpose\": \"dns\"}");
}

static void protocols_have_names(void **state)
{
	enum port_proto proto = PORT_TCP;

	(void)state;
	assert_int_equal(port_proto_from_string("udp", &proto), 0);
	assert_int_equal(proto, PORT_UDP);
	assert_int_equal(port_proto_from_string("UDP", &proto), -EINVAL);
	assert_string_equal(port_proto_to_string(PORT_TCP), "tcp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_running_operation_shows_its_progress),
		cmocka_unit_test(a_failed_one_shows_its_error),
		cmocka_unit_test(what_is_moved_is_shown_until_the_end),
		cmocka_unit_test(progress_stays_between_0_and_1),
		cmocka_unit_test(three_states_are_for_ever),
		cmocka_unit_test(an_image),
		cmocka_unit_test(a_port_without_a_host_port_shows_null),
		cmocka_unit_test(protocols_have_names),
	};

	return cmocka_run_group_tests_name("operation", tests, NULL, NULL);
}
