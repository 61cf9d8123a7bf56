/* Imports of disks: what is one comes whole and as it was; what only pretends to be one, or refers
 * to anything else, is refused with the reason, and leaves nothing. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "diskfile.h"
#include "fixture.h"
#include "tarball.h"

#define SIZE (16 * MIB)

static const enum disk_format g_raw = DISK_RAW, g_qcow2 = DISK_QCOW2;

static int import_disk(int fd, const enum disk_format *format, struct image *ret, struct err *err)
{
	struct image_source source = {
		.kind = IMAGE_DISK, .fd = fd, .format = format, .boot = DISK_BOOT_UEFI};
	int r;

	lseek(fd, 0, SEEK_SET);
	r = image_import(g_f.storage, "disk", &source, ret, err);
	close(fd);
	return r;
}

static void assert_nothing_left(void)
{
	assert_int_equal(fixture_count(&g_f, "images/disk"), 0);
	assert_int_equal(fixture_count(&g_f, "volumes"), 0);
}

static const char *part(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/images/disk/disk/%s", g_f.path, name);
	return path;
}

static void assert_same(int fd, const char *path)
{
	AUTOCLOSE int other = open(path, O_RDONLY);
	static uint8_t a[MIB], b[MIB];
	struct stat st;

	assert_true(other >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(a)) {
		ssize_t n = pread(fd, a, sizeof(a), at);

		assert_int_equal(pread(other, b, sizeof(b), at), n);
		assert_memory_equal(a, b, (size_t)n);
	}
	assert_int_equal(pread(other, b, 1, st.st_size), 0);
}

/* --- Honest ---------------------------------------------------------------------------------- */

static void raw_disk_comes_with_its_holes(void **state)
{
	AUTOCLOSE int disk = diskfile_raw(SIZE);
	struct image image, again;
	struct stat st;

	(void)state;
	assert_ok(import_disk(dup(disk), &g_raw, &image, &g_err));
	assert_int_equal(image.kind, IMAGE_DISK);
	assert_int_equal(image.disk.format, DISK_RAW);
	assert_int_equal(image.disk.boot, DISK_BOOT_UEFI);
	assert_int_equal(image.disk.size, SIZE);
	assert_same(disk, part("base"));
	assert_int_equal(stat(part("base"), &st), 0);
	assert_true((uint64_t)st.st_blocks * 512 < 2 * MIB);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_ok(image_get(g_f.storage, IMAGE_DISK, "disk", &again, &g_err));
	assert_memory_equal(&again.disk, &image.disk, sizeof(image.disk));
	assert_string_equal(again.sha256, image.sha256);
	assert_error(image_get(g_f.storage, IMAGE_TREE, "disk", &again, &g_err), ERR_NOT_FOUND);
}

static void qcow2_disks_of_all_kinds_are_taken(void **state)
{
	static const char *const options[] = {NULL, "compat=0.10", "cluster_size=512",
		"cluster_size=2M", "extended_l2=on", "compression_type=zstd", "lazy_refcounts=on",
		"refcount_bits=1"};
	struct image image;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		AUTOCLOSE int disk = diskfile_qcow2(SIZE, options[i]);

		assert_ok(import_disk(dup(disk), i % 2 ? &g_qcow2 : NULL, &image, &g_err));
		assert_int_equal(image.disk.format, DISK_QCOW2);
		assert_int_equal(image.disk.size, SIZE);
		assert_same(disk, part("base"));
		assert_ok(image_delete(g_f.storage, IMAGE_DISK, "disk", &g_err));
	}
	assert_nothing_left();
}

static void add_file(struct tarball *t, const char *name, int fd)
{
	AUTOFREE char *data = NULL;
	size_t size;

	data = tarball_read(fd, &size);
	tarball_add(t, &(struct tarball_entry){.name = name,
			       .type = S_IFREG,
			       .mode = 0600,
			       .uid = 1000,
			       .data = data,
			       .data_size = size});
	close(fd);
}

static void archive_of_a_disk_with_its_kernel(void **state)
{
	AUTOFREE char *kernel = NULL;
	struct image image;
	struct tarball t;

	(void)state;
	tarball_begin(&t, "zstd");
	tarball_dir(&t, "./", 0755);
	add_file(&t, "./disk.qcow2", diskfile_qcow2(SIZE, NULL));
	tarball_file(&t, "./kernel", 0600, "kernel");
	tarball_file(&t, "./initrd", 0600, "initrd");
	tarball_file(&t, "./cmdline", 0600, "root=/dev/vda console=ttyS0\n");
	assert_ok(import_disk(tarball_end(&t), NULL, &image, &g_err));
	assert_int_equal(image.disk.boot, DISK_BOOT_KERNEL);
	assert_true(image.disk.initrd);
	assert_string_equal(image.disk.cmdline, "root=/dev/vda console=ttyS0");
	assert_int_equal(image.entries, 3);
	assert_int_equal(file_read(part("kernel"), 100, &kernel, NULL), 0);
	assert_string_equal(kernel, "kernel");
	assert_int_equal(fixture_count(&g_f, "images/disk/disk"), 4);
}

