/* Death between any two changes: a child process is killed at each fault point, and at many other
 * instants; then the pool is opened again, and what was begun is done again. Nothing may be left,
 * lost or doubled. */
#include <fcntl.h>
#include <unistd.h>

#include "crash.h"
#include "fixture.h"
#include "storage/btrfs.h"
#include "tarball.h"

#define ID "0123456789ab"

/* --- The child ------------------------------------------------------------------------------- */

static int do_open(struct storage **storage)
{
	return storage_open(&g_f.config, storage, &g_err);
}

static int do_import(struct storage **storage)
{
	struct image_source source = {.fd = tarball_little(), .replace = true};

	return crash_import(&g_f, storage, "little", &source);
}

static int do_delete_image(struct storage **storage)
{
	int r = do_import(storage);

	return r < 0 ? r : image_delete(*storage, IMAGE_TREE, "little", &g_err);
}

static int do_create(struct storage **storage)
{
	int r = do_import(storage);

	return r < 0 ? r
		     : volume_create(*storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err);
}

static void nest(const struct storage *storage)
{
	char path[256];
	int fd;

	volume_path(storage, ID, VOLUME_ROOTFS, path, sizeof(path));
	fd = open(path, O_RDONLY | O_DIRECTORY);
	btrfs_subvolume_create(fd, "nested");
	close(fd);
}

static int do_destroy(struct storage **storage)
{
	int r = do_create(storage);

	if (r < 0)
		return r;
	nest(*storage);
	return volume_destroy(*storage, ID, &g_err);
}

static int do_grow(struct storage **storage)
{
	struct storage_space space;
	char path[256];
	int r = do_open(storage);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/ballast", g_f.path);
	fixture_fill(path, 180 * MIB);
	fixture_sync(&g_f);
	r = storage_tend(*storage, &g_err);
	if (r == 0)
		r = storage_space(*storage, &space, &g_err);
	if (r == 0 && space.total != 900 * MIB)
		r = -EIO;
	return r;
}

static const struct crash_verb g_verbs[] = {
	{"open", do_open},
	{"import", do_import},
	{"delete-image", do_delete_image},
	{"create", do_create},
	{"destroy", do_destroy},
	{"grow", do_grow},
	{0},
};

/* --- The parent ------------------------------------------------------------------------------ */

/* Whatever was cut short: the pool opens, holds only what is whole, and does all of it again. */
static void assert_recovers(void)
{
	struct volume_usage usage;
	struct image image;

	fixture_open(&g_f);
	if (crash_has_image(&g_f, "images/tree")) {
		assert_ok(image_get(g_f.storage, IMAGE_TREE, "little", &image, &g_err));
		assert_int_equal(image.entries, 6);
	} else {
		fixture_import(&g_f, "little");
	}
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	assert_ok(volume_usage(g_f.storage, ID, false, &usage, &g_err));
	assert_int_equal(usage.size, 100 * MIB);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "little", &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 0);
	fixture_await_groups(&g_f);
	fixture_close(&g_f);
}

static void crash_and_recover(const char *verb, const char *point)
{
	crash_at(&g_f, verb, point);
	assert_recovers();
}

static void each_fault_point_is_recovered_from(void **state)
{
	static const struct {
		const char *verb, *point;
	} cases[] = {
		{"import", "storage.image.begun"},
		{"import", "storage.image.sealed"},
		{"import", "storage.image.named"},
		{"delete-image", "storage.deleted"},
		{"create", "storage.volume.cloned"},
		{"destroy", "storage.deleted=kill@1"},
		{"destroy", "storage.deleted=kill@2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		crash_and_recover(cases[i].verb, cases[i].point);
	crash_run(&g_f, "destroy");
}

static void replacing_an_image_is_all_or_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		crash_run(&g_f, "import");
		crash_and_recover("import", i ? "storage.image.sealed" : "storage.image.named");
	}
}

static void making_the_pool_is_recovered_from(void **state)
{
	static const char *const points[] = {
		"storage.open.made", "storage.open.attached", "storage.open.mounted"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		crash_and_recover("open", points[i]);
		fixture_discard(&g_f);
	}
}

static void growing_is_recovered_from(void **state)
{
	(void)state;
	crash_and_recover("grow", "storage.grow.file");
	crash_run(&g_f, "grow");
}

/* At instants that no fault point stands at: in the unpacker, in a system call. */
static void any_instant_of_an_import_is_recovered_from(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++) {
		crash_at_some_instant(&g_f, "destroy", 0, 64);
		assert_recovers();
	}
}

static int begin(void **state)
{
	fixture_prepare(&g_f, *state);
	crash_configure(&g_f);
	fixture_open(&g_f);
	fixture_note_groups(&g_f);
	fixture_close(&g_f);
	fixture_discard(&g_f);
	return 0;
}

#define T(name) FIXTURE_TEST(name, begin)

int main(int argc, char **argv)
{
	struct CMUnitTest of_loops[] = {
		T(making_the_pool_is_recovered_from),
		T(growing_is_recovered_from),
	};
	struct CMUnitTest tests[] = {
		T(each_fault_point_is_recovered_from),
		T(replacing_an_image_is_all_or_nothing),
		T(any_instant_of_an_import_is_recovered_from),
	};

	if (argc == 5)
		return crash_main(&g_f, g_verbs, argv);
	return fixture_run_loops(of_loops, ARRAY_SIZE(of_loops)) +
	       fixture_run_each(tests, ARRAY_SIZE(tests), NULL);
}
