/* Notes of what is inside guests. */
#include "drivers/kvm/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/random.h"

#define DIGITS 16
#define FORMAT "%s/inside"

void ledger_leave(struct ledger *l)
{
	l->fd = fd_close(l->fd);
}

void ledger_strike(struct ledger *l)
{
	if (l->fd >= 0)
		unlink(l->path);
	ledger_leave(l);
}

static int lock_new(int fd, const char *text)
{
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return file_write_all(fd, text, strlen(text));
}

/* It gets its name when it is locked, so that nobody takes it for one that was left. */
int ledger_note(
	const struct kvm_paths *paths, const char *text, struct ledger *ret, struct err *err)
{
	char dir[PATH_MAX], digits[DIGITS + 1], unnamed[PATH_MAX];
	AUTOCLOSE int fd = -1;
	int r = file_path(dir, sizeof(dir), FORMAT, paths->state);

	random_hex(digits, DIGITS);
	if (r == 0)
		r = file_path(ret->path, sizeof(ret->path), "%s/%s", dir, digits);
	if (r == 0)
		r = file_path(unnamed, sizeof(unnamed), "%s/.%s", dir, digits);
	if (r == 0)
		r = file_mkdirs(dir, 0700);
	if (r == 0)
		fd = open(unnamed, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r == 0)
		r = fd < 0 ? -errno : lock_new(fd, text);
	if (r == 0 && rename(unnamed, ret->path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(unnamed);
		return err_errno(err, r, "cannot note what is done in a guest");
	}
	ret->fd = TAKE_FD(fd);
	return 0;
}

/* False when somebody holds it, or has just struck it. */
static bool take_file(const char *path, struct ledger *ret, char *text)
{
	AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n;

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || access(path, F_OK) < 0)
		return false;
	n = pread(fd, text, LEDGER_TEXT_MAX - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	snprintf(ret->path, sizeof(ret->path), "%s", path);
	ret->fd = TAKE_FD(fd);
	return true;
}

bool ledger_take(
	const struct kvm_paths *paths, struct ledger *ret, char text[static LEDGER_TEXT_MAX])
{
	char dir_path[PATH_MAX], path[PATH_MAX];
	CLEANUP(closedirp) DIR *dir = NULL;
	const struct dirent *e;

	if (file_path(dir_path, sizeof(dir_path), FORMAT, paths->state) == 0)
		dir = opendir(dir_path);
	while (dir && (e = readdir(dir)))
		if (strlen(e->d_name) == DIGITS &&
			file_path(path, sizeof(path), "%s/%s", dir_path, e->d_name) == 0 &&
			take_file(path, ret, text))
			return true;
	return false;
}
