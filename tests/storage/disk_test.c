/* Volumes with a disk, on each kind of pool: made of an image, kept as snapshots, restored, copied,
 * given other sizes, and gone. What is in them is looked at through qemu-img and qemu-io. */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "diskfile.h"
#include "fixture.h"
#include "tarball.h"

#define ID   "0123456789ab"
#define ID2  "0123456789ac"
#define SIZE (32 * MIB)

static const char *path_of(const char *id, enum volume_part part)
{
	static char paths[4][256];
	static unsigned turn;
	char *path = paths[turn++ % 4];

	assert_int_equal(volume_path(g_f.storage, id, part, path, 256), 0);
	return path;
}

static void import(const char *name)
{
	static const enum disk_format raw = DISK_RAW;
	struct image_source source = {
		.kind = IMAGE_DISK, .fd = diskfile_raw(16 * MIB), .format = &raw};

	lseek(source.fd, 0, SEEK_SET);
	assert_ok(image_import(g_f.storage, name, &source, NULL, &g_err));
	close(source.fd);
}

static void make(void)
{
	import("disk");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", SIZE, NULL, &g_err));
}

static void guest_io(const char *id, const char *command)
{
	diskfile_run((const char *[]){
		"qemu-io", "-f", "qcow2", "-c", command, path_of(id, VOLUME_DISK), NULL});
}

/* qemu-io succeeds only when the pattern is there. */
static void assert_holds(const char *id, unsigned pattern, const char *where)
{
	char command[64];

	snprintf(command, sizeof(command), "read -P %u %s", pattern, where);
	guest_io(id, command);
}

static void assert_checks(const char *id)
{
	diskfile_run((const char *[]){
		"qemu-img", "check", "-q", "-f", "qcow2", path_of(id, VOLUME_DISK), NULL});
}

static uint64_t size_of(const char *id)
{
	struct volume_usage usage;

	assert_ok(volume_usage(g_f.storage, id, false, &usage, &g_err));
	return usage.size;
}

/* --- Made ------------------------------------------------------------------------------------ */

