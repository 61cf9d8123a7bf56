/* Files that the node puts into volumes: written whole or not at all, with owners kept, and never
 * outside the guest's root, whatever links it holds and however it races. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "fixture.h"

#define ID "0123456789ab"

static char *in_guest(char buf[static 256], const char *path)
{
	char root[160];

	assert_int_equal(volume_path(g_f.storage, ID, VOLUME_ROOTFS, root, sizeof(root)), 0);
	snprintf(buf, 256, "%s%s", root, path);
	return buf;
}
#define IN(path) in_guest((char[256]){0}, path)

static char *outside(char buf[static 128], const char *name)
{
	snprintf(buf, 128, "%s/%s", g_f.dir, name);
	return buf;
}
#define OUTSIDE(name) outside((char[128]){0}, name)

static void put(const char *path, const char *text)
{
	assert_int_equal(file_replace(path, text, 0644, false), 0);
}

static void assert_holds(const char *path, const char *text)
{
	AUTOFREE char *found = NULL;

	assert_int_equal(file_read(path, 4096, &found, NULL), 0);
	assert_string_equal(found, text);
}

static struct volume_file text_file(const char *path, const char *text)
{
	return (struct volume_file){
		.path = path, .content = text, .size = strlen(text), .mode = 0644};
}

static int write_one(struct volume_file file)
{
	g_err = (struct err){0};
	return volume_write_files(g_f.storage, ID, &file, 1, &g_err);
}

static int write_text(const char *path, const char *text)
{
	return write_one(text_file(path, text));
}

static void a_new_file_gets_its_mode_and_is_roots(void **state)
{
	struct volume_file file = text_file("/etc/secret", "s");
	struct stat st;

	(void)state;
	file.mode = 0600;
	assert_int_equal(write_one(file), 0);
	assert_holds(IN("/etc/secret"), "s");
	assert_int_equal(stat(IN("/etc/secret"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, 0);
}

static void a_replaced_file_keeps_owner_and_mode(void **state)
{
	struct stat st;

	(void)state;
	put(IN("/etc/f"), "old");
	assert_int_equal(chown(IN("/etc/f"), 0, 42), 0);
	assert_int_equal(chmod(IN("/etc/f"), 0640), 0);
	assert_int_equal(write_text("/etc/f", "new"), 0);
	assert_holds(IN("/etc/f"), "new");
	assert_int_equal(stat(IN("/etc/f"), &st), 0);
	assert_int_equal(st.st_gid, 42);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void what_has_the_file_open_keeps_the_old_one(void **state)
{
	char text[8] = "";
	int fd;

	(void)state;
	put(IN("/etc/f"), "old");
	fd = open(IN("/etc/f"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(write_text("/etc/f", "new"), 0);
	assert_int_equal(read(fd, text, sizeof(text) - 1), 3);
	assert_string_equal(text, "old");
	close(fd);
}

static void a_file_is_removed_once_or_twice(void **state)
{
	(void)state;
	put(IN("/etc/f"), "x");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(write_one((struct volume_file){.path = "/etc/f"}), 0);
		assert_int_equal(access(IN("/etc/f"), F_OK), -1);
	}
	assert_int_equal(write_one((struct volume_file){.path = "/no/such/f", .parents = true}), 0);
	assert_int_equal(access(IN("/no"), F_OK), -1);
}

static void a_file_whose_directory_is_missing_is_left_out_or_gets_it(void **state)
{
	struct volume_file file = text_file("/var/lib/cloud/seed/x", "x");
	struct volume_file keys = text_file("/root/.ssh/authorized_keys", "k");
	mode_t before = umask(077);
	struct stat st;

	(void)state;
	assert_int_equal(write_one(file), 0);
	assert_int_equal(access(IN("/var/lib/cloud"), F_OK), -1);
	file.parents = keys.parents = true;
	assert_int_equal(write_one(file), 0);
	assert_int_equal(write_one(keys), 0);
	umask(before);
	assert_holds(IN("/var/lib/cloud/seed/x"), "x");
	assert_int_equal(stat(IN("/var/lib/cloud/seed"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(stat(IN("/root/.ssh"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void what_a_crash_left_is_overwritten(void **state)
{
	(void)state;
	put(IN("/etc/.f.corpus"), "half");
	assert_int_equal(write_text("/etc/f", "whole"), 0);
	assert_holds(IN("/etc/f"), "whole");
	assert_int_equal(access(IN("/etc/.f.corpus"), F_OK), -1);
}

static void assert_refused(int r, const char *path)
{
	assert_true(r < 0);
	assert_int_equal(g_err.code, ERR_CONFLICT);
	assert_non_null(strstr(g_err.message, path));
}

static int read_text(const char *path, char **ret)
{
	g_err = (struct err){0};
	return volume_read_file(g_f.storage, ID, path, 4096, ret, NULL, &g_err);
}

static void links_lead_nowhere(void **state)
{
	static const char *const targets[] = {
		"/", "..", "../../../../../..", ".", "etc", "/proc/self/root", "missing"};

	(void)state;
	put(OUTSIDE("victim"), "unharmed");
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct volume_file file = text_file("/way/victim", "harm");
		AUTOFREE char *text = NULL;

		unlink(IN("/way"));
		assert_int_equal(symlink(targets[i], IN("/way")), 0);
		file.parents = true;
		assert_refused(write_one(file), "/way/victim");
		assert_refused(write_one((struct volume_file){.path = "/way/victim"}), "/way");
		assert_refused(read_text("/way/victim", &text), "/way/victim");
	}
	assert_holds(OUTSIDE("victim"), "unharmed");
}

static void a_file_that_is_a_link_is_neither_followed_nor_replaced(void **state)
{
	char link[128] = "";
	AUTOFREE char *text = NULL;

	(void)state;
	put(OUTSIDE("victim"), "unharmed");
	assert_int_equal(symlink(OUTSIDE("victim"), IN("/etc/shadow")), 0);
	assert_refused(write_text("/etc/shadow", "harm"), "/etc/shadow");
	assert_refused(write_one((struct volume_file){.path = "/etc/shadow"}), "/etc/shadow");
	assert_refused(read_text("/etc/shadow", &text), "/etc/shadow");
	assert_holds(OUTSIDE("victim"), "unharmed");
	assert_true(readlink(IN("/etc/shadow"), link, sizeof(link) - 1) > 0);
	assert_string_equal(link, OUTSIDE("victim"));
}

static void what_is_no_file_is_left_alone(void **state)
{
	AUTOFREE char *text = NULL;

	(void)state;
	assert_int_equal(mkfifo(IN("/etc/fifo"), 0644), 0);
	assert_int_equal(mknod(IN("/etc/device"), S_IFCHR | 0600, 0), 0);
	assert_int_equal(mkdir(IN("/etc/dir"), 0755), 0);
	assert_refused(write_text("/etc/fifo", "x"), "/etc/fifo");
	assert_refused(write_text("/etc/device", "x"), "/etc/device");
	assert_refused(write_text("/etc/dir", "x"), "/etc/dir");
	assert_refused(read_text("/etc/fifo", &text), "/etc/fifo");
	assert_refused(read_text("/etc/device", &text), "/etc/device");
	assert_refused(read_text("/etc/dir", &text), "/etc/dir");
	assert_refused(write_text("/etc/fifo/x", "x"), "/etc/fifo/x");
}

static void what_stands_where_our_file_is_written_is_no_way_out(void **state)
{
	(void)state;
	put(OUTSIDE("victim"), "unharmed");
	assert_int_equal(symlink(OUTSIDE("victim"), IN("/etc/.f.corpus")), 0);
	assert_int_equal(write_text("/etc/f", "x"), 0);
	assert_holds(OUTSIDE("victim"), "unharmed");
	assert_holds(IN("/etc/f"), "x");
	assert_int_equal(mkdir(IN("/etc/.g.corpus"), 0755), 0);
	assert_refused(write_text("/etc/g", "x"), "/etc/g");
}

static void a_mount_in_the_volume_is_not_crossed(void **state)
{
	AUTOFREE char *text = NULL;
	int wrote, read;

	(void)state;
	assert_int_equal(mkdir(OUTSIDE("elsewhere"), 0755), 0);
	put(OUTSIDE("elsewhere/f"), "unharmed");
	assert_int_equal(mkdir(IN("/m"), 0755), 0);
	assert_int_equal(mount(OUTSIDE("elsewhere"), IN("/m"), NULL, MS_BIND, NULL), 0);
	wrote = write_text("/m/f", "harm");
	read = read_text("/m/f", &text);
	umount2(IN("/m"), MNT_DETACH);
	assert_refused(wrote, "/m/f");
	assert_refused(read, "/m/f");
	assert_holds(OUTSIDE("elsewhere/f"), "unharmed");
}

static void a_lease_does_not_hold_us_up(void **state)
{
	AUTOFREE char *text = NULL;
	int64_t before = clock_monotonic_ns();
	int fd;

	(void)state;
	put(IN("/etc/f"), "x");
	fd = open(IN("/etc/f"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	signal(SIGIO, SIG_IGN);
	assert_refused(read_text("/etc/f", &text), "/etc/f");
	close(fd);
	assert_true(clock_monotonic_ns() - before < 30000000000LL);
}

static void reading_is_bounded_and_says_what_is_missing(void **state)
{
	AUTOFREE char *text = NULL;
	size_t size = 0;

	(void)state;
	put(IN("/etc/f"), "12345");
	assert_ok(volume_read_file(g_f.storage, ID, "/etc/f", 5, &text, &size, &g_err));
	assert_int_equal(size, 5);
	assert_string_equal(text, "12345");
	text = (free(text), NULL);
	assert_error(
		volume_read_file(g_f.storage, ID, "/etc/f", 4, &text, NULL, &g_err), ERR_TOO_LARGE);
	assert_error(read_text("/etc/none", &text), ERR_NOT_FOUND);
	assert_error(read_text("/none/none", &text), ERR_NOT_FOUND);
	assert_error(volume_read_file(g_f.storage, "ffffffffffff", "/x", 9, &text, NULL, &g_err),
		ERR_NOT_FOUND);
	assert_error(
		volume_read_file(g_f.storage, "../x", "/x", 9, &text, NULL, &g_err), ERR_INVALID);
	assert_null(text);
}

static void files_are_written_in_order_up_to_the_first_that_fails(void **state)
{
	struct volume_file files[] = {text_file("/etc/a", "1"), text_file("/etc/passwd/no", "2"),
		text_file("/etc/c", "3")};

	(void)state;
	put(IN("/etc/passwd"), "");
	g_err = (struct err){0};
	assert_refused(volume_write_files(g_f.storage, ID, files, 3, &g_err), "/etc/passwd/no");
	assert_holds(IN("/etc/a"), "1");
	assert_int_equal(access(IN("/etc/c"), F_OK), -1);
}

static void a_full_guest_keeps_its_old_file(void **state)
{
	AUTOFREE char *large = calloc(1, 1 << 20);

	(void)state;
	put(IN("/etc/f"), "old");
	fixture_fill(IN("/filler"), 64 * MIB);
	memset(large, 'x', (1 << 20) - 1);
	assert_true(write_text("/etc/f", large) < 0);
	assert_int_equal(g_err.code, ERR_NO_ROOM);
	assert_holds(IN("/etc/f"), "old");
	assert_int_equal(access(IN("/etc/.f.corpus"), F_OK), -1);
}

/* --- Races ----------------------------------------------------------------------------------- */

