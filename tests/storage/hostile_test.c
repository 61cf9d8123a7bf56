/* Hostile and broken archives: each is refused with the right code and a message that names what is
 * wrong, and leaves neither an image nor anything else. */
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "fixture.h"
#include "tarball.h"

/* --- The archives ---------------------------------------------------------------------------- */

static int named(const char *name)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_file(&t, name, 0644, "x");
	return tarball_end(&t);
}

static int absolute_name(void)
{
	return named("/var/tmp/corpus-escaped");
}

static int dotdot(void)
{
	return named("../../../../../../../../var/tmp/corpus-escaped");
}

static int dotdot_inside(void)
{
	return named("a/../b");
}

static int through_symlink(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_symlink(&t, "out", "/var/tmp");
	tarball_file(&t, "out/corpus-escaped", 0644, "x");
	return tarball_end(&t);
}

static int through_inner_symlink(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_dir(&t, "real", 0755);
	tarball_symlink(&t, "alias", "real");
	tarball_file(&t, "alias/deeper/file", 0644, "x");
	return tarball_end(&t);
}

static int over_symlink(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_symlink(&t, "passwd", "/etc/passwd");
	tarball_file(&t, "passwd", 0644, "x");
	return tarball_end(&t);
}

static int directory_over_symlink(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_symlink(&t, "d", "/var/tmp");
	tarball_dir(&t, "d", 0777);
	return tarball_end(&t);
}

static int hard_link_out(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_hard_link(&t, "shadow", "/etc/shadow");
	return tarball_end(&t);
}

static int hard_link_up(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_hard_link(&t, "shadow", "../../../../etc/shadow");
	return tarball_end(&t);
}

static int hard_link_through_symlink(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_symlink(&t, "etc", "/etc");
	tarball_hard_link(&t, "shadow", "etc/shadow");
	return tarball_end(&t);
}

static int hard_link_nowhere(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_file(&t, "a", 0644, "x");
	tarball_hard_link(&t, "b", "c");
	return tarball_end(&t);
}

static int hard_link_to_directory(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_dir(&t, "a", 0755);
	tarball_hard_link(&t, "b", "a");
	return tarball_end(&t);
}

static int of_type(mode_t type)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_add(&t, &(struct tarball_entry){.name = "dev/thing", .type = type, .mode = 0666});
	return tarball_end(&t);
}

static int character_device(void)
{
	return of_type(AE_IFCHR);
}

static int block_device(void)
{
	return of_type(AE_IFBLK);
}

static int fifo(void)
{
	return of_type(AE_IFIFO);
}

static int twice(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_file(&t, "a", 0644, "x");
	tarball_file(&t, "./a", 0644, "y");
	return tarball_end(&t);
}

static int file_below_file(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_file(&t, "a", 0644, "x");
	tarball_file(&t, "a/b", 0644, "y");
	return tarball_end(&t);
}

static int root_is_file(void)
{
	return named("./");
}

static int strange_owner(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_add(&t,
		&(struct tarball_entry){.name = "a", .type = AE_IFREG, .mode = 0644, .uid = 70000});
	return tarball_end(&t);
}

static int too_many_entries(void)
{
	struct tarball t;
	char name[16];

	tarball_begin(&t, "gzip");
	for (int i = 0; i < 1001; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tarball_file(&t, name, 0644, "");
	}
	return tarball_end(&t);
}

/* 80 MiB of zeros in 80 KiB. */
static int bomb(void)
{
	static char zeros[8 * MIB];
	struct tarball t;
	char name[16];

	tarball_begin(&t, "gzip");
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tarball_add(&t, &(struct tarball_entry){.name = name,
					.type = AE_IFREG,
					.mode = 0644,
					.data = zeros,
					.data_size = sizeof(zeros)});
	}
	return tarball_end(&t);
}

/* A terabyte that holds nothing. */
static int sparse_bomb(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_add(&t, &(struct tarball_entry){.name = "a",
				.type = AE_IFREG,
				.mode = 0644,
				.data = "x",
				.data_size = 1,
				.size = 1LL << 40});
	return tarball_end(&t);
}

static int many_xattrs(void)
{
	static char value[60000];
	struct tarball t;
	char name[16];

	memset(value, 'v', sizeof(value));
	tarball_begin(&t, "");
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		tarball_add(&t, &(struct tarball_entry){.name = name,
					.type = AE_IFREG,
					.mode = 0644,
					.xattr_name = "user.big",
					.xattr_value = value,
					.xattr_size = sizeof(value)});
	}
	return tarball_end(&t);
}

static int deep(void)
{
	char name[2 * 300 + 1];

	for (size_t i = 0; i < 300; i++)
		memcpy(name + 2 * i, "d/", 3);
	return named(name);
}

static int long_name(void)
{
	char name[300];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	return named(name);
}

