/* Handlers of files in guests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/api/internal.h"
#include "agent/api/piped.h"
#include "agent/node/registry.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

#define FILE_PATH_MAX 4096
#define LISTING_MAX   (16 * 1024 * 1024)
#define FILE_TYPE     "application/octet-stream"

struct file_request {
	struct agent *agent;
	struct http_request *request;
	char guest_id[GUEST_ID_LEN + 1];
	char path[FILE_PATH_MAX + 1];
	bool was_link;
};

/* --- What is asked --------------------------------------------------------------------------- */

static int check_path(const char *path, struct err *err)
{
	if (path && path[0] == '/' && strlen(path) <= FILE_PATH_MAX)
		return 0;
	return err_set(err, ERR_INVALID, "path",
		"path must be that of a file in the guest, from / on, of at most %d bytes",
		FILE_PATH_MAX);
}

static int check_state(const struct guest *guest, struct err *err)
{
	if (guest->state != GUEST_CREATING && guest->state != GUEST_DESTROYING)
		return 0;
	return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is %s: it has no files now",
		guest->name, guest_state_to_string(guest->state));
}

/* NULL: the request is answered. */
static struct file_request *file_begin(struct http_request *request, struct agent *agent)
{
	const struct guest_entry *entry = requested_guest(request, agent);
	const char *path = http_query(request, "path");
	struct file_request *file = NULL;
	struct err err;
	int r;

	if (!entry)
		return NULL;
	r = check_path(path, &err);
	if (r == 0)
		r = check_state(entry->guest, &err);
	if (r == 0 && !(file = calloc(1, sizeof(*file))))
		r = err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory");
	if (r < 0) {
		http_respond_error(request, &err, NULL);
		return NULL;
	}
	file->agent = agent;
	file->request = request;
	memcpy(file->guest_id, entry->guest->id, sizeof(file->guest_id));
	snprintf(file->path, sizeof(file->path), "%s", path);
	return file;
}

/* The driver as it is now: the guest may have gone since. */
static struct driver_client *file_driver(const struct file_request *file, struct err *err)
{
	const struct guest_entry *entry = registry_by_id(file->agent->registry, file->guest_id);

	if (entry)
		return guest_driver(file->agent, entry, err);
	err_set(err, ERR_NOT_FOUND, NULL, "the guest is gone");
	return NULL;
}

static void file_fail(struct file_request *file, const struct err *err)
{
	http_respond_error(file->request, err, NULL);
	free(file);
}

/* Calls the driver; a failure is answered. */
static void file_call(
	struct file_request *file, const struct driver_file *what, driver_reply_fn reply)
{
	struct driver_request call = {.call = DRIVER_CALL_FILE, .id = file->guest_id, .file = what};
	struct err err;
	struct driver_client *client = file_driver(file, &err);

	if (!client || driver_client_call(client, &call, reply, file, &err) < 0)
		file_fail(file, &err);
}

/* --- Reading --------------------------------------------------------------------------------- */

static void add_number(
	struct http_request *request, const char *name, unsigned base, uint64_t number)
{
	char text[32];

	if (base == 8)
		snprintf(text, sizeof(text), "%04llo", (unsigned long long)number);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	http_add_header(request, name, text);
}

static void add_headers(const struct file_request *file, const struct driver_file_info *info)
{
	struct http_request *request = file->request;

	http_add_header(request, "X-Corpus-Type", info->type);
	if (file->was_link)
		http_add_header(request, "X-Corpus-Link", "true");
	add_number(request, "X-Corpus-Mode", 8, info->mode);
	add_number(request, "X-Corpus-Uid", 10, info->uid);
	add_number(request, "X-Corpus-Gid", 10, info->gid);
	http_add_header(request, "X-Corpus-Mtime", FMT_TIME(info->mtime_ms));
}

/* A file of the kernel says that it is empty, and is not. */
static int64_t told_size(const struct driver_file_info *info)
{
	return info->size > 0 && info->size <= INT64_MAX ? (int64_t)info->size : -1;
}

static void answer_file(struct file_request *file, const struct driver_file_info *info)
{
	struct driver_file what = {.op = DRIVER_FILE_READ, .path = file->path};
	struct driver_request call = {
		.call = DRIVER_CALL_FILE, .id = file->guest_id, .file = &what};
	struct http_pipe_source nothing = {.fd = -1, .size = (int64_t)info->size};
	struct err err;
	struct driver_client *client = file_driver(file, &err);

	if (!client) {
		file_fail(file, &err);
		return;
	}
	add_headers(file, info);
	if (http_is_head(file->request))
		http_respond_pipe(file->request, 200, FILE_TYPE, &nothing);
	else
		piped_answer(file->request, file->agent, client, &call, FILE_TYPE, told_size(info));
	free(file);
}

/* A JSON object a line. */
static json_t *parse_listing(const char *text, size_t size)
{
	json_t *entries = json_array();
	const char *end = text + size;

	while (text < end) {
		const char *line = memchr(text, '\n', (size_t)(end - text));
		json_t *entry;

		line = line ? line : end;
		entry = json_loadb(text, (size_t)(line - text), 0, NULL);
		if (entry)
			json_array_append_new(entries, entry);
		text = line + 1;
	}
	return entries;
}

