/* Snapshots, restores and clones as storage.h promises them, on every kind of pool. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "volumes.h"

/* --- Snapshots ------------------------------------------------------------------------------- */

static void snapshot_keeps_the_moment_read_only(void **state)
{
	char path[256];

	(void)state;
	make_volume(GIB / 2);
	say(IN(ID, "a"), "then");
	assert_ok(snapshot_create(g_f.storage, ID, "first", &g_err));
	say(IN(ID, "a"), "now");
	snprintf(path, sizeof(path), "%s/snapshots/%s/first/rootfs/a", g_f.path, ID);
	assert_says(path, "then");
	assert_true(open(path, O_WRONLY) < 0);
	assert_int_equal(errno, EROFS);
	assert_true(unlink(path) < 0);
	assert_int_equal(errno, EROFS);
	assert_ok(snapshot_create(g_f.storage, ID, "first", &g_err));
	assert_says(path, "then");
	assert_ok(snapshot_create(g_f.storage, ID, "2.b-c_d", &g_err));
	assert_snapshots(ID, "2.b-c_d first");
	assert_snapshots(ID2, "");
}

static void snapshot_goes_alone_and_twice(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++)
		assert_ok(snapshot_create(g_f.storage, ID, *name, &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "b", &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "b", &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID2, "b", &g_err));
	assert_snapshots(ID, "a c");
	assert_ok(snapshot_delete(g_f.storage, ID, "a", &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "c", &g_err));
	assert_snapshots(ID, "");
	assert_ok(snapshot_create(g_f.storage, ID, "d", &g_err));
	assert_snapshots(ID, "d");
}

static void bad_names_and_absent_things_are_told(void **state)
{
	static const char *const bad[] = {"", ".", "..", ".a", "a/b", "A",
		"../../images/tree/little", "-a", "a b",
		"a23456789b123456789c123456789d123456789e123456789f123456789g1234"};

	(void)state;
	make_volume(GIB / 2);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_error(snapshot_create(g_f.storage, ID, bad[i], &g_err), ERR_INVALID);
		assert_string_equal(g_err.field, "snapshot");
		assert_error(snapshot_delete(g_f.storage, ID, bad[i], &g_err), ERR_INVALID);
		assert_error(
			snapshot_restore(g_f.storage, ID, bad[i], GIB / 2, &g_err), ERR_INVALID);
		assert_error(
			volume_clone(g_f.storage, ID2, ID, bad[i], GIB / 2, &g_err), ERR_INVALID);
	}
	assert_error(snapshot_create(g_f.storage, "..", "a", &g_err), ERR_INVALID);
	assert_error(snapshot_restore_finish(g_f.storage, "..", &g_err), ERR_INVALID);
	assert_error(volume_clone(g_f.storage, "..", ID, NULL, GIB / 2, &g_err), ERR_INVALID);
	assert_error(volume_clone(g_f.storage, ID2, "..", NULL, GIB / 2, &g_err), ERR_INVALID);
	assert_error(snapshot_create(g_f.storage, ID2, "a", &g_err), ERR_NOT_FOUND);
	assert_error(snapshot_restore(g_f.storage, ID, "a", GIB / 2, &g_err), ERR_NOT_FOUND);
	assert_error(snapshot_restore(g_f.storage, ID2, "a", GIB / 2, &g_err), ERR_NOT_FOUND);
	assert_error(volume_clone(g_f.storage, ID2, ID, "a", GIB / 2, &g_err), ERR_NOT_FOUND);
	assert_error(volume_clone(g_f.storage, ID2, ID2, NULL, GIB / 2, &g_err), ERR_NOT_FOUND);
	assert_int_equal(fixture_count(&g_f, "volumes"), 1);
	assert_int_equal(fixture_count(&g_f, "snapshots"), 0);
}

/* --- Restores -------------------------------------------------------------------------------- */