static int empty_file(void)
{
	return tarball_raw("", 0);
}

static int no_entries(void)
{
	static const char zeros[10240];

	return tarball_raw(zeros, sizeof(zeros));
}

static int noise(void)
{
	char bytes[65536];

	random_bytes(bytes, sizeof(bytes));
	bytes[0] = 'n';
	return tarball_raw(bytes, sizeof(bytes));
}

static int zip(void)
{
	static const char bytes[512] = "PK\003\004\024";

	return tarball_raw(bytes, sizeof(bytes));
}

/* The first `size` bytes of the little archive. */
static int cut(size_t size)
{
	int whole = tarball_little(), fd;
	size_t all;
	char *data = tarball_read(whole, &all);

	close(whole);
	assert_true(size < all);
	fd = tarball_raw(data, size);
	free(data);
	return fd;
}

static int cut_in_header(void)
{
	return cut(512 + 100);
}

/* Between two entries: only the end mark is missing. */
static int cut_between_entries(void)
{
	return cut(1024);
}

static int cut_in_data(void)
{
	struct tarball t;
	char text[4097];
	size_t size;
	char *data;
	int fd, whole;

	memset(text, 't', 4096);
	text[4096] = '\0';
	tarball_begin(&t, "");
	tarball_file(&t, "a", 0644, text);
	whole = tarball_end(&t);
	data = tarball_read(whole, &size);
	close(whole);
	fd = tarball_raw(data, 2000);
	free(data);
	return fd;
}

static int cut_compressed(void)
{
	struct tarball t;
	char bytes[65536];
	size_t size;
	char *data;
	int fd, whole;

	random_bytes(bytes, sizeof(bytes));
	tarball_begin(&t, "xz");
	tarball_add(&t, &(struct tarball_entry){.name = "a",
				.type = AE_IFREG,
				.mode = 0644,
				.data = bytes,
				.data_size = sizeof(bytes)});
	whole = tarball_end(&t);
	data = tarball_read(whole, &size);
	close(whole);
	fd = tarball_raw(data, size - 40);
	free(data);
	return fd;
}

static const struct hostile {
	const char *name;
	int (*make)(void);
	enum err_code code;
	const char *says;
} g_hostile[] = {
	{"an absolute name", absolute_name, ERR_INVALID, "absolute"},
	{"..", dotdot, ERR_INVALID, ".."},
	{".. that stays inside", dotdot_inside, ERR_INVALID, "a/../b"},
	{"a file through a symlink out", through_symlink, ERR_INVALID, "symbolic link"},
	{"a file through a symlink inside", through_inner_symlink, ERR_INVALID, "symbolic link"},
	{"a file in the place of a symlink", over_symlink, ERR_INVALID, "twice"},
	{"a directory in the place of a symlink", directory_over_symlink, ERR_INVALID, "twice"},
	{"a hard link to an absolute name", hard_link_out, ERR_INVALID, "absolute"},
	{"a hard link with ..", hard_link_up, ERR_INVALID, ".."},
	{"a hard link through a symlink", hard_link_through_symlink, ERR_INVALID, "symbolic link"},
	{"a hard link to nothing", hard_link_nowhere, ERR_INVALID, "not there"},
	{"a hard link to a directory", hard_link_to_directory, ERR_INVALID, "not a file"},
	{"a character device", character_device, ERR_INVALID, "dev/thing is a character device"},
	{"a block device", block_device, ERR_INVALID, "dev/thing is a block device"},
	{"a FIFO", fifo, ERR_INVALID, "dev/thing is a FIFO"},
	{"an entry twice", twice, ERR_INVALID, "a appears twice"},
	{"a file below a file", file_below_file, ERR_INVALID, "not a directory"},
	{"a root that is a file", root_is_file, ERR_INVALID, ""},
	{"an owner beyond the id map", strange_owner, ERR_INVALID, "owner"},
	{"too many entries", too_many_entries, ERR_TOO_LARGE, "1000 entries"},
	{"a bomb", bomb, ERR_TOO_LARGE, "more than"},
	{"a sparse bomb", sparse_bomb, ERR_TOO_LARGE, "more than"},
	{"attributes that cannot be stored", many_xattrs, ERR_INVALID, "attributes"},
	{"a deep tree", deep, ERR_INVALID, "deep"},
	{"a long name", long_name, ERR_INVALID, "long"},
	{"nothing at all", empty_file, ERR_INVALID, ""},
	{"an archive without entries", no_entries, ERR_INVALID, "empty"},
	{"noise", noise, ERR_INVALID, "not a readable tar"},
	{"a zip", zip, ERR_INVALID, "not a readable tar"},
	{"a cut in a header", cut_in_header, ERR_INVALID, ""},
	{"a cut between entries", cut_between_entries, ERR_INVALID, "cut short"},
	{"a cut in a file's data", cut_in_data, ERR_INVALID, "cut short"},
	{"a cut compressed archive", cut_compressed, ERR_INVALID, ""},
};

