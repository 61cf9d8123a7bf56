/* What storage.h promises of volumes, on every kind of pool. */
#include <archive_entry.h>
#include <pthread.h>
#include <unistd.h>

#include "base/random.h"
#include "fixture.h"
#include "tarball.h"
#include "volumes.h"

static void volume_is_a_writable_clone_that_can_be_asked_for_twice(void **state)
{
	struct volume_usage usage;
	char **ids;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	assert_int_equal(fixture_fill(IN(ID, "etc/new"), 4096), 4096);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 200 * MIB, NULL, &g_err));
	assert_int_equal(access(IN(ID, "etc/new"), F_OK), 0);
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, 200 * MIB);
	assert_ok(volume_list(g_f.storage, &ids, &g_err));
	assert_string_equal(ids[0], ID);
	assert_null(ids[1]);
	free(ids[0]);
	free(ids);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

static void bad_names_are_refused(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "../x", "a/b", ".incoming-1", "A", "a b"};
	static const char *const ids[] = {"", "..", "0123456789a", "0123456789AB", "../../../../e"};
	struct volume_usage usage;
	struct image image;

	(void)state;
	fixture_import(&g_f, "little");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_error(
			fixture_import_fd(&g_f, names[i], tarball_little(), &g_err), ERR_INVALID);
		assert_error(
			image_get(g_f.storage, IMAGE_TREE, names[i], &image, &g_err), ERR_INVALID);
		assert_error(image_delete(g_f.storage, IMAGE_TREE, names[i], &g_err), ERR_INVALID);
		assert_error(
			volume_create(g_f.storage, ID, IMAGE_TREE, names[i], GIB / 2, NULL, &g_err),
			ERR_INVALID);
	}
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_error(volume_create(g_f.storage, ids[i], IMAGE_TREE, "little", GIB / 2, NULL,
				     &g_err),
			ERR_INVALID);
		assert_error(volume_destroy(g_f.storage, ids[i], &g_err), ERR_INVALID);
		assert_error(volume_usage(g_f.storage, ids[i], false, &usage, &g_err), ERR_INVALID);
	}
}

/* --- Containers ------------------------------------------------------------------------------ */

static void make_container(uint64_t size)
{
	assert_ok(volume_create(
		g_f.storage, ID, IMAGE_OCI, "r.example.org:5000/app:1", size, NULL, &g_err));
}

static void volume_of_a_container_is_empty_and_bounded(void **state)
{
	struct volume_usage usage;

	(void)state;
	assert_error(volume_create(g_f.storage, ID, IMAGE_OCI, "a/B", 64 * MIB, NULL, &g_err),
		ERR_INVALID);
	make_container(64 * MIB);
	assert_int_equal(fixture_fill(DATA(ID, "file"), 4096), 4096);
	make_container(32 * MIB);
	assert_int_equal(access(DATA(ID, "file"), F_OK), 0);
	assert_true(fixture_fill(DATA(ID, "large"), 64 * MIB) < 32 * MIB);
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, 32 * MIB);
	assert_int_equal(unlink(DATA(ID, "large")), 0);
	assert_ok(volume_resize(g_f.storage, ID, 64 * MIB, NULL, &g_err));
	assert_int_equal(fixture_fill(DATA(ID, "more"), 40 * MIB), 40 * MIB);
	assert_error(volume_resize(g_f.storage, ID, 32 * MIB, NULL, &g_err), ERR_INVALID);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