static void disk_is_an_overlay_on_its_own_base(void **state)
{
	struct image_disk disk;
	struct volume_usage usage;
	struct stat before, after;

	(void)state;
	import("disk");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", SIZE, &disk, &g_err));
	assert_int_equal(disk.format, DISK_RAW);
	assert_int_equal(disk.size, 16 * MIB);
	assert_ok(image_delete(g_f.storage, IMAGE_DISK, "disk", &g_err));
	assert_int_equal(size_of(ID), SIZE);
	assert_checks(ID);
	diskfile_run((const char *[]){"qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw",
		path_of(ID, VOLUME_DISK), path_of(ID, VOLUME_BASE), NULL});
	guest_io(ID, "write -P 17 0 1M");
	assert_ok(volume_usage(g_f.storage, ID, true, &usage, &g_err));
	assert_in_range(usage.used, MIB, 2 * MIB);
	/* Again: it is left as it is. */
	assert_int_equal(stat(path_of(ID, VOLUME_DISK), &before), 0);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", SIZE, &disk, &g_err));
	assert_int_equal(stat(path_of(ID, VOLUME_DISK), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_holds(ID, 17, "0 1M");
}

static void sizes_that_cannot_be_are_refused(void **state)
{
	(void)state;
	import("disk");
	assert_error(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", 15 * MIB, NULL, &g_err),
		ERR_INVALID);
	assert_error(volume_create(g_f.storage, ID, IMAGE_DISK, "disk", SIZE + 1, NULL, &g_err),
		ERR_INVALID);
	assert_error(volume_create(g_f.storage, ID, IMAGE_TREE, "disk", SIZE, NULL, &g_err),
		ERR_NOT_FOUND);
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

static mode_t mode_of(const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", g_f.path, name);
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void only_disks_can_be_reached(void **state)
{
	(void)state;
	make();
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID2, IMAGE_TREE, "little", SIZE, NULL, &g_err));
	assert_int_equal(mode_of("volumes"), 0711);
	assert_int_equal(mode_of("images"), 0700);
	assert_int_equal(mode_of("snapshots"), 0700);
	assert_int_equal(mode_of("volumes/" ID), 0711);
	assert_int_equal(mode_of("volumes/" ID2), 0700);
	assert_int_equal(mode_of("volumes/" ID "/disk.qcow2"), 0600);
}

/* --- Kept, restored, copied ------------------------------------------------------------------ */

static void older_snapshots_are_restored_and_newer_kept(void **state)
{
	char **names;

	(void)state;
	make();
	guest_io(ID, "write -P 1 0 1M");
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	guest_io(ID, "write -P 2 0 1M");
	assert_ok(snapshot_create(g_f.storage, ID, "two", &g_err));
	guest_io(ID, "write -P 3 0 1M");
	assert_ok(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err));
	assert_holds(ID, 1, "0 1M");
	assert_ok(snapshot_restore_undo(g_f.storage, ID, &g_err));
	assert_holds(ID, 3, "0 1M");
	for (int i = 0; i < 2; i++) {
		assert_ok(snapshot_restore(g_f.storage, ID, i ? "two" : "one", SIZE, &g_err));
		assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
		assert_holds(ID, i ? 2 : 1, "0 1M");
		guest_io(ID, "write -P 9 0 1M");
	}
	assert_ok(snapshot_list(g_f.storage, ID, &names, &g_err));
	assert_non_null(names[1]);
	for (char **name = names; *name; name++)
		free(*name);
	free(names);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
	assert_int_equal(fixture_count(&g_f, "snapshots"), 0);
}

static void restored_disk_is_as_large_as_the_guests(void **state)
{
	const uint64_t large = 64 * MIB;

	(void)state;
	make();
	guest_io(ID, "write -P 1 1M 1M");
	assert_ok(snapshot_create(g_f.storage, ID, "small", &g_err));
	assert_ok(volume_make_room(g_f.storage, ID, large, &g_err));
	assert_ok(volume_resize_disk(
		g_f.storage, ID, &(struct disk_resize){.size = large}, NULL, &g_err));
	assert_int_equal(size_of(ID), large);
	guest_io(ID, "write -P 2 40M 1M");
	assert_ok(snapshot_create(g_f.storage, ID, "large", &g_err));
	assert_ok(snapshot_restore(g_f.storage, ID, "small", large, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	assert_int_equal(size_of(ID), large);
	assert_holds(ID, 1, "1M 1M");
	assert_holds(ID, 0, "40M 1M");
	assert_error(snapshot_restore(g_f.storage, ID, "large", SIZE, &g_err), ERR_INVALID);
	assert_non_null(strstr(g_err.message, "67108864"));
	assert_int_equal(fixture_count(&g_f, "volumes"), 1);
	assert_int_equal(size_of(ID), large);
}

static void clone_is_another_machine(void **state)
{
	(void)state;
	make();
	guest_io(ID, "write -P 1 0 1M");
	assert_int_equal(fixture_fill(path_of(ID, VOLUME_MEMORY), MIB), MIB);
	assert_int_equal(fixture_fill(path_of(ID, VOLUME_SEED), 4096), 4096);
	assert_int_equal(fixture_fill(path_of(ID, VOLUME_NVRAM), 4096), 4096);
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_ok(volume_clone(g_f.storage, ID2, ID, "one", 2 * SIZE, &g_err));
	assert_int_equal(size_of(ID2), 2 * SIZE);
	assert_true(access(path_of(ID2, VOLUME_MEMORY), F_OK) < 0);
	assert_true(access(path_of(ID2, VOLUME_SEED), F_OK) < 0);
	assert_int_equal(access(path_of(ID2, VOLUME_NVRAM), F_OK), 0);
	assert_int_equal(access(path_of(ID, VOLUME_MEMORY), F_OK), 0);
	assert_ok(volume_destroy(g_f.storage, ID, &g_err));
	assert_holds(ID2, 1, "0 1M");
	guest_io(ID2, "write -P 5 0 1M");
	assert_checks(ID2);
	assert_error(volume_clone(g_f.storage, ID, ID2, NULL, SIZE, &g_err), ERR_INVALID);
	assert_ok(volume_destroy(g_f.storage, ID2, &g_err));
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

/* A guest writes its whole disk anew, again and again, with snapshots between: that is its own. */
static void full_disk_is_always_writable(void **state)
{
	(void)state;
	make();
	for (int i = 1; i < 6; i++) {
		char command[64];

		snprintf(command, sizeof(command), "write -P %d 0 32M", i);
		guest_io(ID, command);
		if (i < 4) {
			snprintf(command, sizeof(command), "s%d", i);
			assert_ok(snapshot_create(g_f.storage, ID, command, &g_err));
		}
		assert_ok(storage_tend(g_f.storage, &g_err));
	}
	assert_holds(ID, 5, "0 32M");
	assert_ok(snapshot_restore(g_f.storage, ID, "s2", SIZE, &g_err));
	assert_ok(snapshot_restore_finish(g_f.storage, ID, &g_err));
	guest_io(ID, "write -P 7 0 32M");
}

static void room_is_bounded(void **state)
{
	const char *memory;

	(void)state;
	make();
	memory = path_of(ID, VOLUME_MEMORY);
	assert_true(fixture_fill(memory, 400 * MIB) < 200 * MIB);
	assert_ok(volume_remove(g_f.storage, ID, VOLUME_MEMORY, &g_err));
	assert_ok(volume_remove(g_f.storage, ID, VOLUME_MEMORY, &g_err));
	assert_true(access(memory, F_OK) < 0);
	assert_error(volume_remove(g_f.storage, ID, VOLUME_DISK, &g_err), ERR_INVALID);
	fixture_sync(&g_f);
	assert_ok(volume_make_room(g_f.storage, ID, SIZE + 300 * MIB, &g_err));
	assert_int_equal(fixture_fill(memory, 300 * MIB), 300 * MIB);
	/* With it there, the disk's own room is beside it. */
	assert_ok(volume_make_room(g_f.storage, ID, SIZE, &g_err));
	guest_io(ID, "write -P 7 0 32M");
	assert_error(volume_resize(g_f.storage, ID, SIZE, NULL, &g_err), ERR_UNSUPPORTED);
}

/* --- Smaller --------------------------------------------------------------------------------- */

/* A whole-disk ext4 of 64 MiB with two MiB of files, as an image. */
static void import_ext4(void)
{
	char tree[128], file[160], disk[128];
	static const enum disk_format raw = DISK_RAW;
	struct image_source source = {.kind = IMAGE_DISK, .format = &raw};

	snprintf(tree, sizeof(tree), "%s/tree", g_f.dir);
	snprintf(file, sizeof(file), "%s/file", tree);
	snprintf(disk, sizeof(disk), "%s/ext4", g_f.dir);
	assert_int_equal(mkdir(tree, 0755), 0);
	assert_int_equal(fixture_fill(file, 2 * MIB), 2 * MIB);
	diskfile_run((const char *[]){"mkfs.ext4", "-q", "-d", tree, disk, "64M", NULL});
	source.fd = open(disk, O_RDONLY);
	assert_true(source.fd >= 0);
	assert_ok(image_import(g_f.storage, "ext4", &source, NULL, &g_err));
	close(source.fd);
	assert_ok(volume_create(g_f.storage, ID, IMAGE_DISK, "ext4", 96 * MIB, NULL, &g_err));
}

/* The file on it is what it was, and the file system whole. */
static void assert_whole(void)
{
	char raw[128], dump[160], command[200], file[160];

	snprintf(raw, sizeof(raw), "%s/raw", g_f.dir);
	snprintf(dump, sizeof(dump), "%s/dump", g_f.dir);
	snprintf(file, sizeof(file), "%s/tree/file", g_f.dir);
	snprintf(command, sizeof(command), "dump /file %s", dump);
	diskfile_run((const char *[]){"qemu-img", "convert", "-f", "qcow2", "-O", "raw",
		path_of(ID, VOLUME_DISK), raw, NULL});
	diskfile_run((const char *[]){"e2fsck", "-f", "-n", raw, NULL});
	diskfile_run((const char *[]){"debugfs", "-R", command, raw, NULL});
	diskfile_run((const char *[]){"cmp", dump, file, NULL});
}

static int resize_to(uint64_t size, uint64_t *ret_least)
{
	struct disk_resize resize = {.size = size};

	g_err = (struct err){0};
	return volume_resize_disk(g_f.storage, ID, &resize, ret_least, &g_err);
}

static void ext4_is_made_smaller_with_its_disk(void **state)
{
	uint64_t least = 0, told = 0;
	struct stat before, after;
	char reason[128];

	(void)state;
	import_ext4();
	assert_ok(volume_disk_least(g_f.storage, ID, &least, reason, sizeof(reason), &g_err));
	assert_in_range(least, 16 * MIB, 40 * MIB);
	assert_string_equal(reason, "");
	assert_true(resize_to(least - MIB, &told) < 0);
	assert_int_equal(g_err.code, ERR_INVALID);
	assert_int_equal(told, least);
	assert_int_equal(size_of(ID), 96 * MIB);
	/* As a driver leaves them to the user that QEMU runs as. */
	assert_int_equal(chown(path_of(ID, VOLUME_DISK), 1234, 1235), 0);
	assert_int_equal(chown(path_of(ID, VOLUME_BASE), 0, 1235), 0);
	assert_int_equal(chmod(path_of(ID, VOLUME_BASE), 0640), 0);
	assert_int_equal(stat(path_of(ID, VOLUME_DISK), &before), 0);
	assert_ok(resize_to(least, NULL));
	assert_int_equal(size_of(ID), least);
	assert_int_equal(stat(path_of(ID, VOLUME_DISK), &after), 0);
	assert_int_equal(after.st_uid, 1234);
	assert_int_equal(after.st_gid, 1235);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_whole();
	assert_ok(resize_to(96 * MIB, NULL));
	assert_whole();
	assert_checks(ID);
	assert_int_equal(fixture_count(&g_f, "volumes/" ID), 3);
}

static int at_once(void *data, uint64_t bytes)
{
	(void)data;
	(void)bytes;
	return 1;
}

static void what_cannot_be_made_smaller_stays(void **state)
{
	struct disk_resize resize = {.size = 20 * MIB, .progress = at_once};
	uint64_t least = 1;
	char reason[128];

	(void)state;
	make();
	assert_ok(volume_disk_least(g_f.storage, ID, &least, reason, sizeof(reason), &g_err));
	assert_int_equal(least, 0);
	assert_string_equal(reason, "the disk holds nothing that is known here");
	assert_true(resize_to(20 * MIB, &least) < 0);
	assert_int_equal(g_err.code, ERR_UNSUPPORTED);
	assert_int_equal(least, SIZE);
	assert_int_equal(size_of(ID), SIZE);
	assert_error(volume_resize_disk(g_f.storage, ID, &resize, NULL, &g_err), ERR_CANCELLED);
	assert_int_equal(size_of(ID), SIZE);
	assert_int_equal(fixture_count(&g_f, "volumes/" ID), 3);
}

/* The guest wrote a file system that is broken in ways that only a person can mend. */
static void broken_file_system_is_left_as_it_is(void **state)
{
	(void)state;
	import_ext4();
	guest_io(ID, "write -P 255 4k 200k");
	assert_true(resize_to(40 * MIB, NULL) < 0);
	assert_true(g_err.code == ERR_CONFLICT || g_err.code == ERR_INVALID);
	assert_int_equal(size_of(ID), 96 * MIB);
	assert_holds(ID, 255, "4k 200k");
	assert_int_equal(fixture_count(&g_f, "volumes/" ID), 3);
}

/* It would write on to what is a disk no more. */
static void disk_in_use_is_not_changed(void **state)
{
	int in[2], out[2];
	char byte;
	pid_t pid;

	(void)state;
	make();
	assert_ok(snapshot_create(g_f.storage, ID, "one", &g_err));
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		execlp("qemu-io", "qemu-io", "-f", "qcow2", path_of(ID, VOLUME_DISK), NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	/* Its prompt: it has the disk open. */
	assert_int_equal(read(out[0], &byte, 1), 1);
	assert_true(resize_to(64 * MIB, NULL) < 0);
	assert_int_equal(g_err.code, ERR_CONFLICT);
	assert_error(snapshot_restore(g_f.storage, ID, "one", SIZE, &g_err), ERR_CONFLICT);
	assert_int_equal(size_of(ID), SIZE);
	close(in[1]);
	close(out[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_ok(resize_to(64 * MIB, NULL));
}

/* A header as somebody would write it who broke out of the machine into its QEMU. */
static void disk_that_names_other_files_reaches_none(void **state)
{
	static const char evil[] = "/etc/shadow";
	char reason[128];
	uint64_t least;
	int fd;

	(void)state;
	make();
	fd = open(path_of(ID, VOLUME_DISK), O_RDWR);
	diskfile_patch(fd, 16, 4, strlen(evil));
	assert_int_equal(pwrite(fd, evil, strlen(evil), (off_t)diskfile_peek(fd, 8, 8)),
		(ssize_t)strlen(evil));
	close(fd);
	assert_error(volume_disk_least(g_f.storage, ID, &least, reason, sizeof(reason), &g_err),
		ERR_INTERNAL);
	assert_true(resize_to(64 * MIB, NULL) < 0);
	assert_non_null(strstr(g_err.message, "shadow"));
	assert_int_equal(size_of(ID), SIZE);
}

/* --- Their frame ----------------------------------------------------------------------------- */

#define T(name) FIXTURE_TEST(name, fixture_setup)

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
		T(disk_is_an_overlay_on_its_own_base),
		T(sizes_that_cannot_be_are_refused),
		T(only_disks_can_be_reached),
		T(older_snapshots_are_restored_and_newer_kept),
		T(restored_disk_is_as_large_as_the_guests),
		T(clone_is_another_machine),
		T(full_disk_is_always_writable),
		T(room_is_bounded),
		T(ext4_is_made_smaller_with_its_disk),
		T(what_cannot_be_made_smaller_stays),
		T(broken_file_system_is_left_as_it_is),
		T(disk_in_use_is_not_changed),
		T(disk_that_names_other_files_reaches_none),
	};

	(void)argc;
	return fixture_run_each(tests, ARRAY_SIZE(tests), argv[1]);
}
