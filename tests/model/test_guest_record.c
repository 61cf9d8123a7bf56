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
#include "base/strv.h"
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

static char **any_texts(void)
{
	size_t count = below(5);
	char **list = count ? calloc(count + 1, sizeof(*list)) : NULL;

	for (size_t i = 0; i < count; i++)
		list[i] = any_text(200);
	return list;
}

static void fill_health(struct guest_health *health)
{
	health->check = (enum guest_check)below(GUEST_CHECK_EXEC + 1);
	if (health->check == GUEST_CHECK_NONE)
		return;
	health->port = (uint16_t)any();
	health->path = below(2) ? any_text(100) : NULL;
	health->command = any_texts();
	health->interval_s = (uint32_t)any();
	health->timeout_s = (uint32_t)any();
	health->retries = (uint32_t)any();
	health->grace_s = (uint32_t)any();
	health->restart = below(2);
}

static void fill_snapshots(struct guest *guest)
{
	guest->snapshots_count = below(10);
	guest->snapshots = calloc(guest->snapshots_count + 1, sizeof(*guest->snapshots));
	assert_non_null(guest->snapshots);
	for (size_t i = 0; i < guest->snapshots_count; i++) {
		snprintf(guest->snapshots[i].name, sizeof(guest->snapshots[i].name), "s%zu", i);
		guest->snapshots[i].created_ms = (int64_t)any_size();
		guest->snapshots[i].consistency =
			(enum snapshot_consistency)below(SNAPSHOT_CONSISTENCY_MAX_);
		guest->snapshots[i].memory = below(2);
		guest->snapshots[i].size = any_size();
	}
}

static void fill_disk(struct guest *guest)
{
	AUTOFREE char *cmdline = any_text(300);

	guest->disk = calloc(1, sizeof(*guest->disk));
	assert_non_null(guest->disk);
	guest->disk->format = (enum disk_format)below(DISK_FORMAT_MAX_);
	guest->disk->boot = (enum disk_boot)below(DISK_BOOT_MAX_);
	guest->disk->initrd = below(2);
	snprintf(guest->disk->cmdline, sizeof(guest->disk->cmdline), "%s", cmdline);
	guest->disk->size = any_size();
}

/* How it lives by itself, its first boot, and what is kept with it. */
static void fill_life(struct guest *guest)
{
	guest->autostart.order = (uint32_t)any();
	guest->autostart.delay_s = (uint32_t)any();
	guest->restart.policy = (enum guest_restart)below(GUEST_RESTART_MAX_);
	guest->restart.max = (uint32_t)any();
	fill_health(&guest->health);
	guest->ssh_keys = any_texts();
	guest->user_data = below(2) ? any_text(1000) : NULL;
	guest->raw = any_texts();
	if (below(2))
		snprintf(guest->password, sizeof(guest->password), "%" PRIx64, any());
	guest->first_boot_done = below(2);
	fill_snapshots(guest);
	if (below(2))
		fill_disk(guest);
	guest->health_state = (enum guest_health_state)below(GUEST_HEALTH_UNHEALTHY + 1);
	guest->restarts = (uint32_t)any();
	guest->restarts_in_row = (uint32_t)any();
	guest->resting = below(2);
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
		(uint32_t)any(), (uint32_t)any(), any_size(), any_size(), any_size(), any_size()};
	guest->storage_size = any_size();
	snprintf(guest->environment, sizeof(guest->environment), "e%u", (unsigned)below(100));
	guest->autostart.on = below(2);
	fill_life(guest);
	guest->privileged = below(2);
	fill_ports(guest);
	fill_labels(guest);
	guest->want_running = below(2);
	guest->state = (enum guest_state)below(GUEST_STATE_MAX_);
	guest->since_ms = (int64_t)any_size();
	guest->runs_with =
		below(2) ? json_pack("{s:n, s:[s]}", "container.user", "raw", "a") : NULL;
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

static void assert_same_life(const struct guest *a, const struct guest *b)
{
	assert_int_equal(a->autostart.on, b->autostart.on);
	assert_int_equal(a->autostart.order, b->autostart.order);
	assert_int_equal(a->autostart.delay_s, b->autostart.delay_s);
	assert_int_equal(a->restart.policy, b->restart.policy);
	assert_int_equal(a->restart.max, b->restart.max);
	assert_int_equal(a->health.check, b->health.check);
	assert_int_equal(a->health.port, b->health.port);
	assert_same_text(a->health.path, b->health.path);
	assert_true(strv_equal(a->health.command, b->health.command));
	assert_int_equal(a->health.interval_s, b->health.interval_s);
	assert_int_equal(a->health.timeout_s, b->health.timeout_s);
	assert_int_equal(a->health.retries, b->health.retries);
	assert_int_equal(a->health.grace_s, b->health.grace_s);
	assert_int_equal(a->health.restart, b->health.restart);
	assert_int_equal(a->health_state, b->health_state);
	assert_int_equal(a->restarts, b->restarts);
	assert_int_equal(a->restarts_in_row, b->restarts_in_row);
	assert_int_equal(a->resting, b->resting);
}