static void data_of_a_container_are_restored_and_cloned(void **state)
{
	(void)state;
	make_container(64 * MIB);
	assert_int_equal(fixture_fill(DATA(ID, "old"), 4096), 4096);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(DATA(ID, "old")), 0);
	assert_ok(volume_clone(g_f.storage, ID2, ID, "one", 64 * MIB, &g_err));
	assert_int_equal(access(DATA(ID2, "old"), F_OK), 0);
	assert_ok(snapshot_restore(g_f.storage, ID, "one", 64 * MIB, &g_err));
	assert_int_equal(access(DATA(ID, "old"), F_OK), 0);
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	assert_int_equal(access(DATA(ID, "old"), F_OK), -1);
	assert_ok(snapshot_restore(g_f.storage, ID, "one", 64 * MIB, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_int_equal(access(DATA(ID, "old"), F_OK), 0);
}

static void images_of_containers_are_not_in_the_pool(void **state)
{
	struct image image;

	(void)state;
	assert_error(image_get(g_f.storage, IMAGE_OCI, "a", &image, &g_err), ERR_UNSUPPORTED);
	assert_error(image_delete(g_f.storage, IMAGE_OCI, "a", &g_err), ERR_UNSUPPORTED);
}

/* --- Sizes ----------------------------------------------------------------------------------- */

#define assert_within_1_percent(value, wanted)                                                     \
	assert_in_range(value, (wanted) - (wanted) / 100, (wanted) + (wanted) / 100)

static void limit_holds_within_1_percent_and_moves_live(void **state)
{
	uint64_t written;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	written = fixture_fill(IN(ID, "data"), 300 * MIB);
	assert_within_1_percent(written, 100 * MIB);
	assert_ok(volume_resize(g_f.storage, ID, 200 * MIB, NULL, &g_err));
	written += fixture_fill(IN(ID, "data"), 300 * MIB);
	assert_within_1_percent(written, 200 * MIB);
	/* A full guest can still delete. */
	assert_int_equal(unlink(IN(ID, "data")), 0);
}

/* An image's files are all guests', not the guest's own. */
static void guest_can_hold_its_full_size_beside_its_image(void **state)
{
	static char bytes[40 * MIB];
	struct volume_usage usage;
	struct tarball t;

	(void)state;
	random_bytes(bytes, sizeof(bytes));
	tarball_begin(&t, "");
	tarball_add(&t, &(struct tarball_entry){.name = "big",
				.type = AE_IFREG,
				.mode = 0644,
				.data = bytes,
				.data_size = sizeof(bytes)});
	assert_ok(fixture_import_fd(&g_f, "big", tarball_end(&t), &g_err));
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "big", 100 * MIB, NULL, &g_err));
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_true(usage.used < MIB);
	assert_within_1_percent(fixture_fill(IN(ID, "data"), 300 * MIB), 100 * MIB);
}

static void trim_below_what_is_used_is_refused_and_names_the_least(void **state)
{
	struct volume_usage usage;
	uint64_t least = 0;
	char text[32];

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 200 * MIB, NULL, &g_err));
	assert_int_equal(fixture_fill(IN(ID, "data"), 50 * MIB), 50 * MIB);
	assert_error(volume_resize(g_f.storage, ID, 30 * MIB, &least, &g_err), ERR_INVALID);
	assert_string_equal(g_err.field, "storage.size");
	assert_in_range(least, 50 * MIB, 53 * MIB);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)least);
	assert_non_null(strstr(g_err.message, text));
	assert_ok(volume_usage(g_f.storage, ID, false, &usage, &g_err));
	assert_int_equal(usage.size, 200 * MIB);
	assert_in_range(usage.used, 50 * MIB, 53 * MIB);
	assert_ok(volume_resize(g_f.storage, ID, least, NULL, &g_err));
	assert_true(fixture_fill(IN(ID, "data"), 10 * MIB) < 4 * MIB);
}

static void what_was_deleted_a_moment_ago_does_not_hinder_a_trim(void **state)
{
	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 200 * MIB, NULL, &g_err));
	assert_int_equal(fixture_fill(IN(ID, "data"), 100 * MIB), 100 * MIB);
	assert_error(volume_resize(g_f.storage, ID, 50 * MIB, NULL, &g_err), ERR_INVALID);
	assert_int_equal(unlink(IN(ID, "data")), 0);
	assert_ok(volume_resize(g_f.storage, ID, 50 * MIB, NULL, &g_err));
}

static void impossible_sizes_are_refused(void **state)
{
	struct volume_usage usage;

	(void)state;
	fixture_import(&g_f, "little");
	assert_error(volume_create(g_f.storage, ID, IMAGE_TREE, "little", MIB, NULL, &g_err),
		ERR_INVALID);
	assert_string_equal(g_err.field, "storage.size");
	assert_error(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 2 * GIB, NULL, &g_err),
		ERR_NO_ROOM);
	assert_error(volume_create(g_f.storage, ID, IMAGE_TREE, "none", GIB / 2, NULL, &g_err),
		ERR_NOT_FOUND);
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_error(volume_resize(g_f.storage, ID, GIB / 2, NULL, &g_err), ERR_NOT_FOUND);
	assert_error(volume_usage(g_f.storage, ID, false, &usage, &g_err), ERR_NOT_FOUND);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
	assert_error(volume_resize(g_f.storage, ID, 2 * GIB, NULL, &g_err), ERR_NO_ROOM);
	assert_error(volume_resize(g_f.storage, ID, 0, NULL, &g_err), ERR_INVALID);
}

/* --- Nothing left ---------------------------------------------------------------------------- */

