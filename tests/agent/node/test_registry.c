/* The table of guests: found by name and by id, sorted, and renamed without two of one name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"

static int setup(void **state)
{
	return registry_create(NULL, (struct registry **)state, NULL);
}

static int teardown(void **state)
{
	registry_destroy(*state);
	return 0;
}

static const char *id_of(unsigned number)
{
	static char id[GUEST_ID_LEN + 1];

	snprintf(id, sizeof(id), "%0*x", GUEST_ID_LEN, number);
	return id;
}

static int add(struct registry *registry, unsigned number, const char *name, struct err *err)
{
	struct guest *guest = guest_create();
	struct guest_entry *entry;
	int r;

	assert_non_null(guest);
	memcpy(guest->id, id_of(number), sizeof(guest->id));
	guest->name = strdup(name);
	guest->image = strdup("i");
	r = registry_add(registry, guest, &entry, err);
	if (r < 0)
		guest_free(guest);
	return r;
}

static void assert_names(struct registry *registry, const char *const *names)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(registry, &count);

	for (size_t i = 0; i < count; i++) {
		assert_non_null(names[i]);
		assert_string_equal(sorted[i]->guest->name, names[i]);
		assert_ptr_equal(registry_by_name(registry, names[i], NULL), sorted[i]);
	}
	assert_null(names[count]);
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void a_renamed_guest_is_found_and_sorted_by_its_new_name_only(void **state)
{
	struct registry *registry = *state;
	struct guest_entry *entry;
	uint64_t generation, version;
	struct err err;

	assert_int_equal(add(registry, 1, "a", NULL), 0);
	assert_int_equal(add(registry, 2, "m", NULL), 0);
	assert_int_equal(add(registry, 3, "x", NULL), 0);
	entry = registry_by_id(registry, id_of(1));
	generation = entry->guest->generation;
	version = registry_version(registry);
	assert_int_equal(registry_rename(registry, entry, "z"), 0);
	assert_names(registry, NAMES("m", "x", "z"));
	assert_null(registry_by_name(registry, "a", &err));
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_ptr_equal(registry_by_id(registry, id_of(1)), entry);
	assert_true(entry->guest->generation > generation);
	assert_true(registry_version(registry) > version);
	assert_int_equal(add(registry, 4, "a", NULL), 0);
	registry_remove(registry, entry);
	assert_names(registry, NAMES("a", "m", "x"));
}

static void a_name_that_is_kept_is_nobody_elses(void **state)
{
	struct registry *registry = *state;
	struct err err;

	assert_int_equal(add(registry, 1, "a", NULL), 0);
	assert_int_equal(add(registry, 2, "b", NULL), 0);
	assert_int_equal(registry_keep_name(registry, "new", id_of(1), NULL), 0);
	assert_true(add(registry, 3, "new", &err) < 0);
	assert_int_equal(err.code, ERR_EXISTS);
	assert_string_equal(err.field, "name");
	assert_true(registry_keep_name(registry, "new", id_of(2), &err) < 0);
	assert_int_equal(err.code, ERR_EXISTS);
	/* Nor is it found before it is given, nor released by others. */
	assert_null(registry_by_name(registry, "new", NULL));
	registry_release_name(registry, "new", id_of(2));
	assert_true(add(registry, 3, "new", NULL) < 0);
	registry_release_name(registry, "new", id_of(1));
	assert_int_equal(add(registry, 3, "new", NULL), 0);
}

static void a_name_in_use_is_kept_for_nobody_but_its_guest(void **state)
{
	struct registry *registry = *state;
	struct err err;

	assert_int_equal(add(registry, 1, "a", NULL), 0);
	assert_int_equal(add(registry, 2, "b", NULL), 0);
	assert_true(registry_keep_name(registry, "b", id_of(1), &err) < 0);
	assert_int_equal(err.code, ERR_EXISTS);
	/* It may be on its way to another name, and back. */
	assert_int_equal(registry_keep_name(registry, "a", id_of(1), NULL), 0);
	/* What is kept at the end goes with the table. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_renamed_guest_is_found_and_sorted_by_its_new_name_only, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_name_that_is_kept_is_nobody_elses, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_name_in_use_is_kept_for_nobody_but_its_guest, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