static atomic_bool g_stop;

/* A directory that is now a directory, now a link to outside. */
static void *swap_directory(void *data)
{
	char way[256], real[256], link[256];

	(void)data;
	in_guest(way, "/way");
	in_guest(real, "/real");
	in_guest(link, "/link");
	while (!g_stop) {
		renameat2(AT_FDCWD, way, AT_FDCWD, link, RENAME_EXCHANGE);
		renameat2(AT_FDCWD, way, AT_FDCWD, real, RENAME_EXCHANGE);
	}
	return NULL;
}

/* A file, and what is beside it, that are now files, now links to outside. */
static void *swap_file(void *data)
{
	char beside[256], file[256];

	(void)data;
	in_guest(beside, "/real/.f.corpus");
	in_guest(file, "/real/f");
	while (!g_stop) {
		unlink(beside);
		if (symlink(OUTSIDE("victim"), beside) == 0)
			rename(beside, file);
		unlink(file);
	}
	return NULL;
}

static void race(void *(*attack)(void *), const char *path)
{
	int64_t deadline = clock_monotonic_ns() + 300000000;
	unsigned written = 0, refused = 0;
	pthread_t thread;

	g_stop = false;
	assert_int_equal(pthread_create(&thread, NULL, attack, NULL), 0);
	while (clock_monotonic_ns() < deadline) {
		AUTOFREE char *text = NULL;
		struct volume_file file = text_file(path, "ours");

		file.parents = true;
		*(write_one(file) == 0 ? &written : &refused) += 1;
		if (read_text(path, &text) == 0 && strcmp(text, "unharmed") == 0)
			break;
	}
	g_stop = true;
	pthread_join(thread, NULL);
	assert_true(clock_monotonic_ns() >= deadline);
	assert_true(written + refused > 100);
	assert_holds(OUTSIDE("victim"), "unharmed");
	assert_int_equal(access(OUTSIDE("sub"), F_OK), -1);
}

