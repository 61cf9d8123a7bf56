/* The node and its slots as the API shows them, against golden files; the modes; the counting of
 * free slots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "golden_json.h"
#include "model/node.h"

static void assert_shown(const char *name, json_t *taken)
{
	json_auto_t *json = taken;

	assert_golden_json(name, json, 0);
}

static void a_busy_node_shows_everything(void **state)
{
	static char srv[] = "/srv";
	static char *const data[] = {srv, NULL};
	static const char *const capabilities[] = {"update", "exec", NULL};
	static const struct node_driver drivers[] = {
		{.name = "kvm", .problem = "libvirtd is away: start it"},
		{.name = "lxc",
			.version = "liblxc 5.0.2",
			.usable = true,
			.pid = 4711,
			.image_kind = "tree",
			.capabilities = capabilities},
		{.name = "qemu",
			.usable = true,
			.image_kind = "disk",
			.acceleration = "tcg",
			.notice = "machines are emulated"},
		{.name = "docker", .usable = true, .image_kind = "oci", .data_paths = data},
	};
	static const struct node_problem problems[] = {
		{"ip_forward", "forwarding is off: the bridge gets no traffic", 1700000000000},
	};
	const struct node_info node = {
		.name = "node1.example.org",
		.version = "0.4.0",
		.environment = "prod",
		.kernel = "6.1.0",
		.boot_id = "01234567-89ab-cdef-0123-456789abcdef",
		.started_ms = 1700000000123,
		.address = 0xc0000201,
		.cpus = 2,
		.memory_total = UINT64_C(24) << 30,
		.memory_available = UINT64_C(20) << 30,
		.storage_total = 300,
		.storage_used = 100,
		.storage_free = 200,
		.storage_growable = 50,
		.slots = {.total = 10, .used = 3, .reserved = 1},
		.guests = {[GUEST_RUNNING] = 2, [GUEST_STOPPED] = 1, [GUEST_CREATING] = 1},
		.rest = {.state = NODE_STOPPING, .guests = 1, .running = 2},
		.drivers = drivers,
		.drivers_count = ARRAY_SIZE(drivers),
		.problems = problems,
		.problems_count = ARRAY_SIZE(problems),
	};

	(void)state;
	assert_shown("node-busy.json", node_to_json(&node));
}

static void a_bare_node_leaves_out_what_is_not_known(void **state)
{
	const struct node_info node = {
		.name = "n",
		.version = "0.4.0",
		.environment = "dev",
		.slots = {.mode = NODE_DRAIN, .total = 10},
	};

	(void)state;
	assert_shown("node-bare.json", node_to_json(&node));
}

static void slots_are_shown_with_their_guests(void **state)
{
	struct guest guests[] = {
		{.id = "0123456789ab",
			.name = (char[]){"a.example.org"},
			.driver = "lxc",
			.environment = "dev",
			.state = GUEST_CREATING},
		{.id = "ba9876543210",
			.name = (char[]){"b"},
			.driver = "kvm",
			.environment = "prod",
			.state = GUEST_UNKNOWN},
	};
	const struct node_slot taken[] = {{&guests[0], 1, true}, {&guests[1], 3, false}};
	const struct node_slots slots = {.total = 10, .used = 3, .reserved = 1};

	(void)state;
	assert_shown("slots.json", node_slots_to_json(&slots, taken, ARRAY_SIZE(taken)));
}

static void free_slots_are_never_below_zero_and_none_unless_active(void **state)
{
	static const struct {
		struct node_slots slots;
		uint32_t free;
	} cases[] = {
		{{10, 0, 0, NODE_ACTIVE}, 10},
		{{10, 3, 2, NODE_ACTIVE}, 5},
		{{10, 8, 2, NODE_ACTIVE}, 0},
		{{10, 12, 0, NODE_ACTIVE}, 0},
		{{10, UINT32_MAX, 2, NODE_ACTIVE}, 0},
		{{10, 3, 0, NODE_DRAIN}, 0},
		{{10, 3, 0, NODE_MAINTENANCE}, 0},
		{{0, 0, 0, NODE_ACTIVE}, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(node_slots_free(&cases[i].slots), cases[i].free);
}

static void modes_have_names(void **state)
{
	enum node_mode mode = NODE_DRAIN;

	(void)state;
	assert_int_equal(node_mode_from_string("Active", &mode), -EINVAL);
	assert_int_equal(mode, NODE_DRAIN);
	for (int i = 0; i < NODE_MODE_MAX_; i++) {
		assert_int_equal(
			node_mode_from_string(node_mode_to_string((enum node_mode)i), &mode), 0);
		assert_int_equal(mode, i);
	}
}

static void a_request_gives_the_mode_and_what_becomes_of_guests(void **state)
{
	static const struct {
		const char *json, *field, *message;
	} bad[] = {
		{"{}", "mode", "mode is missing"},
		{"{\"mode\": null}", "mode", "mode is missing"},
		{"{\"mode\": 1}", "mode", "mode must be one of active, drain, maintenance"},
		{"{\"mode\": \"off\"}", "mode", "mode must be one of active, drain, maintenance"},
		{"{\"mode\": \"drain\", \"slots\": 5}", "slots", "slots is not a known field"},
		{"{\"mode\": \"maintenance\", \"guests\": \"kill\"}", "guests",
			"guests must be one of keep, stop"},
		{"{\"mode\": \"drain\", \"guests\": \"stop\"}", "guests",
			"guests are stopped only with the mode maintenance: in drain they run on"},
		{"[]", "", "the request must be a JSON object"},
	};
	static const struct {
		const char *json;
		struct node_change change;
	} good[] = {
		{"{\"mode\": \"drain\"}", {NODE_DRAIN, NODE_GUESTS_AS_THEY_ARE}},
		{"{\"mode\": \"active\", \"guests\": \"keep\"}", {NODE_ACTIVE, NODE_GUESTS_KEEP}},
		{"{\"mode\": \"maintenance\", \"guests\": \"stop\"}",
			{NODE_MAINTENANCE, NODE_GUESTS_STOP}},
	};
	struct node_change change;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_auto_t *json = json_loads(bad[i].json, 0, NULL);
		struct err err = {0};

		assert_int_equal(node_change_from_request(json, &change, &err), -EINVAL);
		assert_string_equal(err.field, bad[i].field);
		assert_string_equal(err.message, bad[i].message);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		json_auto_t *json = json_loads(good[i].json, 0, NULL);

		assert_int_equal(node_change_from_request(json, &change, NULL), 0);
		assert_int_equal(change.mode, good[i].change.mode);
		assert_int_equal(change.guests, good[i].change.guests);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_busy_node_shows_everything),
		cmocka_unit_test(a_bare_node_leaves_out_what_is_not_known),
		cmocka_unit_test(slots_are_shown_with_their_guests),
		cmocka_unit_test(free_slots_are_never_below_zero_and_none_unless_active),
		cmocka_unit_test(modes_have_names),
		cmocka_unit_test(a_request_gives_the_mode_and_what_becomes_of_guests),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