static void assert_nothing_left(void)
{
	assert_int_equal(fixture_count(&g_f, "images/tree"), 0);
	assert_true(access("/var/tmp/corpus-escaped", F_OK) < 0);
}

static void each_is_refused_and_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(g_hostile); i++) {
		const struct hostile *h = &g_hostile[i];
		struct err err = {0};
		int r = fixture_import_fd(&g_f, "evil", h->make(), &err);

		if (r == 0 || err.code != h->code || !strstr(err.message, h->says))
			fail_msg("%s: %s: %s", h->name, r ? err_code_to_string(err.code) : "taken",
				r ? err.message : "");
		assert_nothing_left();
	}
}

/* Each byte of the headers in turn is flipped: whatever comes of it, nothing escapes and the
 * unpacker does not crash. */
static void flipped_bits_do_no_harm(void **state)
{
	int whole = tarball_little();
	size_t size;
	char *data = tarball_read(whole, &size);

	(void)state;
	close(whole);
	for (size_t at = 0; at < size && at < 4096; at += 37) {
		struct err err = {0};

		data[at] ^= 0x55;
		if (fixture_import_fd(&g_f, "flipped", tarball_raw(data, size), &err) == 0)
			assert_ok(image_delete(g_f.storage, IMAGE_TREE, "flipped", &g_err));
		else if (err.code != ERR_INVALID && err.code != ERR_TOO_LARGE)
			fail_msg("byte %zu: %s: %s", at, err_code_to_string(err.code), err.message);
		assert_false(strstr(err.message, "crash"));
		data[at] ^= 0x55;
	}
	free(data);
	assert_nothing_left();
}

/* The archive's symlinks are kept as they are, wherever they point: only the guest follows them. */
static void links_are_kept_and_not_followed(void **state)
{
	char path[256], target[64] = "";
	struct tarball t;
	struct stat a, b;

	(void)state;
	tarball_begin(&t, "");
	tarball_symlink(&t, "mtab", "/proc/mounts");
	tarball_symlink(&t, "up", "../../../../etc");
	tarball_file(&t, "a", 0644, "x");
	tarball_hard_link(&t, "b", "a");
	assert_ok(fixture_import_fd(&g_f, "links", tarball_end(&t), &g_err));
	snprintf(path, sizeof(path), "%s/images/tree/links/rootfs/up", g_f.path);
	assert_true(readlink(path, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../../../../etc");
	snprintf(path, sizeof(path), "%s/images/tree/links/rootfs/a", g_f.path);
	assert_int_equal(stat(path, &a), 0);
	snprintf(path, sizeof(path), "%s/images/tree/links/rootfs/b", g_f.path);
	assert_int_equal(stat(path, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "links", &g_err));
}

/* A directory that is not listed is made, and repeated directories are one. */
static void missing_and_repeated_directories_are_no_fault(void **state)
{
	struct tarball t;
	struct stat st;
	char path[256];

	(void)state;
	tarball_begin(&t, "");
	tarball_file(&t, "a/b/c", 0644, "x");
	tarball_dir(&t, "a/b", 0700);
	tarball_dir(&t, "a/b/", 0750);
	assert_ok(fixture_import_fd(&g_f, "dirs", tarball_end(&t), &g_err));
	snprintf(path, sizeof(path), "%s/images/tree/dirs/rootfs/a/b", g_f.path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "dirs", &g_err));
}

static void what_follows_the_end_is_read_but_not_believed(void **state)
{
	int whole = tarball_little(), evil = absolute_name(), fd;
	size_t size, more;
	char *data = tarball_read(whole, &size), *rest = tarball_read(evil, &more);
	struct image image;

	(void)state;
	close(whole);
	close(evil);
	data = realloc(data, size + more);
	assert_non_null(data);
	memcpy(data + size, rest, more);
	fd = tarball_raw(data, size + more);
	assert_ok(fixture_import_fd(&g_f, "twofold", fd, &g_err));
	assert_ok(image_get(g_f.storage, IMAGE_TREE, "twofold", &image, &g_err));
	assert_int_equal(image.entries, 6);
	assert_ok(image_delete(g_f.storage, IMAGE_TREE, "twofold", &g_err));
	assert_nothing_left();
	free(data);
	free(rest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_refused_and_leaves_nothing),
		cmocka_unit_test(flipped_bits_do_no_harm),
		cmocka_unit_test(links_are_kept_and_not_followed),
		cmocka_unit_test(missing_and_repeated_directories_are_no_fault),
		cmocka_unit_test(what_follows_the_end_is_read_but_not_believed),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
