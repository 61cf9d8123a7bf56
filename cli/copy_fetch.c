/* Copying from a guest. What the guest holds may be meant to harm: names are taken one directory at
 * a time, by descriptor, so that no link that was just made leads anywhere else. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/copy.h"
#include "cli/progress.h"

#define LISTING_MAX (64 * 1024 * 1024)

/* One path of the guest, as it comes. */
struct fetched {
	struct copy *copy;
	char type[COPY_TYPE_MAX];
	unsigned mode;
	uint32_t uid, gid;
	int fd; /* of the file that is written, or standard output */
	uint64_t bytes;
	struct strbuf listing;
	int failure; /* negative errno of writing */
};

/* --- One request ----------------------------------------------------------------------------- */

static void take_header(void *data, const char *name, const char *value)
{
	struct fetched *f = data;

	if (strcasecmp(name, "X-Corpus-Type") == 0)
		snprintf(f->type, sizeof(f->type), "%.*s", COPY_TYPE_MAX - 1, value);
	else if (strcasecmp(name, "X-Corpus-Mode") == 0)
		f->mode = (unsigned)strtoul(value, NULL, 8);
	else if (strcasecmp(name, "X-Corpus-Uid") == 0)
		f->uid = (uint32_t)strtoul(value, NULL, 10);
	else if (strcasecmp(name, "X-Corpus-Gid") == 0)
		f->gid = (uint32_t)strtoul(value, NULL, 10);
}

static bool take_data(void *data, const char *text, size_t size)
{
	struct fetched *f = data;

	f->bytes += size;
	if (strcmp(f->type, "directory") == 0) {
		strbuf_add_bytes(&f->listing, text, size);
		return f->listing.used <= LISTING_MAX && !f->listing.failed;
	}
	if (f->fd < 0)
		return true;
	f->failure = file_write_all(f->fd, text, size);
	progress_show_bytes(f->copy->cli, f->copy->subject, f->bytes);
	return f->failure == 0;
}

static int request(struct fetched *f, const char *method, const char *path, struct err *err)
{
	AUTOFREE char *url = copy_url(f->copy, path);
	struct request request = {.method = method,
		.path = url,
		.on_header = take_header,
		.on_data = take_data,
		.data = f};
	struct response answer;
	int r;

	f->copy->subject = path;
	r = client_perform(f->copy->cli->client, &request, &answer, err);
	response_finish(&answer);
	progress_clear(f->copy->cli);
	if (f->failure < 0)
		return err_errno(err, f->failure, "writing %s", path);
	return r;
}

/* --- Files ----------------------------------------------------------------------------------- */

static int finish_file(const struct copy *copy, const struct fetched *f)
{
	unsigned mode = f->mode & (copy->archive ? 07777u : 0777u);

	if (copy->archive && fchown(f->fd, f->uid, f->gid) < 0)
		return -errno;
	return fchmod(f->fd, mode) < 0 ? -errno : 0;
}

/* Under another name until it is whole. */
static int fetch_file(
	struct copy *copy, const char *from, int directory, const char *name, struct err *err)
{
	struct fetched f = {.copy = copy, .fd = -1};
	char part[32];
	int r;

	memcpy(part, ".corpus-", 8);
	random_hex(part + 8, 12);
	f.fd = openat(directory, part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f.fd < 0)
		return err_errno(err, errno, "cannot write beside %s", name);
	r = request(&f, "GET", from, err);
	if (r == 0 && strcmp(f.type, "directory") == 0)
		r = err_set(err, ERR_CONFLICT, NULL, "%s became a directory meanwhile", from);
	if (r == 0) {
		r = finish_file(copy, &f);
		if (r == 0 && renameat(directory, part, directory, name) < 0)
			r = -errno;
		if (r < 0)
			r = err_errno(err, r, "cannot write %s", name);
	}
	if (r < 0)
		unlinkat(directory, part, 0);
	strbuf_finish(&f.listing);
	fd_close(f.fd);
	return r;
}