static void destroy_takes_what_the_guest_nested_and_every_quota_group(void **state)
{
	(void)state;
	fixture_import(&g_f, "little");
	fixture_note_groups(&g_f);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
	make_nested(IN(ID, "etc/one"));
	make_nested(IN(ID, "etc/one/two"));
	make_nested(IN(ID, "three"));
	assert_int_equal(fixture_fill(IN(ID, "etc/one/two/data"), 5 * MIB), 5 * MIB);
	assert_int_equal(fixture_groups(&g_f), g_f.groups + 4);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	fixture_await_groups(&g_f);
}

static void hundreds_of_volumes_leave_no_quota_group(void **state)
{
	(void)state;
	fixture_import(&g_f, "little");
	fixture_note_groups(&g_f);
	for (int i = 0; i < 200; i++) {
		assert_ok(volume_create(
			g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
		fixture_fill(IN(ID, "data"), 8192);
		assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	}
	fixture_await_groups(&g_f);
}

/* The image's extents stay as long as a volume shares them, and its group with them. */
static void deleted_image_leaves_no_quota_group_after_its_last_volume(void **state)
{
	(void)state;
	fixture_note_groups(&g_f);
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "little", &g_err));
	assert_ok(storage_tend(g_f.storage, &g_err));
	assert_int_equal(access(IN(ID, "sbin/init"), F_OK), 0);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	fixture_await_groups(&g_f);
}

/* --- Many at once ---------------------------------------------------------------------------- */

#define THREADS 4
#define EACH	15

static void *live_many_lives(void *data)
{
	int thread = (int)(intptr_t)data;
	struct err err = {0};
	char id[13];

	for (int i = 0; i < EACH; i++) {
		struct volume_usage usage = {0};
		uint64_t size = (uint64_t)(100 + i) * MIB;

		snprintf(id, sizeof(id), "%06x%06x", thread, i);
		if (volume_create(g_f.storage, id, IMAGE_TREE, "little", GIB / 2, NULL, &err) < 0 ||
			volume_resize(g_f.storage, id, size, NULL, &err) < 0 ||
			volume_usage(g_f.storage, id, i % 2, &usage, &err) < 0 ||
			usage.size != size || (i % 3 && volume_destroy(g_f.storage, id, &err) < 0))
			return strdup(err.message);
	}
	if (fixture_import_fd(&g_f, "same", tarball_little(), &err) < 0 && err.code != ERR_EXISTS)
		return strdup(err.message);
	return NULL;
}

static void many_threads_do_not_hinder_each_other(void **state)
{
	pthread_t threads[THREADS];
	struct image image;

	(void)state;
	fixture_import(&g_f, "little");
	for (intptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, live_many_lives, (void *)i), 0);
	for (size_t i = 0; i < THREADS; i++) {
		void *failure;

		assert_int_equal(pthread_join(threads[i], &failure), 0);
		if (failure)
			fail_msg("%s", (char *)failure);
	}
	assert_int_equal(fixture_count(&g_f, "volumes"), THREADS * EACH / 3);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 2);
	assert_ok(image_get(g_f.storage, IMAGE_TREE, "same", &image, &g_err));
}

static void pool_survives_being_closed_and_opened(void **state)
{
	struct volume_usage usage;
	struct storage_space space;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
	fixture_close(&g_f);
	fixture_open(&g_f);
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, GIB / 2);
	assert_ok(storage_space(g_f.storage, &space, &g_err));
	assert_int_equal(space.total, GIB);
	assert_true(space.free < space.total);
	assert_ok(volume_create(g_f.storage, ID2, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
}

#define T(name) FIXTURE_TEST(name, fixture_setup)

/* Runs on the kind of pool that is named, or on each. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(volume_is_a_writable_clone_that_can_be_asked_for_twice),
		T(volume_of_a_container_is_empty_and_bounded),
		T(data_of_a_container_are_restored_and_cloned),
		T(images_of_containers_are_not_in_the_pool),
		T(bad_names_are_refused),
		T(limit_holds_within_1_percent_and_moves_live),
		T(guest_can_hold_its_full_size_beside_its_image),
		T(trim_below_what_is_used_is_refused_and_names_the_least),
		T(what_was_deleted_a_moment_ago_does_not_hinder_a_trim),
		T(impossible_sizes_are_refused),
		T(destroy_takes_what_the_guest_nested_and_every_quota_group),
		T(hundreds_of_volumes_leave_no_quota_group),
		T(deleted_image_leaves_no_quota_group_after_its_last_volume),
		T(many_threads_do_not_hinder_each_other),
		T(pool_survives_being_closed_and_opened),
	};

	(void)argc;
	return fixture_run_each(tests, ARRAY_SIZE(tests), argv[1]);
}
