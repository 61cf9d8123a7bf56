/* Records: a thousand random guests go into state.db's form and come back exactly; damaged ones are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/random.h"
#include "model/guest.h"

#define GUESTS 1000

/* xorshift64 (Marsaglia): a run is repeated by its seed, CORPUS_TEST_SEED. */
static uint64_t g_random;

static uint64_t any(void)
{
	g_random ^= g_random << 13;
	g_random ^= g_random >> 7;
	g_random ^= g_random << 17;
	return g_random;
}

static uint64_t below(uint64_t bound)
{
	return any() % bound;
}

static uint64_t any_size(void)
{
	return below(4) ? any() >> (1 + below(63)) : 0;
}

static char *any_text(size_t max)
{
	static const char *const pieces[] = {"a", "Z", "0", " ", "-", "\"", "\\", "\xc3\xa9",
		"\xe2\x82\xac", "\xf0\x9f\x98\x80"};
	size_t count = below(max / 4);
	char *text = calloc(1, max + 1);

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		strcat(text, pieces[below(ARRAY_SIZE(pieces))]);
	return text;
}

static void fill_ports(struct guest *guest)
{
	guest->ports_count = below(GUEST_PORTS_MAX + 1);
	guest->ports = calloc(guest->ports_count + 1, sizeof(*guest->ports));
	assert_non_null(guest->ports);
	for (size_t i = 0; i < guest->ports_count; i++) {
		struct port *port = &guest->ports[i];

		port->proto = below(2) ? PORT_TCP : PORT_UDP;
		port->host = below(4) ? (uint16_t)(40000 + i * 100 + below(100)) : 0;
		port->guest = (uint16_t)(1 + below(65535));
		if (below(2))
			snprintf(port->purpose, sizeof(port->purpose), "p%zu", i);
	}
}

static void fill_labels(struct guest *guest)
{
	guest->labels_count = below(GUEST_LABELS_MAX + 1);
	guest->labels = calloc(guest->labels_count + 1, sizeof(*guest->labels));
	assert_non_null(guest->labels);
	for (size_t i = 0; i < guest->labels_count; i++) {
		assert_true(asprintf(&guest->labels[i].key, "k%02zu", i) > 0);
		guest->labels[i].value = any_text(GUEST_LABEL_MAX);
	}
}

static struct guest *any_guest(void)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	assert_non_null(guest);
	snprintf(guest->id, sizeof(guest->id), "%012" PRIx64, any() >> 16);
	guest->address = (uint32_t)any();
	for (size_t i = 0; i < sizeof(guest->mac); i++)
		guest->mac[i] = (uint8_t)any();
	guest->created_ms = (int64_t)any_size();
	guest->name = any_text(100);
	snprintf(guest->driver, sizeof(guest->driver), "d%u", (unsigned)below(100));
	guest->image = below(8) ? any_text(100) : NULL;
	guest->slots = (uint32_t)any();
	guest->limits = (struct guest_limits){(uint32_t)any(), any_size(), any_size(),
		(uint32_t)any(), (uint32_t)any(), 0, 0, any_size(), any_size()};
	guest->storage_size = any_size();
	snprintf(guest->environment, sizeof(guest->environment), "e%u", (unsigned)below(100));
	guest->autostart.on = below(2);
	guest->privileged = below(2);
	fill_ports(guest);
	fill_labels(guest);
	guest->want_running = below(2);
	guest->state = (enum guest_state)below(GUEST_STATE_MAX_);
	guest->since_ms = (int64_t)any_size();
	guest->problem = below(2) ? any_text(300) : NULL;
	guest->generation = any_size();
	return guest;
}

static void assert_same_text(const char *a, const char *b)
{
	if (!a || !b)
		assert_ptr_equal(a, b);
	else
		assert_string_equal(a, b);
}

