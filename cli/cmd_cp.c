/* Copying files between here and a guest, in both directions. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/copy.h"
#include "cli/progress.h"
#include "cli/source.h"
#include "cli/url.h"

/* "GUEST:PATH"; a path here that has a colon begins with / or ./ */
struct place {
	char *guest; /* NULL: here */
	const char *path;
};

static int parse_place(const char *word, struct place *ret, struct err *err)
{
	size_t length = strcspn(word, ":/");

	*ret = (struct place){.path = word};
	if (word[length] != ':')
		return 0;
	if (length == 0 || word[length + 1] != '/')
		return err_set(err, ERR_INVALID, NULL,
			"%s: a file in a guest is named GUEST:/PATH, from / on", word);
	ret->guest = strndup(word, length);
	ret->path = word + length + 1;
	return ret->guest ? 0 : err_errno(err, ENOMEM, "reading the command line");
}

char *copy_url(const struct copy *copy, const char *path)
{
	struct strbuf buf = {0};

	url_path(&buf, "/v1/guests/%s/files", copy->guest);
	url_query(&buf, "path", path);
	return strbuf_take(&buf);
}

char *copy_below(const char *directory, const char *name)
{
	size_t length = strlen(directory);
	char *path;

	while (length > 0 && directory[length - 1] == '/')
		length--;
	return asprintf(&path, "%.*s/%s", (int)length, directory, name) < 0 ? NULL : path;
}

void copy_skip(struct copy *copy, const char *path, const char *why)
{
	struct err err;

	copy->skipped++;
	err_set(&err, ERR_UNSUPPORTED, NULL, "%s", why);
	cli_report(copy->cli, path, &err);
}

const char *copy_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* --- Looking at a path in the guest ---------------------------------------------------------- */

static void take_look(void *data, const char *name, const char *value)
{
	if (strcasecmp(name, "X-Corpus-Type") == 0)
		snprintf(data, COPY_TYPE_MAX, "%.*s", COPY_TYPE_MAX - 1, value);
}

/* What is there: "file", "directory", …, or "" when there is nothing. */
static int look(
	const struct copy *copy, const char *path, char type[static COPY_TYPE_MAX], struct err *err)
{
	AUTOFREE char *url = copy_url(copy, path);
	struct request request = {
		.method = "HEAD", .path = url, .on_header = take_look, .data = type};
	struct response answer;
	int r;

	type[0] = '\0';
	r = client_perform(copy->cli->client, &request, &answer, err);
	if (answer.status == 404 || answer.status == 200)
		r = 0;
	response_finish(&answer);
	return r;
}

/* --- To a guest ------------------------------------------------------------------------------ */

static void show_sent(void *data, uint64_t bytes)
{
	const struct copy *copy = data;

	progress_show_bytes(copy->cli, copy->subject, bytes);
}

/* Mode and owner go into the query. */
static char *put_url(
	const struct copy *copy, const char *path, const struct stat *st, bool directory)
{
	struct strbuf buf = {0};
	char number[16];

	url_path(&buf, "/v1/guests/%s/files", copy->guest);
	url_query(&buf, "path", path);
	url_query(&buf, "directory", directory ? "true" : NULL);
	if (st) {
		snprintf(number, sizeof(number), "%04o",
			st->st_mode & (copy->archive ? 07777u : 0777u));
		url_query(&buf, "mode", number);
	}
	if (st && copy->archive) {
		snprintf(number, sizeof(number), "%u", st->st_uid);
		url_query(&buf, "uid", number);
		snprintf(number, sizeof(number), "%u", st->st_gid);
		url_query(&buf, "gid", number);
	}
	return strbuf_take(&buf);
}

static int put(struct copy *copy, const char *url, struct source *source, struct err *err)
{
	struct request request = {.method = "PUT",
		.path = url,
		.source = source,
		.content_type = source ? "application/octet-stream" : NULL,
		.on_sent = show_sent,
		.data = copy};
	struct response answer;
	int r = client_perform(copy->cli->client, &request, &answer, err);

	response_finish(&answer);
	return r;
}

static int send_file(
	struct copy *copy, const char *from, const char *to, const struct stat *st, struct err *err)
{
	CLEANUP(source_closep) struct source *source = NULL;
	AUTOFREE char *url = put_url(copy, to, st, false);
	int r;

