/* The small disk that a machine reads its first boot from: made by a helper (iso/) beside the old
 * one, and moved to its place. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/process.h"
#include "storage/pool.h"

#define HELPER	   "corpus-iso"
#define NEW_NAME   ".seed.new"
#define NAME_MAX_  64
#define TIMEOUT_MS 30000

/* Beside the other one. */
static int helper_path(const struct storage *s, char buf[static PATH_MAX])
{
	const char *slash = strrchr(s->unpack_helper, '/');
	int length = slash ? (int)(slash - s->unpack_helper) + 1 : 0;

	return file_path(buf, PATH_MAX, "%.*s" HELPER, length, s->unpack_helper);
}

static int check_name(const char *name, struct err *err)
{
	if (!*name || strlen(name) > NAME_MAX_ || strpbrk(name, "/\n"))
		return err_set(err, ERR_INVALID, "name", "%.64s cannot be a file's name", name);
	return 0;
}

static int write_input(int fd, const struct volume_seed_file *files, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		int r = check_name(files[i].name, err);

		if (r < 0)
			return r;
		if (dprintf(fd, "%zu %s\n", files[i].size, files[i].name) < 0)
			r = -errno;
		else
			r = file_write_all(fd, files[i].content, files[i].size);
		if (r < 0)
			return err_errno(err, r, "cannot hand %s on", files[i].name);
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? err_errno(err, errno, "cannot rewind") : 0;
}

static int open_volume(struct storage *s, const char *id, struct err *err)
{
	int r = name_check_id(id, GUEST_ID_LEN, "id", err);
	int fd = r < 0 ? r : openat(s->volumes, id, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (r == 0 && fd < 0)
		r = errno == ENOENT ? err_set(err, ERR_NOT_FOUND, NULL, "there is no volume %s", id)
				    : err_errno(err, errno, "cannot open volume %s", id);
	return r < 0 ? r : fd;
}

static int make(const struct storage *s, const char *label, int input, int output, struct err *err)
{
	char helper[PATH_MAX];
	const struct process_options options = {.argv = (const char *[]){helper, label, NULL},
		.stdin_fd = input,
		.stdout_fd = output,
		.timeout_ms = TIMEOUT_MS};
	int r = helper_path(s, helper);

	if (r < 0)
		return err_errno(err, r, "cannot run " HELPER);
	r = process_run(&options, err);
	if (r < 0)
		err_prefix(err, "cannot make the seed");
	return r;
}

static int replace(struct storage *s, const char *label, int volume, int input, struct err *err)
{
	AUTOCLOSE int output = openat(
		volume, NEW_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r = output < 0 ? err_errno(err, errno, "cannot make the seed")
			   : make(s, label, input, output, err);

	if (r < 0) {
		unlinkat(volume, NEW_NAME, 0);
		return r;
	}
	fault_point("storage.seed.made");
	if (renameat(volume, NEW_NAME, volume, "seed.iso") < 0)
		return err_errno(err, errno, "cannot put the seed in its place");
	return 0;
}

int volume_write_seed(struct storage *s, const char *id, const char *label,
	const struct volume_seed_file *files, size_t count, struct err *err)
{
	AUTOCLOSE int volume = open_volume(s, id, err);
	AUTOCLOSE int input = volume < 0 ? -1 : memfd_create("seed", MFD_CLOEXEC);
	int r = volume;

	if (volume >= 0)
		r = input < 0 ? err_errno(err, errno, "cannot make a seed")
			      : write_input(input, files, count, err);
	return r < 0 ? r : replace(s, label, volume, input, err);
}