/* --- Directories ----------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
	return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && !strchr(name, '/');
}

static int fetch_directory(
	struct copy *copy, const char *from, int directory, const char *name, struct err *err);

static int fetch_link(struct copy *copy, const char *from, int directory, const char *name,
	const char *target, struct err *err)
{
	if (symlinkat(target, directory, name) == 0)
		return 0;
	if (errno != EEXIST)
		return err_errno(err, errno, "cannot make the link %s", name);
	copy_skip(copy, from, "something has the name of this link here already");
	return 0;
}

static int fetch_entry(struct copy *copy, const char *directory_from, int directory,
	const json_t *entry, struct err *err)
{
	const char *name = json_text(entry, "name"), *type = json_text(entry, "type");
	AUTOFREE char *from = copy_below(directory_from, name);

	if (cli_interrupted())
		return err_set(err, ERR_CANCELLED, NULL, "interrupted");
	if (!from)
		return err_errno(err, ENOMEM, "copying");
	if (!is_name(name))
		copy_skip(copy, from, "this is no name for a file");
	else if (strcmp(type, "file") == 0)
		return fetch_file(copy, from, directory, name, err);
	else if (strcmp(type, "directory") == 0)
		return fetch_directory(copy, from, directory, name, err);
	else if (strcmp(type, "link") == 0)
		return fetch_link(copy, from, directory, name, json_text(entry, "target"), err);
	else
		copy_skip(copy, from, "it is neither a file nor a directory nor a link");
	return 0;
}

static int fetch_entries(
	struct copy *copy, const char *from, int directory, const char *text, struct err *err)
{
	json_auto_t *listing = json_loads(text, 0, NULL);
	const json_t *entries = json_object_get(listing, "entries"), *entry;
	size_t i;
	int r = 0;

	if (!json_is_array(entries))
		return err_set(
			err, ERR_INTERNAL, NULL, "the listing of %s is not understood", from);
	json_array_foreach (entries, i, entry) {
		r = fetch_entry(copy, from, directory, entry, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fetch_directory(
	struct copy *copy, const char *from, int directory, const char *name, struct err *err)
{
	struct fetched f = {.copy = copy, .fd = -1};
	AUTOFREE char *text = NULL;
	AUTOCLOSE int below = -1;
	int r = request(&f, "GET", from, err);

	text = strbuf_take(&f.listing);
	if (r < 0)
		return r;
	if (mkdirat(directory, name, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the directory %s", name);
	below = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (below < 0)
		return err_errno(err, errno, "cannot use the directory %s", name);
	r = fetch_entries(copy, from, below, text ? text : "", err);
	f.fd = below;
	if (r == 0 && finish_file(copy, &f) < 0)
		r = err_errno(err, errno, "cannot set mode and owner of %s", name);
	return r;
}

/* --- From the top ---------------------------------------------------------------------------- */

/* The directory here that holds what `to` names, and the name in it: as with cp, into a directory
 * that is there. */
static int open_target(const char *from, const char *to, char **ret_name, struct err *err)
{
	struct stat st;
	bool into = stat(to, &st) == 0 && S_ISDIR(st.st_mode);
	const char *name = into ? copy_last_part(from) : copy_last_part(to);
	AUTOFREE char *directory = into	       ? strdup(to)
				   : name > to ? strndup(to, (size_t)(name - to))
					       : strdup(".");
	int fd;

	*ret_name = strdup(*name ? name : ".");
	if (!directory || !*ret_name)
		return err_errno(err, ENOMEM, "copying");
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(err, errno, "cannot write to %s", directory) : fd;
}

static int print_file(struct copy *copy, const char *from, struct err *err)
{
	struct fetched f = {.copy = copy, .fd = STDOUT_FILENO};
	int r;

	copy->cli->progress = false;
	r = request(&f, "GET", from, err);
	if (r == 0 && strcmp(f.type, "directory") == 0)
		r = err_set(err, ERR_INVALID, NULL, "%s is a directory", from);
	strbuf_finish(&f.listing);
	return r;
}

int copy_fetch(struct copy *copy, const char *from, const char *to, struct err *err)
{
	struct fetched f = {.copy = copy, .fd = -1};
	AUTOFREE char *name = NULL;
	AUTOCLOSE int directory = -1;
	int r;

	if (strcmp(to, "-") == 0)
		return print_file(copy, from, err);
	r = request(&f, "HEAD", from, err);
	if (r < 0)
		return r;
	directory = open_target(from, to, &name, err);
	if (directory < 0)
		return directory;
	if (strcmp(f.type, "directory") != 0)
		return fetch_file(copy, from, directory, name, err);
	if (!copy->recursive)
		return err_set(err, ERR_INVALID, NULL,
			"%s is a directory: --recursive (-r) copies it", from);
	return fetch_directory(copy, from, directory, name, err);
}