static void listed(void *data, const char *text, size_t size, const struct err *err)
{
	AUTOFREE struct file_request *file = data;

	if (!text)
		http_respond_error(file->request, err, NULL);
	else
		http_respond_json(file->request, 200,
			json_pack("{s:s, s:o}", "path", file->path, "entries",
				parse_listing(text, size)));
}

static void answer_listing(struct file_request *file, const struct driver_file_info *info)
{
	struct driver_file what = {.op = DRIVER_FILE_LIST, .path = file->path};
	struct driver_request call = {
		.call = DRIVER_CALL_FILE, .id = file->guest_id, .file = &what};
	struct err err;
	struct driver_client *client = file_driver(file, &err);

	if (info)
		add_headers(file, info);
	else
		http_add_header(file->request, "X-Corpus-Type", "directory");
	if (client && http_is_head(file->request)) {
		http_respond_text(file->request, 200, "application/json", "", 0);
		free(file);
	} else if (!client ||
		   piped_gather(file->agent, client, &call, LISTING_MAX, listed, file, &err) < 0) {
		file_fail(file, &err);
	}
}

/* What a link leads to: a file, or else a directory. */
static void followed(void *data, const struct driver_reply *reply)
{
	struct file_request *file = data;

	if (reply->result == 0)
		answer_file(file, &reply->file);
	else if (reply->error.code == ERR_NOT_FOUND)
		file_fail(file, &reply->error);
	else
		answer_listing(file, NULL);
}

static void looked(void *data, const struct driver_reply *reply)
{
	struct file_request *file = data;
	struct driver_file read = {.op = DRIVER_FILE_READ, .path = file->path, .fd = -1};
	struct err err;

	if (reply->result < 0) {
		file_fail(file, &reply->error);
	} else if (strcmp(reply->file.type, "directory") == 0) {
		answer_listing(file, &reply->file);
	} else if (strcmp(reply->file.type, "file") == 0) {
		answer_file(file, &reply->file);
	} else if (strcmp(reply->file.type, "link") == 0) {
		file->was_link = true;
		file_call(file, &read, followed);
	} else {
		err_set(&err, ERR_INVALID, "path",
			"%.200s is neither a file nor a directory: it cannot be read", file->path);
		file_fail(file, &err);
	}
}

void api_file_get(struct http_request *request, void *data)
{
	struct file_request *file = file_begin(request, data);
	struct driver_file what = {.op = DRIVER_FILE_STAT, .fd = -1};

	if (!file)
		return;
	what.path = file->path;
	file_call(file, &what, looked);
}

/* --- Writing --------------------------------------------------------------------------------- */

static void changed(void *data, const struct driver_reply *reply)
{
	AUTOFREE struct file_request *file = data;

	if (reply->result < 0)
		http_respond_error(file->request, &reply->error, NULL);
	else
		http_respond_empty(file->request, 204);
}

static int read_mode(const struct http_request *request, int64_t *ret, struct err *err)
{
	const char *text = http_query(request, "mode");
	char *end;

	*ret = -1;
	if (!text)
		return 0;
	*ret = strtol(text, &end, 8);
	if (text[0] >= '0' && text[0] <= '7' && !*end && *ret <= 07777)
		return 0;
	return err_set(err, ERR_INVALID, "mode", "mode must be octal, from 0 to 7777, like 0644");
}

static int read_owner(
	const struct http_request *request, const char *name, int64_t *ret, struct err *err)
{
	uint64_t id = 0;
	int r = query_number(request, name, 0, UINT32_MAX - 1, 0, &id, err);

	*ret = http_query(request, name) ? (int64_t)id : -1;
	return r;
}

static int read_put(const struct http_request *request, struct driver_file *ret, struct err *err)
{
	bool directory = false;
	int r = query_bool(request, "directory", false, &directory, err);

	ret->op = directory ? DRIVER_FILE_MKDIR : DRIVER_FILE_WRITE;
	if (r == 0)
		r = read_mode(request, &ret->mode, err);
	if (r == 0)
		r = read_owner(request, "uid", &ret->uid, err);
	return r < 0 ? r : read_owner(request, "gid", &ret->gid, err);
}

void api_file_put(struct http_request *request, void *data)
{
	struct file_request *file = file_begin(request, data);
	AUTOCLOSE int body = -1, whole = -1;
	struct driver_file what = {.fd = -1, .whole_fd = -1};
	struct err err;
	int r;

	if (!file)
		return;
	what.path = file->path;
	r = read_put(request, &what, &err);
	if (r == 0 && what.op == DRIVER_FILE_WRITE) {
		what.whole_fd = whole = http_stream_whole(request, &err);
		what.fd = body = whole < 0 ? whole : http_stream_to_pipe(request, &err);
		r = body < 0 ? body : 0;
	}
	if (r < 0)
		file_fail(file, &err);
	else
		file_call(file, &what, changed);
}

void api_file_delete(struct http_request *request, void *data)
{
	struct file_request *file = file_begin(request, data);
	struct driver_file what = {.op = DRIVER_FILE_REMOVE, .fd = -1};

	if (!file)
		return;
	what.path = file->path;
	file_call(file, &what, changed);
}