	copy->subject = from;
	r = source_open_file(from, &source, err);
	if (r == 0)
		r = put(copy, url, source, err);
	progress_clear(copy->cli);
	return r;
}

static int send_any(struct copy *copy, const char *from, const char *to, struct err *err);

static int send_directory(
	struct copy *copy, const char *from, const char *to, const struct stat *st, struct err *err)
{
	CLEANUP(closedirp) DIR *directory = opendir(from);
	AUTOFREE char *url = put_url(copy, to, st, true);
	const struct dirent *entry;
	int r = directory ? put(copy, url, NULL, err)
			  : err_errno(err, errno, "cannot read %s", from);

	while (r == 0 && (entry = readdir(directory))) {
		AUTOFREE char *below_from = copy_below(from, entry->d_name);
		AUTOFREE char *below_to = copy_below(to, entry->d_name);

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = below_from && below_to ? send_any(copy, below_from, below_to, err)
					   : err_errno(err, ENOMEM, "copying");
	}
	return r;
}

static int send_any(struct copy *copy, const char *from, const char *to, struct err *err)
{
	struct stat st;

	if (cli_interrupted())
		return err_set(err, ERR_CANCELLED, NULL, "interrupted");
	if ((copy->depth ? lstat(from, &st) : stat(from, &st)) < 0)
		return err_errno(err, errno, "cannot read %s", from);
	if (S_ISREG(st.st_mode))
		return send_file(copy, from, to, &st, err);
	if (S_ISDIR(st.st_mode) && copy->recursive) {
		int r;

		copy->depth++;
		r = send_directory(copy, from, to, &st, err);
		copy->depth--;
		return r;
	}
	if (S_ISDIR(st.st_mode))
		return err_set(err, ERR_INVALID, NULL,
			"%s is a directory: --recursive (-r) copies it", from);
	copy_skip(copy, from, "only files and directories are copied to a guest");
	return 0;
}

/* As with cp: into a directory that is there, else under that name. */
static int send_to(struct copy *copy, const char *from, const char *to, struct err *err)
{
	const char *name = copy_last_part(from);
	AUTOFREE char *below = copy_below(to, name);
	char type[COPY_TYPE_MAX];
	int r;

	if (!below)
		return err_errno(err, ENOMEM, "copying");
	if (strcmp(from, "-") == 0) {
		CLEANUP(source_closep) struct source *source = NULL;
		AUTOFREE char *url = put_url(copy, to, NULL, false);

		copy->subject = "standard input";
		r = source_open_file("-", &source, err);
		return r < 0 ? r : put(copy, url, source, err);
	}
	r = look(copy, to, type, err);
	if (r < 0)
		return r;
	if (!*type && to[strlen(to) - 1] == '/' && !copy->recursive)
		return err_set(err, ERR_NOT_FOUND, "directory", "there is no directory %s in %s",
			to, copy->guest);
	return send_any(copy, from,
		strcmp(type, "directory") == 0 && *name && strcmp(name, ".") != 0 ? below : to,
		err);
}

/* --- Both ------------------------------------------------------------------------------------ */

static int copy_places(
	struct copy *copy, const struct place *from, const struct place *to, struct err *err)
{
	int r;

	if (!!from->guest == !!to->guest)
		return err_set(err, ERR_INVALID, NULL,
			"one of the two must be in a guest, as GUEST:/PATH, and the other here");
	copy->guest = from->guest ? from->guest : to->guest;
	r = to->guest ? send_to(copy, from->path, to->path, err)
		      : copy_fetch(copy, from->path, to->path, err);
	if (r == 0 && copy->skipped) {
		r = err_set(err, ERR_UNSUPPORTED, NULL, "%u were not copied", copy->skipped);
		copy->cli->status = EXIT_FAILURE;
	}
	return r;
}

int cmd_cp(struct cli *cli, const struct args *args, struct err *err)
{
	struct copy copy = {.cli = cli,
		.archive = args_has(args, "archive"),
		.recursive = args_has(args, "recursive") || args_has(args, "archive")};
	struct place from, to = {0};
	int r = parse_place(args->operands[0], &from, err);

	if (r == 0)
		r = parse_place(args->operands[1], &to, err);
	if (r == 0)
		r = copy_places(&copy, &from, &to, err);
	free(from.guest);
	free(to.guest);
	return r;
}