static void tree_and_disk_of_one_name(void **state)
{
	struct image *images;
	size_t count;

	(void)state;
	fixture_import(&g_f, "disk");
	assert_ok(import_disk(diskfile_raw(MIB), &g_raw, NULL, &g_err));
	assert_error(import_disk(diskfile_raw(MIB), &g_raw, NULL, &g_err), ERR_EXISTS);
	assert_ok(image_list(g_f.storage, &images, &count, &g_err));
	assert_int_equal(count, 2);
	assert_int_equal(images[0].kind, IMAGE_TREE);
	assert_int_equal(images[1].kind, IMAGE_DISK);
	free(images);
	assert_ok(image_delete(g_f.storage, IMAGE_DISK, "disk", &g_err));
	assert_int_equal(fixture_count(&g_f, "images/tree"), 1);
	assert_nothing_left();
}

/* --- Hostile --------------------------------------------------------------------------------- */

static int patched(uint64_t offset, size_t bytes, uint64_t value)
{
	int fd = diskfile_qcow2(SIZE, NULL);

	diskfile_patch(fd, offset, bytes, value);
	return fd;
}

/* Another file's name, in the place where QEMU puts it. */
static int backed_by(const char *name)
{
	int fd = patched(8, 8, 0x400);

	diskfile_patch(fd, 16, 4, strlen(name));
	assert_int_equal(pwrite(fd, name, strlen(name), 0x400), (ssize_t)strlen(name));
	return fd;
}

static int backing_shadow(void)
{
	return backed_by("/etc/shadow");
}

static int backing_json(void)
{
	return backed_by("json:{\"driver\":\"raw\",\"file.driver\":\"file\",\"file.filename\":"
			 "\"/etc/shadow\"}");
}

static int backing_network(void)
{
	return backed_by("nbd://10.0.0.1/x");
}

static int data_file(void)
{
	return patched(72, 8, 4);
}

static int extension(uint32_t type, uint32_t length)
{
	int fd = diskfile_qcow2(SIZE, NULL);
	uint64_t at = diskfile_peek(fd, 100, 4);

	diskfile_patch(fd, at, 4, type);
	diskfile_patch(fd, at + 4, 4, length);
	diskfile_patch(fd, at + 16, 8, 0);
	return fd;
}

static int data_file_name_only(void)
{
	return extension(0x44415441, 8);
}

static int endless_extension(void)
{
	return extension(0x12345678, UINT32_MAX);
}

static int encrypted(void)
{
	return patched(32, 4, 2);
}

static int unknown_feature(void)
{
	return patched(72, 8, 1ULL << 40);
}

static int dirty(void)
{
	return patched(72, 8, 1);
}

static int corrupt(void)
{
	return patched(72, 8, 2);
}

static int version_four(void)
{
	return patched(4, 4, 4);
}

static int huge_clusters(void)
{
	return patched(20, 4, 63);
}

static int no_clusters(void)
{
	return patched(20, 4, 0);
}

static int huge_l1(void)
{
	return patched(36, 4, UINT32_MAX);
}

static int l1_outside(void)
{
	return patched(40, 8, 1ULL << 50);
}

static int reftable_outside(void)
{
	return patched(48, 8, 1ULL << 40);
}

static int huge_reftable(void)
{
	return patched(56, 4, UINT32_MAX);
}

static int many_snapshots(void)
{
	return patched(60, 4, UINT32_MAX);
}

static int wide_refcounts(void)
{
	return patched(96, 4, 31);
}

static int long_header(void)
{
	return patched(100, 4, 1 << 20);
}

static int no_size(void)
{
	return patched(24, 8, 0);
}

static int lying_size(void)
{
	return patched(24, 8, 1ULL << 50);
}

static int negative_size(void)
{
	return patched(24, 8, 0xfffffffffffffe00ULL);
}

static int too_large(void)
{
	return diskfile_qcow2(65 * MIB, NULL);
}

/* All that is counted once is counted never: what is in use looks free. */
static int wrong_refcounts(void)
{
	int fd = diskfile_qcow2(SIZE, NULL);
	uint64_t block = diskfile_peek(fd, diskfile_peek(fd, 48, 8), 8);

	for (int i = 0; i < 8; i++)
		diskfile_patch(fd, block + 2 * (uint64_t)i, 2, 0);
	return fd;
}

