/* The loop pool: made, found again after whatever happened, grown, full, released. */
#include <fcntl.h>
#include <sched.h>

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"
#include "storage/btrfs.h"
#include "storage/loop.h"
#include "storage/quota.h"
#include "tarball.h"

#define ID "0123456789ab"

/* Loop devices that are made of that file. */
static size_t count_devices(const char *file)
{
	char path[64], *backing;
	size_t count = 0;

	for (int i = 0; i < 256; i++) {
		snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", i);
		if (file_read(path, 4096, &backing, NULL) < 0)
			continue;
		backing[strcspn(backing, "\n")] = '\0';
		count += strcmp(backing, file) == 0;
		free(backing);
	}
	return count;
}

static bool no_device_is_left(struct fixture *f)
{
	return count_devices(f->loop_file) == 0;
}

static void release_leaves_neither_mount_nor_device(void **state)
{
	(void)state;
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	assert_int_equal(count_devices(g_f.loop_file), 1);
	assert_ok(storage_release(g_f.storage, &g_err));
	g_f.storage = NULL;
	assert_int_equal(rmdir(g_f.path), 0);
	assert_true(fixture_eventually(&g_f, no_device_is_left));
	fixture_open(&g_f);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
}

static void release_of_a_busy_pool_is_refused(void **state)
{
	char path[256];
	int fd;

	(void)state;
	fixture_open(&g_f);
	snprintf(path, sizeof(path), "%s/busy", g_f.path);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	assert_error(storage_release(g_f.storage, &g_err), ERR_CONFLICT);
	g_f.storage = NULL;
	close(fd);
	fixture_open(&g_f);
	assert_ok(storage_release(g_f.storage, &g_err));
	g_f.storage = NULL;
}

static void second_opening_finds_the_first_ones_device_and_mount(void **state)
{
	struct storage *second;

	(void)state;
	fixture_open(&g_f);
	assert_ok(storage_open(&g_f.config, &second, &g_err));
	assert_int_equal(count_devices(g_f.loop_file), 1);
	storage_close(second);
}

/* What a crash between the two leaves, if somebody holds the device open. */
static void device_without_a_mount_is_used(void **state)
{
	char device[LOOP_DEVICE_MAX];
	int fd;

	(void)state;
	assert_ok(loop_make(g_f.loop_file, GIB, &g_err));
	fd = loop_attach(g_f.loop_file, device, &g_err);
	assert_true(fd >= 0);
	fixture_open(&g_f);
	assert_int_equal(count_devices(g_f.loop_file), 1);
	close(fd);
	assert_int_equal(count_devices(g_f.loop_file), 1);
}