static void assert_same(const struct guest *a, const struct guest *b)
{
	assert_string_equal(a->id, b->id);
	assert_int_equal(a->address, b->address);
	assert_memory_equal(a->mac, b->mac, sizeof(a->mac));
	assert_int_equal(a->created_ms, b->created_ms);
	assert_same_text(a->name, b->name);
	assert_string_equal(a->driver, b->driver);
	assert_same_text(a->image, b->image);
	assert_int_equal(a->slots, b->slots);
	assert_memory_equal(&a->limits, &b->limits, sizeof(a->limits));
	assert_int_equal(a->storage_size, b->storage_size);
	assert_string_equal(a->environment, b->environment);
	assert_int_equal(a->autostart.on, b->autostart.on);
	assert_int_equal(a->privileged, b->privileged);
	assert_int_equal(a->want_running, b->want_running);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->since_ms, b->since_ms);
	assert_same_text(a->problem, b->problem);
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->ports_count, b->ports_count);
	for (size_t i = 0; i < a->ports_count; i++) {
		assert_int_equal(a->ports[i].proto, b->ports[i].proto);
		assert_int_equal(a->ports[i].host, b->ports[i].host);
		assert_int_equal(a->ports[i].guest, b->ports[i].guest);
		assert_string_equal(a->ports[i].purpose, b->ports[i].purpose);
	}
	assert_int_equal(a->labels_count, b->labels_count);
	for (size_t i = 0; i < a->labels_count; i++) {
		assert_string_equal(a->labels[i].key, b->labels[i].key);
		assert_string_equal(a->labels[i].value, b->labels[i].value);
	}
}

/* Through text, as the database keeps it. */
static struct guest *through_text(const struct guest *guest)
{
	json_auto_t *record = guest_to_record(guest);
	AUTOFREE char *text = json_dumps(record, JSON_COMPACT);
	json_auto_t *parsed = NULL;
	struct guest *back = NULL;
	struct err err = {0};

	assert_non_null(text);
	parsed = json_loads(text, 0, NULL);
	if (guest_from_record(parsed, &back, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	return back;
}

static void random_guests_come_back_exactly(void **state)
{
	(void)state;
	for (int i = 0; i < GUESTS; i++) {
		CLEANUP(guest_freep) struct guest *guest = any_guest();
		CLEANUP(guest_freep) struct guest *back = through_text(guest);

		assert_same(guest, back);
	}
}

static void the_pid_is_not_kept(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = any_guest();
	CLEANUP(guest_freep) struct guest *back = NULL;

	(void)state;
	guest->pid = 4711;
	back = through_text(guest);
	assert_int_equal(back->pid, 0);
}

static void copies_are_deep(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		CLEANUP(guest_freep) struct guest *guest = any_guest();
		CLEANUP(guest_freep) struct guest *copy = NULL;
		CLEANUP(guest_freep) struct guest *again = NULL;

		guest->pid = 4711;
		copy = guest_copy(guest);
		assert_non_null(copy);
		assert_same(guest, copy);
		assert_int_equal(copy->pid, 4711);
		again = guest_copy(copy);
		copy = guest_free(copy);
		assert_same(guest, again);
	}
}

static void release_accepts_nothing(void **state)
{
	(void)state;
	assert_null(guest_free(NULL));
}

/* Each field of a good record is damaged in turn: wrong type, or taken away where it is needed. */
static void damaged_records_are_refused(void **state)
{
	static const char *const needed[] = {"id", "name", "driver", "state"};
	CLEANUP(guest_freep) struct guest *guest = any_guest();
	json_auto_t *record = guest_to_record(guest);
	const char *key;
	json_t *value;

	(void)state;
	json_object_foreach (record, key, value) {
		CLEANUP(guest_freep) struct guest *back = NULL;
		json_auto_t *damaged = json_deep_copy(record);
		struct err err = {0};

		json_object_set_new(damaged, key, json_real(0.5));
		assert_int_equal(guest_from_record(damaged, &back, &err), -EINVAL);
		assert_string_equal(err.field, key);
		assert_memory_equal(err.message, "a guest's record: ", 18);
	}
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		CLEANUP(guest_freep) struct guest *back = NULL;
		json_auto_t *damaged = json_deep_copy(record);

		json_object_del(damaged, needed[i]);
		assert_int_equal(guest_from_record(damaged, &back, NULL), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_guests_come_back_exactly),
		cmocka_unit_test(the_pid_is_not_kept),
		cmocka_unit_test(copies_are_deep),
		cmocka_unit_test(release_accepts_nothing),
		cmocka_unit_test(damaged_records_are_refused),
	};
	const char *seed = getenv("CORPUS_TEST_SEED");

	random_bytes(&g_random, sizeof(g_random));
	if (seed)
		g_random = strtoull(seed, NULL, 0);
	g_random |= 1;
	print_message("CORPUS_TEST_SEED=%#" PRIx64 "\n", g_random);
	return cmocka_run_group_tests_name("guest_record", tests, NULL, NULL);
}