/* The guest's first cluster is the header itself. */
static int overlapping(void)
{
	int fd = diskfile_qcow2(SIZE, NULL);
	uint64_t l1 = diskfile_peek(fd, 40, 8);
	uint64_t l2 = diskfile_peek(fd, l1, 8) & 0x00fffffffffffe00ULL;

	diskfile_patch(fd, l2, 8, 1ULL << 63 | l1);
	return fd;
}

static int cut(void)
{
	int fd = diskfile_qcow2(SIZE, NULL);

	assert_int_equal(ftruncate(fd, 300000), 0);
	return fd;
}

static int cut_in_its_header(void)
{
	int fd = diskfile_qcow2(SIZE, NULL);

	assert_int_equal(ftruncate(fd, 80), 0);
	return fd;
}

static int nothing(void)
{
	return diskfile_raw(0);
}

static int odd_raw(void)
{
	return diskfile_raw(MIB + 1);
}

static int large_raw(void)
{
	return diskfile_raw(65 * MIB);
}

static int good_qcow2(void)
{
	return diskfile_qcow2(SIZE, NULL);
}

static int good_raw(void)
{
	return diskfile_raw(SIZE);
}

static int vmdk(void)
{
	int fd = diskfile_raw(SIZE);

	assert_int_equal(pwrite(fd, "KDMV", 4, 0), 4);
	return fd;
}

static int tree(void)
{
	return tarball_little();
}

static int with(const char *name, const char *text)
{
	struct tarball t;

	tarball_begin(&t, "");
	add_file(&t, "disk.raw", diskfile_raw(MIB));
	tarball_file(&t, name, 0600, text);
	return tarball_end(&t);
}

static int with_more(void)
{
	return with("passwd", "x");
}

static int with_directory(void)
{
	return with("kernel/vmlinuz", "x");
}

static int with_cmdline_only(void)
{
	return with("cmdline", "quiet");
}

static int with_two_disks(void)
{
	return with("disk.qcow2", "QFI\xfb");
}

static int with_lines(void)
{
	return with("cmdline", "a\nb");
}

static int link_to_a_disk(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_symlink(&t, "disk.raw", "/etc/shadow");
	return tarball_end(&t);
}

static int lying_archive(void)
{
	struct tarball t;

	tarball_begin(&t, "gzip");
	add_file(&t, "disk.raw", diskfile_qcow2(SIZE, NULL));
	return tarball_end(&t);
}

static int backed_in_archive(void)
{
	struct tarball t;

	tarball_begin(&t, "gzip");
	add_file(&t, "disk.qcow2", backing_shadow());
	return tarball_end(&t);
}

