/* What storage.h promises of images of trees, on every kind of pool. */
#include <archive_entry.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "fixture.h"
#include "tarball.h"
#include "volumes.h"

static void image_appears_whole_and_read_only(void **state)
{
	struct image image, *images;
	char path[256];
	size_t count;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(image_get(g_f.storage, IMAGE_TREE, "little", &image, &g_err));
	assert_string_equal(image.name, "little");
	assert_int_equal(image.entries, 6);
	assert_int_equal(image.size, 17);
	assert_int_equal(strlen(image.sha256), 64);
	assert_true(image.created_ms > 0);
	assert_ok(image_list(g_f.storage, &images, &count, &g_err));
	assert_int_equal(count, 1);
	free(images);
	snprintf(path, sizeof(path), "%s/images/tree/little/rootfs/x", g_f.path);
	assert_true(open(path, O_WRONLY | O_CREAT, 0644) < 0);
	assert_int_equal(errno, EROFS);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
}

static void image_name_is_taken_unless_replaced(void **state)
{
	struct image_source source = {.fd = tarball_little(), .replace = true};
	struct image image;
	struct tarball t;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	assert_error(fixture_import_fd(&g_f, "little", tarball_little(), &g_err), ERR_EXISTS);
	close(source.fd);
	tarball_begin(&t, "");
	tarball_file(&t, "new", 0644, "newer");
	source.fd = tarball_end(&t);
	assert_ok(image_import(g_f.storage, "little", &source, &image, &g_err));
	close(source.fd);
	assert_int_equal(image.entries, 1);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
	assert_int_equal(access(IN(ID, "etc/hostname"), F_OK), 0);
	assert_ok(volume_create(g_f.storage, ID2, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	assert_int_equal(access(IN(ID2, "new"), F_OK), 0);
}

static void image_is_deleted_under_its_volumes(void **state)
{
	struct image image;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 100 * MIB, NULL, &g_err));
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "little", &g_err));
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "little", &g_err));
	assert_error(image_get(g_f.storage, IMAGE_TREE, "little", &image, &g_err), ERR_NOT_FOUND);
	assert_int_equal(access(IN(ID, "etc/hostname"), F_OK), 0);
	assert_ok(volume_resize(g_f.storage, ID, 200 * MIB, NULL, &g_err));
}

static void image_hash_is_of_the_archive(void **state)
{
	/* printf of the bytes through sha256sum(1) */
	static const char hash[] =
		"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
	struct image_source source = {.fd = tarball_raw("hello\n", 6), .sha256 = hash};
	struct image image;

	(void)state;
	/* It is the right hash of what is no archive. */
	assert_error(image_import(g_f.storage, "a", &source, NULL, &g_err), ERR_INVALID);
	close(source.fd);
	source.fd = tarball_little();
	assert_error(image_import(g_f.storage, "a", &source, NULL, &g_err), ERR_INVALID);
	assert_string_equal(g_err.field, "sha256");
	assert_int_equal(fixture_count(&g_f, "images/tree"), 0);
	lseek(source.fd, 0, SEEK_SET);
	source.sha256 = NULL;
	assert_ok(image_import(g_f.storage, "a", &source, &image, &g_err));
	lseek(source.fd, 0, SEEK_SET);
	for (char *p = image.sha256; *p; p++)
		*p = (char)toupper(*p);
	source.sha256 = image.sha256;
	assert_ok(image_import(g_f.storage, "b", &source, NULL, &g_err));
	source.sha256 = "abc";
	assert_error(image_import(g_f.storage, "c", &source, NULL, &g_err), ERR_INVALID);
	close(source.fd);
}

static void image_may_be_compressed(void **state)
{
	static const char *const filters[] = {"gzip", "bzip2", "xz", "zstd", "lz4", "lzma"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		struct tarball t;

		tarball_begin(&t, filters[i]);
		tarball_file(&t, "a", 0644, "text");
		assert_ok(fixture_import_fd(&g_f, filters[i], tarball_end(&t), &g_err));
	}
	assert_int_equal(fixture_count(&g_f, "images/tree"), ARRAY_SIZE(filters));
}

/* cap_net_raw=ep, as setcap(8) stores it */
static const char g_capability[20] = {1, 0, 0, 2, 0, 0x20};

