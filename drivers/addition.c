/* Files that ops write by hand. */
#include "drivers/addition.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define FILE_MAX 65536

static int open_trusted(const char *path, struct err *err)
{
	AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot read %s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		return err_set(err, ERR_INVALID, NULL,
			"%s has to be a file of root that nobody else may write", path);
	return TAKE_FD(fd);
}

int addition_read(const char *dir, const char *name, const char *suffix, char **ret_path,
	char **ret_text, struct err *err)
{
	AUTOFREE char *path = NULL, *text = NULL;
	size_t size = 0;
	int r;

	if (!dir)
		return 0;
	if (asprintf(&path, "%s/%s.%s", dir, name, suffix) < 0) {
		path = NULL;
		return err_errno(err, ENOMEM, "no memory for additions");
	}

	AUTOCLOSE int fd = open_trusted(path, err);

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	r = file_read_fd(fd, FILE_MAX, &text, &size);
	if (r == 0 && strlen(text) != size)
		r = -EILSEQ;
	if (r < 0)
		return err_errno(err, r, "cannot read %s", path);
	*ret_path = TAKE_PTR(path);
	*ret_text = TAKE_PTR(text);
	return 0;
}