static const struct hostile {
	const char *name;
	int (*make)(void);
	const enum disk_format *format;
	enum err_code code;
	const char *says;
} g_hostile[] = {
	{"a backing file", backing_shadow, &g_qcow2, ERR_INVALID, "backing file"},
	{"a backing file in JSON", backing_json, NULL, ERR_INVALID, "backing file"},
	{"a backing file on the network", backing_network, NULL, ERR_INVALID, "backing file"},
	{"a data file", data_file, NULL, ERR_INVALID, "another file"},
	{"a data file's name alone", data_file_name_only, NULL, ERR_INVALID, "another file"},
	{"an extension without end", endless_extension, NULL, ERR_INVALID, "beyond its header"},
	{"encryption", encrypted, NULL, ERR_INVALID, "encrypted"},
	{"a feature of tomorrow", unknown_feature, NULL, ERR_INVALID, "0x10000000000"},
	{"a disk in use", dirty, NULL, ERR_INVALID, "not closed properly"},
	{"a disk marked as damaged", corrupt, NULL, ERR_INVALID, "marked as damaged"},
	{"a version of tomorrow", version_four, NULL, ERR_INVALID, "version 4"},
	{"huge clusters", huge_clusters, NULL, ERR_INVALID, "2^63"},
	{"no clusters", no_clusters, NULL, ERR_INVALID, "2^0"},
	{"a huge L1 table", huge_l1, NULL, ERR_INVALID, "impossible size"},
	{"an L1 table outside", l1_outside, NULL, ERR_INVALID, "L1 table"},
	{"a refcount table outside", reftable_outside, NULL, ERR_INVALID, "refcount table"},
	{"a huge refcount table", huge_reftable, NULL, ERR_INVALID, "impossible size"},
	{"snapshots of its own", many_snapshots, NULL, ERR_INVALID, "snapshots of its own"},
	{"reference counts of 2^31 bits", wide_refcounts, NULL, ERR_INVALID, "impossible width"},
	{"a header of a MiB", long_header, NULL, ERR_INVALID, "impossible length"},
	{"no size", no_size, NULL, ERR_INVALID, "0 bytes"},
	{"a size that is a lie", lying_size, NULL, ERR_INVALID, "a lie"},
	{"a negative size", negative_size, NULL, ERR_INVALID, "cannot be"},
	{"a size beyond the bound", too_large, NULL, ERR_TOO_LARGE, "64 MiB at most"},
	{"reference counts that are wrong", wrong_refcounts, NULL, ERR_INVALID, "damaged"},
	{"data over a table", overlapping, NULL, ERR_INVALID, "damaged"},
	{"a cut qcow2", cut, NULL, ERR_INVALID, ""},
	{"a qcow2 cut in its header", cut_in_its_header, NULL, ERR_INVALID, "cut short"},
	{"an empty qcow2", nothing, &g_qcow2, ERR_INVALID, "not a qcow2"},
	{"an empty raw disk", nothing, &g_raw, ERR_INVALID, "empty"},
	{"nothing", nothing, NULL, ERR_INVALID, "neither"},
	{"a raw disk that is none", odd_raw, &g_raw, ERR_INVALID, "multiple of 512"},
	{"a raw disk beyond the bound", large_raw, &g_raw, ERR_TOO_LARGE, "64 MiB at most"},
	{"a raw disk that is a qcow2", good_qcow2, &g_raw, ERR_INVALID, "is a qcow2 disk"},
	{"a qcow2 that is raw", good_raw, &g_qcow2, ERR_INVALID, "not a qcow2 disk"},
	{"a raw disk that nobody calls so", good_raw, NULL, ERR_INVALID, "say so"},
	{"a VMDK", vmdk, NULL, ERR_INVALID, "VMDK"},
	{"a VMDK as raw", vmdk, &g_raw, ERR_INVALID, "VMDK"},
	{"an archive as raw", tree, &g_raw, ERR_INVALID, "tar archive"},
	{"a root file system", tree, NULL, ERR_INVALID, "holds etc"},
	{"an archive with more", with_more, NULL, ERR_INVALID, "holds passwd"},
	{"a directory of kernels", with_directory, NULL, ERR_INVALID, "kernel"},
	{"a cmdline without kernel", with_cmdline_only, NULL, ERR_INVALID, "no kernel"},
	{"two disks", with_two_disks, NULL, ERR_INVALID, "both"},
	{"a cmdline of two lines", with_lines, NULL, ERR_INVALID, "one line"},
	{"a link in the place of a disk", link_to_a_disk, NULL, ERR_INVALID, "file of its own"},
	{"an archive whose raw disk is a qcow2", lying_archive, NULL, ERR_INVALID, "qcow2 disk"},
	{"an archive with a backing file", backed_in_archive, NULL, ERR_INVALID, "backing file"},
};

static void each_is_refused_and_leaves_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(g_hostile); i++) {
		const struct hostile *h = &g_hostile[i];
		struct err err = {0};
		int r = import_disk(h->make(), h->format, NULL, &err);

		if (r == 0 || err.code != h->code || !strstr(err.message, h->says))
			fail_msg("%s: %s: %s", h->name, r ? err_code_to_string(err.code) : "taken",
				r ? err.message : "");
		assert_nothing_left();
	}
}

static int stop(void *data, uint64_t bytes)
{
	(void)data;
	return bytes > MIB;
}

static void import_is_cancelled(void **state)
{
	struct image_source source = {
		.kind = IMAGE_DISK, .fd = diskfile_raw(SIZE), .format = &g_raw, .progress = stop};

	(void)state;
	lseek(source.fd, 0, SEEK_SET);
	assert_error(image_import(g_f.storage, "disk", &source, NULL, &g_err), ERR_CANCELLED);
	close(source.fd);
	assert_nothing_left();
}

static bool is_not_whole(void *data)
{
	(void)data;
	return false;
}

static void cut_transfer_makes_no_disk(void **state)
{
	struct image_source source = {.kind = IMAGE_DISK,
		.fd = diskfile_raw(SIZE),
		.format = &g_raw,
		.whole = is_not_whole};

	(void)state;
	lseek(source.fd, 0, SEEK_SET);
	assert_error(image_import(g_f.storage, "disk", &source, NULL, &g_err), ERR_MALFORMED);
	close(source.fd);
	assert_nothing_left();
}

#define T(name) FIXTURE_TEST(name, fixture_setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(raw_disk_comes_with_its_holes),
		T(qcow2_disks_of_all_kinds_are_taken),
		T(archive_of_a_disk_with_its_kernel),
		T(tree_and_disk_of_one_name),
		T(each_is_refused_and_leaves_nothing),
		T(import_is_cancelled),
		T(cut_transfer_makes_no_disk),
	};

	return cmocka_run_group_tests(tests, NULL, fixture_teardown);
}
