/* The small disk of a machine's first boot: what is put into it comes out of it, an older one stays
 * until it is there, and a failure leaves nothing. */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "fixture.h"

#define ID "0123456789ab"

static char g_iso[256];

static const struct volume_seed_file FILES[] = {
	{.name = "meta-data", .content = "{}\n", .size = 3},
	{.name = "user-data", .content = "a\0b", .size = 3},
	{.name = "network-config", .content = "", .size = 0},
};

static int write_seed(const struct volume_seed_file *files, size_t count, struct err *err)
{
	return volume_write_seed(g_f.storage, ID, "CIDATA", files, count, err);
}

static void assert_in(const char *iso, size_t iso_size, const struct volume_seed_file *file)
{
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	char bytes[64];

	archive_read_support_format_iso9660(archive);
	assert_int_equal(archive_read_open_memory(archive, iso, iso_size), ARCHIVE_OK);
	do
		assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
	while (strcmp(archive_entry_pathname(entry), file->name) != 0);
	assert_int_equal(archive_entry_perm(entry), 0444);
	assert_int_equal(archive_read_data(archive, bytes, sizeof(bytes)), file->size);
	assert_memory_equal(bytes, file->content, file->size);
	archive_read_free(archive);
}

static void what_is_put_in_comes_out(void **state)
{
	AUTOFREE char *bytes = NULL;
	struct stat st;
	size_t size;

	(void)state;
	assert_int_equal(write_seed(FILES, 3, NULL), 0);
	assert_int_equal(stat(g_iso, &st), 0);
	/* There may be keys and hashes of passwords in it. */
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(st.st_size < 1 << 20);
	/* ECMA-119, 8.4: the volume's identifier, by which it is found. */
	assert_int_equal(file_read(g_iso, 1 << 20, &bytes, &size), 0);
	assert_memory_equal(bytes + 32768 + 40, "CIDATA ", 7);
	for (size_t i = 0; i < 3; i++)
		assert_in(bytes, size, &FILES[i]);
}

static void a_machine_that_reads_the_old_one_keeps_it(void **state)
{
	AUTOCLOSE int old = -1;
	struct stat before, after;

	(void)state;
	assert_int_equal(write_seed(FILES, 1, NULL), 0);
	old = open(g_iso, O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(old, &before), 0);
	assert_int_equal(write_seed(FILES, 3, NULL), 0);
	assert_int_equal(stat(g_iso, &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(fstat(old, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
}

static void what_cannot_be_leaves_the_old_one(void **state)
{
	const struct volume_seed_file slash = {.name = "a/b", .content = "", .size = 0};
	const struct volume_seed_file line = {.name = "a\nb", .content = "", .size = 0};
	AUTOFREE char *huge_content = calloc(1, (16 << 20) + 1);
	const struct volume_seed_file huge = {
		.name = "huge", .content = huge_content, .size = (16 << 20) + 1};
	struct err err;
	struct stat before, after;
	char path[300];

	(void)state;
	assert_int_equal(write_seed(FILES, 1, NULL), 0);
	assert_int_equal(stat(g_iso, &before), 0);
	assert_true(write_seed(&slash, 1, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
	assert_true(write_seed(&line, 1, &err) < 0);
	assert_true(write_seed(&huge, 1, &err) < 0);
	assert_non_null(strstr(err.message, "cannot make the seed"));
	assert_int_equal(stat(g_iso, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	snprintf(path, sizeof(path), "%.*s/.seed.new", (int)(strrchr(g_iso, '/') - g_iso), g_iso);
	assert_int_equal(access(path, F_OK), -1);
	assert_true(volume_write_seed(g_f.storage, "ba9876543210", "CIDATA", FILES, 1, &err) < 0);
	assert_int_equal(err.code, ERR_NOT_FOUND);
	assert_true(volume_write_seed(g_f.storage, "../x", "CIDATA", FILES, 1, &err) < 0);
	assert_int_equal(err.code, ERR_INVALID);
}

static int begin(void **state)
{
	fixture_setup(state);
	fixture_import(&g_f, "busybox");
	assert_int_equal(
		volume_create(g_f.storage, ID, IMAGE_TREE, "busybox", 64 * MIB, NULL, NULL), 0);
	return volume_path(g_f.storage, ID, VOLUME_SEED, g_iso, sizeof(g_iso));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_put_in_comes_out),
		cmocka_unit_test(a_machine_that_reads_the_old_one_keeps_it),
		cmocka_unit_test(what_cannot_be_leaves_the_old_one),
	};

	return cmocka_run_group_tests_name("seed", tests, begin, fixture_teardown);
}