static void restore_brings_back_an_older_one_and_keeps_the_newer(void **state)
{
	struct volume_usage usage;

	(void)state;
	make_volume(GIB / 2);
	say(IN(ID, "a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	say(IN(ID, "a"), "two");
	say(IN(ID, "b"), "new");
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	say(IN(ID, "a"), "three");
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_says(IN(ID, "a"), "one");
	assert_false(is_there(IN(ID, "b")));
	say(IN(ID, "a"), "written since");
	/* Once more before the decision: nothing changes. */
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_says(IN(ID, "a"), "written since");
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 1);
	assert_snapshots(ID, "one two");
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, GIB / 2);
	assert_ok(snapshot_restore(g_f.storage, ID, "two", GIB / 2, &g_err));
	assert_says(IN(ID, "a"), "two");
	assert_says(IN(ID, "b"), "new");
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
}

static void restore_can_be_taken_back(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	say(IN(ID, "a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	say(IN(ID, "a"), "now");
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	/* A restart in between leaves the decision open. */
	fixture_close(&g_f);
	fixture_open(&g_f);
	assert_says(IN(ID, "a"), "one");
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	assert_says(IN(ID, "a"), "now");
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	assert_says(IN(ID, "a"), "now");
	assert_int_equal(fixture_count(&g_f, "volumes"), 1);
	assert_snapshots(ID, "one");
}

static void snapshot_may_go_while_its_restore_is_undecided(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	say(IN(ID, "a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "one", &g_err));
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_says(IN(ID, "a"), "one");
}

static void restore_of_more_than_the_guest_may_hold_names_the_least(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	assert_int_equal(fixture_fill(IN(ID, "data"), 100 * MIB), 100 * MIB);
	fixture_sync(&g_f);
	assert_ok(snapshot_create(g_f.storage, ID, "big", &g_err));
	assert_int_equal(unlink(IN(ID, "data")), 0);
	assert_error(snapshot_restore(g_f.storage, ID, "big", 50 * MIB, &g_err), ERR_INVALID);
	assert_string_equal(g_err.field, "storage.size");
	assert_false(is_there(IN(ID, "data")));
	assert_int_equal(fixture_count(&g_f, "volumes"), 1);
	assert_ok(snapshot_restore(g_f.storage, ID, "big", 110 * MIB, &g_err));
	assert_true(is_there(IN(ID, "data")));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
}

/* --- Clones ---------------------------------------------------------------------------------- */

static void clone_is_a_guest_of_its_own(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	say(IN(ID, "a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	say(IN(ID, "a"), "two");
	assert_ok(volume_clone(g_f.storage, ID2, ID, NULL, GIB / 2, &g_err));
	assert_says(IN(ID2, "a"), "two");
	say(IN(ID2, "a"), "its own");
	assert_ok(volume_clone(g_f.storage, ID2, ID, NULL, GIB / 2, &g_err));
	assert_says(IN(ID2, "a"), "its own");
	assert_says(IN(ID, "a"), "two");
	assert_snapshots(ID2, "");
	assert_ok(volume_destroy(g_f.storage, ID2, &g_err));
	assert_ok(volume_clone(g_f.storage, ID2, ID, "one", GIB / 2, &g_err));
	assert_says(IN(ID2, "a"), "one");
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_says(IN(ID2, "a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID2, "one", &g_err));
}

static void clone_has_its_full_size_beside_what_was_copied(void **state)
{
	struct volume_usage usage;

	(void)state;
	make_volume(GIB / 4);
	assert_int_equal(fixture_fill(IN(ID, "data"), 100 * MIB), 100 * MIB);
	assert_ok(volume_clone(g_f.storage, ID2, ID, NULL, 64 * MIB, &g_err));
	assert_ok(volume_usage(g_f.storage, ID2, true, &usage, &g_err));
	assert_int_equal(usage.size, 64 * MIB);
	assert_in_range(usage.used, 0, MIB);
	assert_in_range(fixture_fill(IN(ID2, "more"), GIB / 4), 63 * MIB, 64 * MIB);
	assert_int_equal(access(IN(ID2, "data"), F_OK), 0);
	assert_error(volume_clone(g_f.storage, "000000000000", ID, NULL, MIB, &g_err), ERR_INVALID);
	assert_string_equal(g_err.field, "storage.size");
	assert_error(
		volume_clone(g_f.storage, "000000000000", ID, NULL, 2 * GIB, &g_err), ERR_NO_ROOM);
	assert_int_equal(fixture_count(&g_f, "volumes"), 2);
}

/* --- Nothing left ---------------------------------------------------------------------------- */

static void destroy_takes_snapshots_what_is_aside_and_every_quota_group(void **state)
{
	(void)state;
	fixture_import(&g_f, "little");
	fixture_note_groups(&g_f);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", GIB / 2, NULL, &g_err));
	make_nested(IN(ID, "nested"));
	say(IN(ID, "nested/a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(fixture_fill(IN(ID, "data"), 5 * MIB), 5 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	assert_ok(snapshot_restore(g_f.storage, ID, "two", GIB / 2, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 2);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_int_equal(fixture_count(&g_f, "snapshots"), 0);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	fixture_await_groups(&g_f);
}

/* What a guest nested is not in its snapshots, but comes back with an undone restore. */
static void nested_subvolumes_stay_with_their_volume(void **state)
{
	(void)state;
	make_volume(GIB / 2);
	make_nested(IN(ID, "nested"));
	say(IN(ID, "nested/a"), "one");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_true(is_there(IN(ID, "nested")));
	assert_false(is_there(IN(ID, "nested/a")));
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	assert_says(IN(ID, "nested/a"), "one");
	assert_ok(snapshot_restore(g_f.storage, ID, "one", GIB / 2, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_ok(volume_clone(g_f.storage, ID2, ID, NULL, GIB / 2, &g_err));
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(volume_destroy(g_f.storage, ID2, &g_err));
}

/* --- The disk -------------------------------------------------------------------------------- */

static void disk_is_the_block_device_under_the_pool(void **state)
{
	unsigned major_number, minor_number;
	AUTOFREE char *file = NULL;
	char disk[32], path[96];

	(void)state;
	assert_ok(storage_disk(g_f.storage, disk, sizeof(disk), &g_err));
	assert_int_equal(sscanf(disk, "%u:%u", &major_number, &minor_number), 2);
	assert_int_equal(major_number, 7);
	snprintf(path, sizeof(path), "/sys/dev/block/%s/loop/backing_file", disk);
	assert_int_equal(file_read(path, 4096, &file, NULL), 0);
	file[strcspn(file, "\n")] = '\0';
	assert_string_equal(file, g_f.backend->on_existing ? g_f.host_file : g_f.loop_file);
	assert_error(storage_disk(g_f.storage, disk, 2, &g_err), ERR_INTERNAL);
}

#define T(name) FIXTURE_TEST(name, fixture_setup)

/* Runs on the kind of pool that is named, or on each. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(snapshot_keeps_the_moment_read_only),
		T(snapshot_goes_alone_and_twice),
		T(bad_names_and_absent_things_are_told),
		T(restore_brings_back_an_older_one_and_keeps_the_newer),
		T(restore_can_be_taken_back),
		T(snapshot_may_go_while_its_restore_is_undecided),
		T(restore_of_more_than_the_guest_may_hold_names_the_least),
		T(clone_is_a_guest_of_its_own),
		T(clone_has_its_full_size_beside_what_was_copied),
		T(destroy_takes_snapshots_what_is_aside_and_every_quota_group),
		T(nested_subvolumes_stay_with_their_volume),
		T(disk_is_the_block_device_under_the_pool),
	};

	(void)argc;
	return fixture_run_each(tests, ARRAY_SIZE(tests), argv[1]);
}
