/* What people add to configurations. */
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
#include "base/strbuf.h"

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

/* *ret_text stays NULL where there is none. */
static int read_file(const char *dir, const char *name, const char *suffix, char **ret_path,
	char **ret_text, struct err *err)
{
	AUTOFREE char *path = NULL, *text = NULL;
	size_t size = 0;
	int r;

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

int addition_refuse(const struct addition *a, int line, const char *why, struct err *err)
{
	const char *slash = strrchr(a->origin, '/');
	char field[ERR_FIELD_MAX];

	if (a->by_line) {
		snprintf(field, sizeof(field), "%.48s[%d]", a->origin, line - 1);
		return err_set(err, ERR_INVALID, field, "%s: %s", field, why);
	}
	snprintf(field, sizeof(field), "%.48s:%d", slash ? slash + 1 : a->origin, line);
	return err_set(err, ERR_INVALID, field, "%s, line %d: %s", a->origin, line, why);
}

void additions_finish(struct additions *a)
{
	for (size_t i = 0; i < ADDITIONS; i++) {
		free(a->origins[i]);
		free(a->texts[i]);
	}
	*a = (struct additions){0};
}

static int add_file(
	struct additions *a, const char *dir, const char *name, const char *suffix, struct err *err)
{
	size_t i = a->count;
	int r = read_file(dir, name, suffix, &a->origins[i], &a->texts[i], err);

	if (r == 0 && a->texts[i])
		a->list[a->count++] =
			(struct addition){.text = a->texts[i], .origin = a->origins[i]};
	return r;
}

int additions_read_files(
	struct additions *a, const char *dir, const char *name, const char *suffix, struct err *err)
{
	int r = dir ? add_file(a, dir, "all", suffix, err) : 0;

	/* A guest called "all" has no file of its own. */
	return r == 0 && dir && strcmp(name, "all") != 0 ? add_file(a, dir, name, suffix, err) : r;
}

static char *join(const char *const *lines)
{
	CLEANUP(strbuf_finish) struct strbuf b = {0};

	for (size_t i = 0; lines[i]; i++) {
		strbuf_add(&b, i ? "\n" : "");
		strbuf_add(&b, lines[i]);
	}
	return strbuf_take(&b);
}

int additions_add_raw(struct additions *a, const char *const *lines, struct err *err)
{
	size_t i = a->count;

	if (!lines || !lines[0])
		return 0;
	a->texts[i] = join(lines);
	if (!a->texts[i])
		return err_errno(err, ENOMEM, "no memory for additions");
	a->list[a->count++] =
		(struct addition){.text = a->texts[i], .origin = "raw", .by_line = true};
	return 0;
}