static void a_race_with_links_does_not_lead_outside(void **state)
{
	(void)state;
	put(OUTSIDE("victim"), "unharmed");
	assert_int_equal(mkdir(IN("/way"), 0755), 0);
	assert_int_equal(mkdir(IN("/real"), 0755), 0);
	assert_int_equal(symlink(g_f.dir, IN("/link")), 0);
	race(swap_directory, "/way/victim");
	race(swap_directory, "/way/sub/victim");
}

static void a_race_for_the_file_itself_does_not_lead_outside(void **state)
{
	(void)state;
	put(OUTSIDE("victim"), "unharmed");
	assert_int_equal(mkdir(IN("/real"), 0755), 0);
	race(swap_file, "/real/f");
}

static int begin(void **state)
{
	fixture_setup(state);
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", 32 * MIB, NULL, &g_err));
	return 0;
}

#define TEST(name) FIXTURE_TEST(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_file_gets_its_mode_and_is_roots),
		TEST(a_replaced_file_keeps_owner_and_mode),
		TEST(what_has_the_file_open_keeps_the_old_one),
		TEST(a_file_is_removed_once_or_twice),
		TEST(a_file_whose_directory_is_missing_is_left_out_or_gets_it),
		TEST(what_a_crash_left_is_overwritten),
		TEST(links_lead_nowhere),
		TEST(a_file_that_is_a_link_is_neither_followed_nor_replaced),
		TEST(what_is_no_file_is_left_alone),
		TEST(what_stands_where_our_file_is_written_is_no_way_out),
		TEST(a_mount_in_the_volume_is_not_crossed),
		TEST(a_lease_does_not_hold_us_up),
		TEST(reading_is_bounded_and_says_what_is_missing),
		TEST(files_are_written_in_order_up_to_the_first_that_fails),
		TEST(a_full_guest_keeps_its_old_file),
		TEST(a_race_with_links_does_not_lead_outside),
		TEST(a_race_for_the_file_itself_does_not_lead_outside),
	};

	return cmocka_run_group_tests_name("files", tests, NULL, fixture_teardown);
}
