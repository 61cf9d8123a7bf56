/* What guests may hold beside their snapshots and clones, on every kind of pool: always their full
 * size anew. */
#include <unistd.h>

#include "fixture.h"
#include "volumes.h"

#define SIZE (100 * MIB)

#define assert_full_size(written) assert_in_range(written, SIZE - SIZE / 50, SIZE + SIZE / 50)

static void assert_usage(uint64_t size, uint64_t used)
{
	struct volume_usage usage;

	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_int_equal(usage.size, size);
	assert_in_range(usage.used, used, used + 4 * MIB);
}

static void tend(void)
{
	assert_ok(storage_tend(g_f.storage, &g_err));
}

static bool only_the_size_limits(struct fixture *f)
{
	assert_ok(storage_tend(f->storage, &g_err));
	fixture_sync(f);
	return fixture_count(f, "snapshots") == 0;
}

static void full_guest_holds_its_full_size_anew_whatever_its_snapshots_hold(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(IN(ID, "data")), 0);
	tend();
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	assert_int_equal(unlink(IN(ID, "data")), 0);
	tend();
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_int_equal(unlink(IN(ID, "data")), 0);
	tend();
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_snapshots(ID, "one two");
}

static void full_guest_holds_its_full_size_anew_beside_its_clones(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(volume_clone(g_f.storage, ID2, ID, NULL, SIZE, &g_err));
	tend();
	assert_int_equal(unlink(IN(ID, "data")), 0);
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(volume_destroy(g_f.storage, ID2, &g_err));
	assert_usage(SIZE, SIZE - 2 * MIB);
	/* One that fails changes nothing. */
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", SIZE, NULL, &g_err));
	assert_error(volume_clone(g_f.storage, ID2, ID, "none", SIZE, &g_err), ERR_NOT_FOUND);
	assert_int_equal(fixture_count(&g_f, "snapshots"), 0);
}

static void limit_is_the_bare_size_again_when_the_snapshots_are_gone(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_int_equal(fixture_fill(IN(ID, "data"), 60 * MIB), 60 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(IN(ID, "data")), 0);
	assert_int_equal(fixture_fill(IN(ID, "data"), 60 * MIB), 60 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "one", &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "two", &g_err));
	assert_true(fixture_eventually(&g_f, only_the_size_limits));
	assert_usage(SIZE, 60 * MIB);
	assert_in_range(fixture_fill(IN(ID, "data"), GIB / 2), 38 * MIB, 41 * MIB);
}

