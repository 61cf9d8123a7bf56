/* A pool of its own for each test. */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/random.h"
#include "storage/btrfs.h"
#include "storage/loop.h"
#include "tarball.h"

#define DEADLINE_NS (60 * 1000000000LL)

const struct backend g_backends[] = {
	{"loop-simple", false, STORAGE_QUOTA_AUTO},
	{"loop-classic", false, STORAGE_QUOTA_CLASSIC},
	{"existing", true, STORAGE_QUOTA_AUTO},
};
const size_t g_backends_count = ARRAY_SIZE(g_backends);

struct err g_err;
struct fixture g_f;

static void make_host(struct fixture *f)
{
	char device[LOOP_DEVICE_MAX];
	int fd;

	snprintf(f->host, sizeof(f->host), "%s/host", f->dir);
	snprintf(f->host_file, sizeof(f->host_file), "%s/host.img", f->dir);
	assert_int_equal(mkdir(f->host, 0755), 0);
	assert_ok(loop_make(f->host_file, GIB, &g_err));
	fd = loop_attach(f->host_file, device, &g_err);
	assert_true(fd >= 0);
	assert_int_equal(mount(device, f->host, "btrfs", MS_NOATIME, NULL), 0);
	close(fd);
}

void fixture_configure(
	struct fixture *f, const struct backend *backend, const char *path, const char *loop_file)
{
	f->backend = backend;
	snprintf(f->path, sizeof(f->path), "%s", path);
	snprintf(f->loop_file, sizeof(f->loop_file), "%s", loop_file);
	f->config = (struct storage_config){.path = f->path,
		.loop_file = backend->on_existing ? NULL : f->loop_file,
		.loop_size = GIB,
		.loop_max = GIB,
		.unpack_helper = TEST_BINARY_DIR "/bin/corpus-unpack",
		.image_max_size = 64 * MIB,
		.image_max_entries = 1000,
		.quota = backend->quota};
}

void fixture_prepare(struct fixture *f, const struct backend *backend)
{
	char path[96], loop_file[96];

	fixture_end(f); /* of a test whose setup failed */
	memset(f, 0, sizeof(*f));
	strcpy(f->dir, "/var/tmp/corpus-storage-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(path, sizeof(path), "%s/%s", f->dir, backend->on_existing ? "host/pool" : "pool");
	snprintf(loop_file, sizeof(loop_file), "%s/pool.img", f->dir);
	fixture_configure(f, backend, path, loop_file);
	if (backend->on_existing)
		make_host(f);
}

void fixture_open(struct fixture *f)
{
	assert_ok(storage_open(&f->config, &f->storage, &g_err));
}

void fixture_close(struct fixture *f)
{
	f->storage = storage_close(f->storage);
}

void fixture_discard(struct fixture *f)
{
	if (f->backend->on_existing)
		return;
	umount2(f->path, MNT_DETACH);
	unlink(f->loop_file);
}

void fixture_sync(struct fixture *f)
{
	int fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, BTRFS_IOC_SYNC), 0);
	close(fd);
}

void fixture_end(struct fixture *f)
{
	if (!f->dir[0])
		return;
	fixture_close(f);
	/* Lazily: a test that failed may have left something open. */
	umount2(f->path, MNT_DETACH);
	umount2(f->host, MNT_DETACH);
	file_remove_tree(f->dir);
	f->dir[0] = '\0';
}

int fixture_setup_closed(void **state)
{
	fixture_prepare(&g_f, *state ? *state : &g_backends[0]);
	return 0;
}

int fixture_setup(void **state)
{
	fixture_setup_closed(state);
	fixture_open(&g_f);
	return 0;
}

int fixture_teardown(void **state)
{
	(void)state;
	fixture_end(&g_f);
	return 0;
}

static int run_on(const struct backend *backend, struct CMUnitTest *tests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		tests[i].initial_state = (void *)backend;
	return _cmocka_run_group_tests(backend->name, tests, count, NULL, fixture_teardown);
}

int fixture_run_each(struct CMUnitTest *tests, size_t count, const char *only)
{
	int failed = 0;

	for (size_t i = 0; i < g_backends_count; i++)
		if (!only || strcmp(only, g_backends[i].name) == 0)
			failed += run_on(&g_backends[i], tests, count);
	return failed;
}

int fixture_run_loops(struct CMUnitTest *tests, size_t count)
{
	int failed = 0;

	for (size_t i = 0; i < g_backends_count; i++)
		if (!g_backends[i].on_existing)
			failed += run_on(&g_backends[i], tests, count);
	return failed;
}

int fixture_import_fd(struct fixture *f, const char *name, int fd, struct err *err)
{
	struct image_source source = {.fd = fd};
	int r = image_import(f->storage, name, &source, NULL, err);

	close(fd);
	return r;
}

void fixture_import(struct fixture *f, const char *name)
{
	assert_ok(fixture_import_fd(f, name, tarball_little(), &g_err));
}

size_t fixture_count(struct fixture *f, const char *name)
{
	char path[256];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", f->path, name);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(dir);
	return count;
}

size_t fixture_groups(struct fixture *f)
{
	uint8_t fsid[BTRFS_FSID_SIZE_];
	char text[BTRFS_FSID_TEXT], path[128];
	struct dirent *entry;
	size_t count = 0;
	int fd = open(f->path, O_RDONLY);
	DIR *dir;

	assert_int_equal(btrfs_fsid(fd, fsid), 0);
	assert_int_equal(ioctl(fd, BTRFS_IOC_SYNC), 0);
	close(fd);
	btrfs_fsid_format(fsid, text);
	snprintf(path, sizeof(path), "/sys/fs/btrfs/%s/qgroups", text);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += strncmp(entry->d_name, "0_", 2) == 0;
	closedir(dir);
	return count;
}

void fixture_note_groups(struct fixture *f)
{
	f->groups = fixture_groups(f);
}

static bool groups_are_as_before(struct fixture *f)
{
	assert_ok(storage_tend(f->storage, &g_err));
	return fixture_groups(f) == f->groups;
}

void fixture_await_groups(struct fixture *f)
{
	if (!fixture_eventually(f, groups_are_as_before))
		fail_msg("%zu quota groups, not %zu", fixture_groups(f), f->groups);
}

uint64_t fixture_fill(const char *path, uint64_t size)
{
	static uint8_t chunk[MIB];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	uint64_t done = 0;

	assert_true(fd >= 0);
	random_bytes(chunk, sizeof(chunk));
	while (done < size) {
		size_t part = size - done < sizeof(chunk) ? (size_t)(size - done) : sizeof(chunk);
		ssize_t n = write(fd, chunk, part);

		if (n <= 0)
			break;
		done += (uint64_t)n;
	}
	close(fd);
	return done;
}

bool fixture_eventually(struct fixture *f, bool (*holds)(struct fixture *f))
{
	int64_t deadline = clock_monotonic_ns() + DEADLINE_NS;

	while (!holds(f)) {
		if (clock_monotonic_ns() > deadline)
			return false;
		poll(NULL, 0, 20);
	}
	return true;
}