static void pool_is_mounted_again_in_another_mount_namespace(void **state)
{
	pid_t pid;
	int status;

	(void)state;
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	pid = fork();
	if (pid == 0) {
		struct storage *inner;
		struct image image;

		if (unshare(CLONE_NEWNS) < 0 ||
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			umount2(g_f.path, MNT_DETACH) < 0 ||
			storage_open(&g_f.config, &inner, NULL) < 0 ||
			image_get(inner, IMAGE_TREE, "little", &image, NULL) < 0)
			_exit(1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(count_devices(g_f.loop_file), 1);
}

static void somebody_elses_file_is_refused_and_left_alone(void **state)
{
	char *text;

	(void)state;
	assert_int_equal(file_replace(g_f.loop_file, "precious", 0600, false), 0);
	assert_error(storage_open(&g_f.config, &g_f.storage, &g_err), ERR_CONFLICT);
	assert_int_equal(file_read(g_f.loop_file, 100, &text, NULL), 0);
	assert_string_equal(text, "precious");
	free(text);
}

static void directory_in_use_is_not_covered(void **state)
{
	char path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/precious", g_f.path);
	assert_int_equal(file_mkdirs(path, 0700), 0);
	assert_error(storage_open(&g_f.config, &g_f.storage, &g_err), ERR_CONFLICT);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(count_devices(g_f.loop_file), 0);
}

static void directory_without_btrfs_is_refused(void **state)
{
	(void)state;
	g_f.config.loop_file = NULL;
	assert_error(storage_open(&g_f.config, &g_f.storage, &g_err), ERR_UNSUPPORTED);
}

static void nobody_else_can_reach_the_files(void **state)
{
	struct stat st;

	(void)state;
	fixture_open(&g_f);
	assert_int_equal(stat(g_f.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(stat(g_f.loop_file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void pool_grows_by_itself_up_to_its_bound(void **state)
{
	struct storage_space space;
	char path[256];

	(void)state;
	g_f.config.loop_size = 300 * MIB;
	g_f.config.loop_max = 900 * MIB;
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	assert_ok(storage_space(g_f.storage, &space, &g_err));
	assert_int_equal(space.total, 300 * MIB);
	assert_int_equal(space.growable, 600 * MIB);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 800 * MIB, NULL, &g_err));
	assert_int_equal(volume_path(g_f.storage, ID, VOLUME_ROOTFS, path, sizeof(path)), 0);
	strcat(path, "/data");
	fixture_fill(path, 170 * MIB);
	fixture_sync(&g_f);
	assert_ok(storage_tend(g_f.storage, &g_err));
	assert_ok(storage_space(g_f.storage, &space, &g_err));
	assert_int_equal(space.total, 900 * MIB);
	assert_int_equal(space.growable, 0);
	assert_int_equal(fixture_fill(path, 400 * MIB), 400 * MIB);
	assert_ok(storage_tend(g_f.storage, &g_err));
}

static void full_pool_refuses_what_is_new_until_there_is_room(void **state)
{
	char path[256];

	(void)state;
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	snprintf(path, sizeof(path), "%s/ballast", g_f.path);
	fixture_fill(path, 2 * GIB);
	fixture_sync(&g_f);
	assert_error(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err),
		ERR_NO_ROOM);
	assert_error(fixture_import_fd(&g_f, "other", tarball_little(), &g_err), ERR_NO_ROOM);
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
	assert_int_equal(unlink(path), 0);
	fixture_sync(&g_f);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
}

/* The pool fills up while an image is unpacked. */
static void import_into_a_filling_pool_leaves_nothing(void **state)
{
	static char bytes[60 * MIB];
	struct tarball t;
	char path[256];

	(void)state;
	g_f.config.loop_size = 300 * MIB;
	g_f.config.loop_max = 0;
	fixture_open(&g_f);
	snprintf(path, sizeof(path), "%s/ballast", g_f.path);
	fixture_fill(path, 175 * MIB);
	fixture_sync(&g_f);
	memset(bytes, 1, sizeof(bytes));
	tarball_begin(&t, "gzip");
	for (int i = 0; i < 2; i++)
		tarball_add(&t, &(struct tarball_entry){.name = i ? "a" : "b",
					.type = S_IFREG,
					.mode = 0644,
					.data = bytes,
					.data_size = sizeof(bytes)});
	g_f.config.image_max_size = 200 * MIB;
	fixture_close(&g_f);
	fixture_open(&g_f);
	assert_error(fixture_import_fd(&g_f, "big", tarball_end(&t), &g_err), ERR_NO_ROOM);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 0);
}

static void smallest_and_too_small_pools(void **state)
{
	(void)state;
	g_f.config.loop_size = 100 * MIB;
	assert_error(storage_open(&g_f.config, &g_f.storage, &g_err), ERR_INVALID);
	assert_true(access(g_f.loop_file, F_OK) < 0);
	g_f.config.loop_size = 256 * MIB;
	fixture_open(&g_f);
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
}

static void quotas_are_of_the_kind_that_was_asked_for(void **state)
{
	struct quota quota;
	int fd;

	(void)state;
	g_f.config.quota = STORAGE_QUOTA_CLASSIC;
	fixture_open(&g_f);
	/* Opened again by someone who would prefer the other kind: it stays as it was. */
	fd = open(g_f.path, O_RDONLY | O_DIRECTORY);
	assert_int_equal(quota_open(&quota, fd, true), 0);
	assert_int_equal(quota.mode, QUOTA_CLASSIC);
	close(fd);
}

#define T(name) FIXTURE_TEST(name, fixture_setup_closed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(release_leaves_neither_mount_nor_device),
		T(release_of_a_busy_pool_is_refused),
		T(second_opening_finds_the_first_ones_device_and_mount),
		T(device_without_a_mount_is_used),
		T(pool_is_mounted_again_in_another_mount_namespace),
		T(somebody_elses_file_is_refused_and_left_alone),
		T(directory_in_use_is_not_covered),
		T(directory_without_btrfs_is_refused),
		T(nobody_else_can_reach_the_files),
		T(pool_grows_by_itself_up_to_its_bound),
		T(full_pool_refuses_what_is_new_until_there_is_room),
		T(import_into_a_filling_pool_leaves_nothing),
		T(smallest_and_too_small_pools),
		T(quotas_are_of_the_kind_that_was_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, fixture_teardown);
}