static void usage_and_trim_know_only_what_the_guest_holds(void **state)
{
	uint64_t least = 0;

	(void)state;
	make_volume(SIZE);
	assert_int_equal(fixture_fill(IN(ID, "old"), 50 * MIB), 50 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_usage(SIZE, 50 * MIB);
	assert_int_equal(unlink(IN(ID, "old")), 0);
	assert_int_equal(fixture_fill(IN(ID, "new"), 20 * MIB), 20 * MIB);
	assert_usage(SIZE, 20 * MIB);
	assert_error(volume_resize(g_f.storage, ID, 18 * MIB, &least, &g_err), ERR_INVALID);
	assert_in_range(least, 20 * MIB, 23 * MIB);
	assert_ok(volume_resize(g_f.storage, ID, 40 * MIB, NULL, &g_err));
	assert_usage(40 * MIB, 20 * MIB);
	tend();
	assert_int_equal(fixture_fill(IN(ID, "new"), 18 * MIB), 18 * MIB);
	assert_ok(volume_resize(g_f.storage, ID, SIZE, NULL, &g_err));
	assert_usage(SIZE, 38 * MIB);
	fixture_close(&g_f);
	fixture_open(&g_f);
	assert_usage(SIZE, 38 * MIB);
	assert_int_equal(fixture_fill(IN(ID, "new"), 50 * MIB), 50 * MIB);
}

/* Where the kernel cannot tell what snapshots share with the guest, it is found out a moment later.
 */
static void guest_cannot_stay_above_its_size(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_int_equal(fixture_fill(IN(ID, "a"), 90 * MIB), 90 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	fixture_fill(IN(ID, "b"), 80 * MIB);
	fixture_sync(&g_f);
	tend();
	assert_in_range(fixture_fill(IN(ID, "b"), 80 * MIB), 0, 4 * MIB);
	assert_usage(SIZE, SIZE - 4 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	assert_in_range(fixture_fill(IN(ID, "b"), 80 * MIB), 0, 4 * MIB);
	assert_int_equal(unlink(IN(ID, "a")), 0);
	assert_int_equal(unlink(IN(ID, "b")), 0);
	fixture_sync(&g_f);
	tend();
	assert_in_range(fixture_fill(IN(ID, "d"), 90 * MIB), 90 * MIB, 90 * MIB);
}

static void what_a_restore_brought_counts(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_int_equal(fixture_fill(IN(ID, "a"), 60 * MIB), 60 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(IN(ID, "a")), 0);
	assert_ok(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err));
	assert_usage(SIZE, 60 * MIB);
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_ok(snapshot_delete(g_f.storage, ID, "one", &g_err));
	tend();
	assert_usage(SIZE, 60 * MIB);
	fixture_fill(IN(ID, "b"), 60 * MIB);
	fixture_sync(&g_f);
	tend();
	assert_in_range(fixture_fill(IN(ID, "b"), 60 * MIB), 0, 4 * MIB);
	assert_int_equal(unlink(IN(ID, "a")), 0);
	assert_int_equal(unlink(IN(ID, "b")), 0);
	fixture_sync(&g_f);
	tend();
	assert_full_size(fixture_fill(IN(ID, "d"), GIB / 2));
}

/* What the middle one alone held comes back to the pool. */
static uint64_t g_free;

static bool pool_has_it_back(struct fixture *f)
{
	struct storage_space space;

	fixture_sync(f);
	assert_ok(storage_space(f->storage, &space, &g_err));
	return space.free > g_free + 50 * MIB;
}

static void middle_snapshot_goes_and_the_others_hold(void **state)
{
	static const char *const names[] = {"one", "two", "three"};
	struct storage_space space;
	char path[256];

	(void)state;
	make_volume(SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(fixture_fill(IN(ID, "data"), 60 * MIB), 60 * MIB);
		say(IN(ID, "name"), names[i]);
		fixture_sync(&g_f);
		assert_ok(snapshot_create(g_f.storage, ID, names[i], &g_err));
		assert_int_equal(unlink(IN(ID, "data")), 0);
	}
	fixture_sync(&g_f);
	assert_ok(storage_space(g_f.storage, &space, &g_err));
	g_free = space.free;
	assert_ok(snapshot_delete(g_f.storage, ID, "two", &g_err));
	assert_true(fixture_eventually(&g_f, pool_has_it_back));
	tend();
	snprintf(path, sizeof(path), "%s/snapshots/%s/three/rootfs/name", g_f.path, ID);
	assert_says(path, "three");
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_error(snapshot_restore(g_f.storage, ID, "two", SIZE, &g_err), ERR_NOT_FOUND);
	assert_ok(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err));
	assert_says(IN(ID, "name"), "one");
}

static void undone_restore_leaves_the_guest_all_its_room(void **state)
{
	(void)state;
	make_volume(SIZE);
	assert_int_equal(fixture_fill(IN(ID, "old"), 90 * MIB), 90 * MIB);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(IN(ID, "old")), 0);
	assert_int_equal(fixture_fill(IN(ID, "new"), 10 * MIB), 10 * MIB);
	assert_ok(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err));
	tend();
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	tend();
	assert_usage(SIZE, 10 * MIB);
	assert_in_range(fixture_fill(IN(ID, "new"), 88 * MIB), 88 * MIB, 88 * MIB);
}

static void full_pool_refuses_and_a_guest_that_fills_leaves_its_neighbour_room(void **state)
{
	char ballast[256];

	(void)state;
	make_volume(SIZE);
	assert_ok(volume_create(g_f.storage, ID2, IMAGE_TREE, "little", SIZE, NULL, &g_err));
	assert_full_size(fixture_fill(IN(ID, "data"), GIB / 2));
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_full_size(fixture_fill(IN(ID2, "data"), GIB / 2));
	snprintf(ballast, sizeof(ballast), "%s/ballast", g_f.path);
	fixture_fill(ballast, 2 * GIB);
	fixture_sync(&g_f);
	assert_error(snapshot_create(g_f.storage, ID, "two", &g_err), ERR_NO_ROOM);
	assert_error(snapshot_create(g_f.storage, ID2, "two", &g_err), ERR_NO_ROOM);
	assert_error(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err), ERR_NO_ROOM);
	assert_error(
		volume_clone(g_f.storage, "000000000000", ID, NULL, SIZE, &g_err), ERR_NO_ROOM);
	assert_snapshots(ID, "one");
	assert_int_equal(fixture_count(&g_f, "snapshots"), 1);
	assert_int_equal(fixture_count(&g_f, "volumes"), 2);
	assert_ok(snapshot_delete(g_f.storage, ID, "one", &g_err));
	assert_int_equal(unlink(ballast), 0);
	fixture_sync(&g_f);
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
}

#define T(name) FIXTURE_TEST(name, fixture_setup)

/* Runs on the kind of pool that is named, or on each. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(full_guest_holds_its_full_size_anew_whatever_its_snapshots_hold),
		T(full_guest_holds_its_full_size_anew_beside_its_clones),
		T(limit_is_the_bare_size_again_when_the_snapshots_are_gone),
		T(usage_and_trim_know_only_what_the_guest_holds),
		T(guest_cannot_stay_above_its_size),
		T(what_a_restore_brought_counts),
		T(middle_snapshot_goes_and_the_others_hold),
		T(undone_restore_leaves_the_guest_all_its_room),
		T(full_pool_refuses_and_a_guest_that_fills_leaves_its_neighbour_room),
	};

	(void)argc;
	return fixture_run_each(tests, ARRAY_SIZE(tests), argv[1]);
}