static void assert_same_first_boot(const struct guest *a, const struct guest *b)
{
	assert_true(strv_equal(a->ssh_keys, b->ssh_keys));
	assert_true(strv_equal(a->raw, b->raw));
	assert_same_text(a->user_data, b->user_data);
	assert_string_equal(a->password, b->password);
	assert_int_equal(a->first_boot_done, b->first_boot_done);
	assert_int_equal(a->snapshots_count, b->snapshots_count);
	for (size_t i = 0; i < a->snapshots_count; i++) {
		assert_string_equal(a->snapshots[i].name, b->snapshots[i].name);
		assert_int_equal(a->snapshots[i].created_ms, b->snapshots[i].created_ms);
		assert_int_equal(a->snapshots[i].consistency, b->snapshots[i].consistency);
		assert_int_equal(a->snapshots[i].memory, b->snapshots[i].memory);
		assert_int_equal(a->snapshots[i].size, b->snapshots[i].size);
	}
}

static void assert_same_disk(const struct guest *a, const struct guest *b)
{
	assert_int_equal(guest_image_kind(a), guest_image_kind(b));
	if (!a->disk || !b->disk) {
		assert_ptr_equal(a->disk, b->disk);
		return;
	}
	assert_int_equal(a->disk->format, b->disk->format);
	assert_int_equal(a->disk->boot, b->disk->boot);
	assert_int_equal(a->disk->initrd, b->disk->initrd);
	assert_string_equal(a->disk->cmdline, b->disk->cmdline);
	assert_int_equal(a->disk->size, b->disk->size);
}

static void assert_same(const struct guest *a, const struct guest *b)
{
	assert_same_life(a, b);
	assert_same_first_boot(a, b);
	assert_same_disk(a, b);
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
	assert_int_equal(a->privileged, b->privileged);
	assert_int_equal(a->want_running, b->want_running);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->since_ms, b->since_ms);
	assert_int_equal(!a->runs_with, !b->runs_with);
	assert_true(!a->runs_with || json_equal(a->runs_with, b->runs_with));
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

static void a_damaged_disk_is_refused_by_its_field(void **state)
{
	static const char *const fields[] = {"format", "boot", "initrd", "cmdline", "size"};
	CLEANUP(guest_freep) struct guest *guest = any_guest();
	json_auto_t *record = NULL;

	(void)state;
	free(guest->disk);
	fill_disk(guest);
	record = guest_to_record(guest);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		CLEANUP(guest_freep) struct guest *back = NULL;
		json_auto_t *damaged = json_deep_copy(record);
		struct err err = {0};
		char field[ERR_FIELD_MAX];

		snprintf(field, sizeof(field), "disk.%s", fields[i]);
		json_object_set_new(json_object_get(damaged, "disk"), fields[i], json_integer(-1));
		assert_int_equal(guest_from_record(damaged, &back, &err), -EINVAL);
		assert_string_equal(err.field, field);
	}
}

/* A row of state.db as the version before wrote it, which knew none of the fields behind it. */
static void a_record_of_the_version_before_gets_the_defaults(void **state)
{
	static const char text[] =
		"{\"id\": \"0123456789ab\", \"name\": \"g\", \"driver\": \"lxc\","
		"\"image\": \"i\", \"address\": \"10.5.0.2\", \"mac\": \"00:16:3e:00:00:01\","
		"\"created_ms\": 1700000000123, \"slots\": 2, \"storage_size\": 5368709120,"
		"\"environment\": \"prod\", \"autostart\": false, \"privileged\": true,"
		"\"ports\": [{\"proto\": \"tcp\", \"host\": 40000, \"guest\": 22,"
		"\"purpose\": \"ssh\"}], \"labels\": {\"a\": \"2\"}, \"want_running\": true,"
		"\"state\": \"running\", \"since_ms\": 5, \"problem\": null, \"generation\": 7,"
		"\"cpu_milli\": 1500, \"memory\": 1073741824, \"swap\": 0, \"pids\": 0,"
		"\"io_weight\": 0, \"net_ingress\": 0, \"net_egress\": 0}";
	CLEANUP(guest_freep) struct guest *guest = NULL;
	CLEANUP(guest_freep) struct guest *expected = guest_create();
	json_auto_t *record = json_loads(text, 0, NULL);
	struct err err = {0};

	(void)state;
	if (guest_from_record(record, &guest, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(guest->name, "g");
	assert_int_equal(guest->slots, 2);
	assert_int_equal(guest->limits.cpu_milli, 1500);
	assert_int_equal(guest->limits.io_read, 0);
	assert_true(guest->privileged);
	assert_int_equal(guest->generation, 7);
	expected->autostart.on = false;
	assert_same_life(guest, expected);
	assert_same_first_boot(guest, expected);
	assert_same_disk(guest, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_guests_come_back_exactly),
		cmocka_unit_test(the_pid_is_not_kept),
		cmocka_unit_test(copies_are_deep),
		cmocka_unit_test(release_accepts_nothing),
		cmocka_unit_test(damaged_records_are_refused),
		cmocka_unit_test(a_damaged_disk_is_refused_by_its_field),
		cmocka_unit_test(a_record_of_the_version_before_gets_the_defaults),
	};
	const char *seed = getenv("CORPUS_TEST_SEED");

	random_bytes(&g_random, sizeof(g_random));
	if (seed)
		g_random = strtoull(seed, NULL, 0);
	g_random |= 1;
	print_message("CORPUS_TEST_SEED=%#" PRIx64 "\n", g_random);
	return cmocka_run_group_tests_name("guest_record", tests, NULL, NULL);
}
