/* Archives for tests. */
#include "tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void tarball_begin(struct tarball *t, const char *filter)
{
	t->fd = memfd_create("tarball", MFD_CLOEXEC);
	assert_true(t->fd >= 0);
	t->archive = archive_write_new();
	assert_non_null(t->archive);
	assert_int_equal(archive_write_set_format_pax_restricted(t->archive), ARCHIVE_OK);
	if (*filter)
		assert_int_equal(archive_write_add_filter_by_name(t->archive, filter), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(t->archive, t->fd), ARCHIVE_OK);
}

int tarball_end(struct tarball *t)
{
	assert_int_equal(archive_write_close(t->archive), ARCHIVE_OK);
	archive_write_free(t->archive);
	t->archive = NULL;
	assert_int_equal(lseek(t->fd, 0, SEEK_SET), 0);
	return t->fd;
}

void tarball_add(struct tarball *t, const struct tarball_entry *e)
{
	struct archive_entry *entry = archive_entry_new();
	int64_t size = e->size ? e->size : (int64_t)e->data_size;

	archive_entry_set_pathname(entry, e->name);
	archive_entry_set_filetype(entry, e->type);
	archive_entry_set_perm(entry, e->mode);
	archive_entry_set_uid(entry, e->uid);
	archive_entry_set_gid(entry, e->gid);
	archive_entry_set_mtime(entry, e->mtime, 0);
	archive_entry_set_size(entry, size);
	if (e->size)
		archive_entry_sparse_add_entry(entry, 0, (int64_t)e->data_size);
	if (e->xattr_name)
		archive_entry_xattr_add_entry(entry, e->xattr_name, e->xattr_value, e->xattr_size);
	if (e->type == AE_IFCHR || e->type == AE_IFBLK)
		archive_entry_set_rdevmajor(entry, 1);
	assert_int_equal(archive_write_header(t->archive, entry), ARCHIVE_OK);
	if (e->data_size)
		assert_int_equal(
			archive_write_data(t->archive, e->data, e->data_size), (int)e->data_size);
	assert_int_equal(archive_write_finish_entry(t->archive), ARCHIVE_OK);
	archive_entry_free(entry);
}

void tarball_dir(struct tarball *t, const char *name, mode_t mode)
{
	tarball_add(t, &(struct tarball_entry){.name = name, .type = AE_IFDIR, .mode = mode});
}

void tarball_file(struct tarball *t, const char *name, mode_t mode, const char *text)
{
	tarball_add(t, &(struct tarball_entry){.name = name,
			       .type = AE_IFREG,
			       .mode = mode,
			       .data = text,
			       .data_size = strlen(text)});
}

static void add_link(struct tarball *t, const char *name, const char *symlink, const char *hard)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, symlink ? AE_IFLNK : AE_IFREG);
	archive_entry_set_perm(entry, 0777);
	if (symlink)
		archive_entry_set_symlink(entry, symlink);
	else
		archive_entry_set_hardlink(entry, hard);
	assert_int_equal(archive_write_header(t->archive, entry), ARCHIVE_OK);
	archive_entry_free(entry);
}

void tarball_symlink(struct tarball *t, const char *name, const char *target)
{
	add_link(t, name, target, NULL);
}

void tarball_hard_link(struct tarball *t, const char *name, const char *target)
{
	add_link(t, name, NULL, target);
}

int tarball_raw(const void *data, size_t size)
{
	int fd = memfd_create("tarball", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), (ssize_t)size);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

char *tarball_read(int fd, size_t *ret_size)
{
	struct stat st;
	char *data;

	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size + 1);
	assert_non_null(data);
	assert_int_equal(pread(fd, data, (size_t)st.st_size, 0), st.st_size);
	*ret_size = (size_t)st.st_size;
	return data;
}

int tarball_little(void)
{
	struct tarball t;

	tarball_begin(&t, "");
	tarball_dir(&t, "./", 0755);
	tarball_dir(&t, "./etc/", 0755);
	tarball_file(&t, "./etc/hostname", 0644, "little\n");
	tarball_dir(&t, "./sbin/", 0755);
	tarball_file(&t, "./sbin/init", 0755, "#!/bin/sh\n");
	tarball_symlink(&t, "./init", "sbin/init");
	return tarball_end(&t);
}
