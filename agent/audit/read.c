/* Reading the audit log, from its end. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/audit/audit.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

/* The end of one file: more than AUDIT_READ_MAX records take. */
#define TAIL_MAX (4 << 20)

static int read_tail(const char *path, char **ret, size_t *ret_size)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > TAIL_MAX && lseek(fd, -TAIL_MAX, SEEK_END) < 0)
		return -errno;
	/* It may grow while it is read. */
	return file_read_fd(fd, TAIL_MAX * 2, ret, ret_size);
}

static const char *line_start(const char *text, const char *end)
{
	while (end > text && end[-1] != '\n')
		end--;
	return end;
}

/* Lines without an end, and what is no JSON, are what crashes left: no records. */
static void add_lines(json_t *records, const char *text, size_t size, size_t limit)
{
	const char *end = text + size;

	while (end > text && end[-1] != '\n')
		end--;
	while (end > text && json_array_size(records) < limit) {
		const char *start = line_start(text, end - 1);
		json_t *record =
			json_loadb(start, (size_t)(end - 1 - start), JSON_REJECT_DUPLICATES, NULL);

		if (json_is_object(record))
			json_array_append(records, record);
		json_decref(record);
		end = start;
	}
}

int audit_read(const char *path, unsigned files, size_t limit, json_t **ret, struct err *err)
{
	json_t *records = json_array();

	for (unsigned i = 0; i <= files && json_array_size(records) < limit; i++) {
		AUTOFREE char *text = NULL;
		char older[PATH_MAX];
		size_t size = 0;
		int r = i == 0 ? file_path(older, sizeof(older), "%s", path)
			       : file_path(older, sizeof(older), "%s.%u", path, i);

		if (r == 0)
			r = read_tail(older, &text, &size);
		if (r < 0 && r != -ENOENT) {
			json_decref(records);
			return err_errno(err, r, "cannot read %s", older);
		}
		if (r == 0)
			add_lines(records, text, size, limit);
	}
	*ret = records;
	return 0;
}
