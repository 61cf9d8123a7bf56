/* Death between any two changes to a disk: it is what it was or what it was to become, and what was
 * begun is done again. */
#include <unistd.h>

#include "crash.h"
#include "diskfile.h"
#include "fixture.h"

#define ID    "0123456789ab"
#define SMALL (32 * MIB)
#define LARGE (64 * MIB)

/* --- The child ------------------------------------------------------------------------------- */

static int do_import(struct storage **storage)
{
	struct image_source source = {
		.kind = IMAGE_DISK, .fd = diskfile_qcow2(16 * MIB, NULL), .replace = true};

	return crash_import(&g_f, storage, "disk", &source);
}

static int do_create(struct storage **storage)
{
	int r = do_import(storage);

	if (r == 0)
		r = volume_create(*storage, ID, IMAGE_DISK, "disk", SMALL, NULL, &g_err);
	return r;
}

static int do_grow(struct storage **storage)
{
	struct disk_resize resize = {.size = LARGE};
	int r = do_create(storage);

	if (r == 0)
		r = volume_make_room(*storage, ID, LARGE, &g_err);
	return r < 0 ? r : volume_resize_disk(*storage, ID, &resize, NULL, &g_err);
}

static int do_restore(struct storage **storage)
{
	struct disk_resize resize = {.size = LARGE};
	int r = do_create(storage);

	if (r == 0)
		r = snapshot_create(*storage, ID, "one", &g_err);
	if (r == 0)
		r = volume_resize_disk(*storage, ID, &resize, NULL, &g_err);
	return r < 0 ? r : snapshot_restore(*storage, ID, "one", LARGE, &g_err);
}

static const struct crash_verb g_verbs[] = {
	{"import", do_import},
	{"create", do_create},
	{"grow", do_grow},
	{"restore", do_restore},
	{0},
};

/* --- The parent ------------------------------------------------------------------------------ */

static void ensure_image(void)
{
	struct image_source source = {.kind = IMAGE_DISK, .replace = true};

	if (crash_has_image(&g_f, "images/disk"))
		return;
	source.fd = diskfile_qcow2(16 * MIB, NULL);
	assert_ok(image_import(g_f.storage, "disk", &source, NULL, &g_err));
	close(source.fd);
}

/* Where the volume stands: as small or as large as it was to be, and whole. */
static void ensure_disk(void)
{
	struct disk_resize resize = {.size = LARGE};
	struct volume_usage usage;
	char path[256];

	if (volume_usage(g_f.storage, ID, false, &usage, NULL) < 0)
		assert_ok(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", SMALL, NULL, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_ok(volume_usage(g_f.storage, ID, false, &usage, &g_err));
	assert_true(usage.size == SMALL || usage.size == LARGE);
	assert_int_equal(fixture_count(&g_f, "volumes/" ID), 3);
	assert_ok(volume_make_room(g_f.storage, ID, LARGE, &g_err));
	assert_ok(volume_resize_disk(g_f.storage, ID, &resize, NULL, &g_err));
	assert_int_equal(volume_path(g_f.storage, ID, VOLUME_DISK, path, sizeof(path)), 0);
	diskfile_run((const char *[]){"qemu-img", "check", "-q", "-f", "qcow2", path, NULL});
}

static void assert_recovers(void)
{
	fixture_open(&g_f);
	ensure_image();
	ensure_disk();
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_ok(image_delete(g_f.storage, IMAGE_DISK, "disk", &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_int_equal(fixture_count(&g_f, "snapshots"), 0);
	fixture_close(&g_f);
}

static void each_fault_point_is_recovered_from(void **state)
{
	static const struct {
		const char *verb, *point;
	} cases[] = {
		{"import", "storage.image.begun"},
		{"import", "storage.image.sealed"},
		{"create", "storage.volume.cloned"},
		{"create", "storage.disk.made"},
		{"grow", "storage.disk.copied"},
		{"grow", "storage.disk.made=kill@2"},
		{"restore", "storage.disk.copied=kill@2"},
		{"restore", "storage.restore.limited"},
		{"restore", "storage.restore.exchanged"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		crash_at(&g_f, cases[i].verb, cases[i].point);
		assert_recovers();
	}
}

/* At instants that no fault point stands at: in qemu-img, which must not outlive us. */
static void any_instant_is_recovered_from(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		crash_at_some_instant(&g_f, "restore", 60, 128);
		assert_recovers();
	}
}

static int begin(void **state)
{
	(void)state;
	fixture_prepare(&g_f, &g_backends[0]);
	crash_configure(&g_f);
	return 0;
}

#define T(name) FIXTURE_TEST(name, begin)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(each_fault_point_is_recovered_from),
		T(any_instant_is_recovered_from),
	};

	if (argc == 5)
		return crash_main(&g_f, g_verbs, argv);
	return cmocka_run_group_tests(tests, NULL, fixture_teardown);
}
