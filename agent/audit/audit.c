/* Writing the audit log. */
#include "agent/audit/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/parse.h"

struct audit {
	char *path;
	uint64_t size;
	unsigned files;
	int fd;
	uint64_t used;
};

/* A last line without an end is what a crash left: it gets one, and stays what it is. */
static int end_last_line(int fd, uint64_t *used)
{
	char last = '\n';

	if (*used == 0 || pread(fd, &last, 1, (off_t)*used - 1) != 1 || last == '\n')
		return 0;
	if (write(fd, "\n", 1) != 1)
		return -errno;
	*used += 1;
	return 0;
}

static int open_file(const char *path, int *ret_fd, uint64_t *ret_used)
{
	AUTOCLOSE int fd =
		open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0640);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret_used = (uint64_t)st.st_size;
	r = end_last_line(fd, ret_used);
	if (r == 0)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int audit_open(const char *path, uint64_t size, unsigned files, struct audit **ret, struct err *err)
{
	struct audit *audit = calloc(1, sizeof(*audit));
	int r;

	if (!audit)
		return err_errno(err, ENOMEM, "cannot open %s", path);
	*audit = (struct audit){.path = strdup(path), .size = size, .files = files, .fd = -1};
	r = audit->path ? open_file(path, &audit->fd, &audit->used) : -ENOMEM;
	if (r < 0) {
		audit_close(audit);
		return err_errno(err, r, "cannot open %s", path);
	}
	*ret = audit;
	return 0;
}

struct audit *audit_close(struct audit *audit)
{
	if (!audit)
		return NULL;
	fd_close(audit->fd);
	free(audit->path);
	free(audit);
	return NULL;
}

int audit_reopen(struct audit *audit, struct err *err)
{
	uint64_t used = 0;
	int fd = -1, r = open_file(audit->path, &fd, &used);

	if (r < 0)
		return err_errno(err, r, "cannot open %s", audit->path);
	fd_close(audit->fd);
	audit->fd = fd;
	audit->used = used;
	return 0;
}

/* --- Rotation -------------------------------------------------------------------------------- */

static int older_path(const struct audit *audit, unsigned number, char path[static PATH_MAX])
{
	return number == 0 ? file_path(path, PATH_MAX, "%s", audit->path)
			   : file_path(path, PATH_MAX, "%s.%u", audit->path, number);
}

/* Each file takes the place of the one before it, the oldest first: a crash between leaves a gap in
 * the numbers and loses nothing. */
static int rotate(struct audit *audit, struct err *err)
{
	for (unsigned i = audit->files; i-- > 0;) {
		char from[PATH_MAX], to[PATH_MAX];
		int r = older_path(audit, i, from);

		if (r == 0)
			r = older_path(audit, i + 1, to);
		if (r == 0 && rename(from, to) < 0 && errno != ENOENT)
			r = -errno;
		if (r < 0)
			return err_errno(err, r, "cannot put %s aside", from);
		fault_point("audit.rotated");
	}
	return audit_reopen(audit, err);
}

/* --- Records --------------------------------------------------------------------------------- */

/* One write: in a file of several writers lines stay whole, and so they do after a kill. */
static int append(struct audit *audit, const char *line, size_t size)
{
	ssize_t n = write(audit->fd, line, size);

	if (n == (ssize_t)size) {
		audit->used += size;
		return 0;
	}
	if (n < 0)
		return -errno;
	/* The disk is full in the middle of it. What does not go back is ended by the next one. */
	if (ftruncate(audit->fd, (off_t)audit->used) < 0)
		end_last_line(audit->fd, &audit->used);
	return -ENOSPC;
}

int audit_write(struct audit *audit, json_t *record, struct err *err)
{
	json_auto_t *owned = record;
	AUTOFREE char *text = NULL;
	AUTOFREE char *line = NULL;
	int size, r;

	json_object_set_new(owned, "time", json_string(FMT_TIME(clock_realtime_ms())));
	text = json_dumps(owned, JSON_COMPACT);
	size = text ? asprintf(&line, "%s\n", text) : -1;
	if (size < 0) {
		line = NULL;
		return err_errno(err, ENOMEM, "cannot write to %s", audit->path);
	}
	if (audit->used > 0 && audit->used + (uint64_t)size > audit->size && audit->files > 0) {
		r = rotate(audit, err);
		if (r < 0)
			return r;
	}
	r = append(audit, line, (size_t)size);
	fault_point("audit.written");
	return r < 0 ? err_errno(err, r, "cannot write to %s", audit->path) : 0;
}