static void image_keeps_owners_modes_times_and_capabilities(void **state)
{
	char value[64], path[256];
	struct tarball t;
	struct stat st;

	(void)state;
	tarball_begin(&t, "");
	tarball_add(&t, &(struct tarball_entry){.name = "d",
				.type = AE_IFDIR,
				.mode = 01777,
				.uid = 5,
				.gid = 65535,
				.mtime = 1000});
	tarball_add(&t, &(struct tarball_entry){.name = "d/su",
				.type = AE_IFREG,
				.mode = 06755,
				.mtime = 2000,
				.data = "x",
				.data_size = 1});
	tarball_add(&t, &(struct tarball_entry){.name = "d/ping",
				.type = AE_IFREG,
				.mode = 0755,
				.xattr_name = "security.capability",
				.xattr_value = g_capability,
				.xattr_size = sizeof(g_capability)});
	assert_ok(fixture_import_fd(&g_f, "kept", tarball_end(&t), &g_err));
	snprintf(path, sizeof(path), "%s/images/tree/kept/rootfs/d", g_f.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_uid, 5);
	assert_int_equal(st.st_gid, 65535);
	assert_int_equal(st.st_mtime, 1000);
	strcat(path, "/su");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mtime, 2000);
	strcpy(strrchr(path, '/'), "/ping");
	assert_true(getxattr(path, "security.capability", value, sizeof(value)) >= 20);
	assert_memory_equal(value + 4, g_capability + 4, 8);
}

static int cancel_at_once(void *data, uint64_t bytes)
{
	(void)bytes;
	return ++*(int *)data;
}

static void import_can_be_cancelled_while_it_waits(void **state)
{
	int calls = 0, pipefd[2];
	struct image_source source = {.progress = cancel_at_once, .progress_data = &calls};

	(void)state;
	assert_int_equal(pipe(pipefd), 0);
	source.fd = pipefd[0];
	assert_error(image_import(g_f.storage, "a", &source, NULL, &g_err), ERR_CANCELLED);
	assert_int_equal(calls, 1);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 0);
	close(pipefd[0]);
	close(pipefd[1]);
}

static bool say_no(void *data)
{
	++*(int *)data;
	return false;
}

static void import_that_did_not_come_whole_changes_nothing(void **state)
{
	int calls = 0;
	struct image_source source = {
		.fd = tarball_little(), .replace = true, .whole = say_no, .whole_data = &calls};
	struct image before, after;

	(void)state;
	fixture_import(&g_f, "little");
	assert_ok(image_get(g_f.storage, IMAGE_TREE, "little", &before, &g_err));
	assert_error(image_import(g_f.storage, "little", &source, NULL, &g_err), ERR_MALFORMED);
	assert_int_equal(calls, 1);
	close(source.fd);
	assert_ok(image_get(g_f.storage, IMAGE_TREE, "little", &after, &g_err));
	assert_int_equal(after.created_ms, before.created_ms);
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
}

static int count_bytes(void *data, uint64_t bytes)
{
	*(uint64_t *)data = bytes;
	return 0;
}

static void import_tells_how_far_it_is(void **state)
{
	uint64_t bytes = 0;
	struct image_source source = {
		.fd = tarball_little(), .progress = count_bytes, .progress_data = &bytes};
	struct stat st;

	(void)state;
	fstat(source.fd, &st);
	assert_ok(image_import(g_f.storage, "a", &source, NULL, &g_err));
	assert_int_equal(bytes, st.st_size);
	close(source.fd);
}

#define T(name) FIXTURE_TEST(name, fixture_setup)

/* Runs on the kind of pool that is named, or on each. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(image_appears_whole_and_read_only),
		T(image_name_is_taken_unless_replaced),
		T(image_is_deleted_under_its_volumes),
		T(image_hash_is_of_the_archive),
		T(image_may_be_compressed),
		T(image_keeps_owners_modes_times_and_capabilities),
		T(import_can_be_cancelled_while_it_waits),
		T(import_that_did_not_come_whole_changes_nothing),
		T(import_tells_how_far_it_is),
	};

	(void)argc;
	return fixture_run_each(tests, ARRAY_SIZE(tests), argv[1]);
}
