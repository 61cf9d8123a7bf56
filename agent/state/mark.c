/* The mark: twenty digits and a newline, always overwritten in place. */
#include "agent/state/mark.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/parse.h"

#define DIGITS 20

/* Anything but a number is what a power cut leaves of a file that was just made. */
static int64_t read_mark(int fd)
{
	char text[DIGITS + 1] = "";
	uint64_t value;

	if (pread(fd, text, DIGITS, 0) != DIGITS || parse_u64(text, INT64_MAX, &value) < 0)
		return 0;
	return (int64_t)value;
}

int mark_open(const char *path, int *ret_fd, int64_t *ret_durable, struct err *err)
{
	AUTOCLOSE int fd = -1;
	char mark[PATH_MAX];
	int r = file_path(mark, sizeof(mark), "%s-mark", path);

	if (r < 0)
		return err_errno(err, r, "cannot open %s", path);
	fd = open(mark, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", mark);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK
			       ? err_set(err, ERR_CONFLICT, NULL,
					 "%s is in use by another agent: stop that one first", path)
			       : err_errno(err, errno, "cannot lock %s", mark);
	*ret_durable = read_mark(fd);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void mark_write(int fd, int64_t durable)
{
	char text[DIGITS + 2];
	ssize_t written;

	snprintf(text, sizeof(text), "%0*lld\n", DIGITS, (long long)durable);
	written = pwrite(fd, text, DIGITS + 1, 0);
	(void)written;
}
