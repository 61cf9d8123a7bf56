/* What goes into the audit log about requests, and the route that shows it. Bodies and queries
 * never do: they can hold keys and user data. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/api/api.h"
#include "agent/api/internal.h"
#include "agent/audit/audit.h"
#include "agent/core/worker.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/utf8.h"

#define SHOWN_MAX	 512
#define SHOWN_BY_DEFAULT 100

/* --- Records --------------------------------------------------------------------------------- */

/* Text from outside: bounded, and fit for JSON. */
static json_t *harmless(const char *text)
{
	char buf[SHOWN_MAX];

	snprintf(buf, sizeof(buf), "%s", text);
	utf8_scrub(buf);
	return json_string(buf);
}

static json_t *user_name(uid_t uid)
{
	char buf[4096];
	struct passwd passwd, *found = NULL;

	getpwuid_r(uid, &passwd, buf, sizeof(buf), &found);
	return found ? harmless(found->pw_name) : json_null();
}

/* The program's name, as far as it has not ended yet. */
static json_t *command_name(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (pid <= 0 || file_read(path, 256, &text, NULL) < 0)
		return json_null();
	text[strcspn(text, "\n")] = '\0';
	return harmless(text);
}

static json_t *request_record(const struct http_request *request, unsigned status)
{
	uid_t uid = http_peer_uid(request);
	pid_t pid = http_peer_pid(request);

	return json_pack("{s:s, s:I, s:o, s:I, s:i, s:o, s:s, s:s, s:s, s:o, s:i}", "event",
		"request", "uid", (json_int_t)uid, "user", user_name(uid), "gid",
		(json_int_t)http_peer_gid(request), "pid", (int)pid, "command", command_name(pid),
		"role", role_to_string(http_peer_role(request)), "from", "unix", "method",
		http_method_to_string(http_method(request)), "path", harmless(http_path(request)),
		"status", (int)status);
}

/* Written before it begins, so that nothing is done of which nobody knows who asked. */
void audit_change(struct agent *agent, struct http_request *request, const struct op *op)
{
	json_t *record = request_record(request, 202);

	json_object_set_new(record, "operation", json_string(op->info.id));
	json_object_set_new(record, "verb", json_string(op->verb->name));
	json_object_set_new(record, "target", json_string(op->info.target));
	agent_audit(agent, record);
	http_set_note(request, op->info.id);
}

/* Reading is nobody's business, but reading secrets, opening a guest, and trying what one may not.
 */
static bool is_of_interest(const struct http_request *request, unsigned status)
{
	static const char secret[] = "/credentials";
	const char *path = http_path(request);
	size_t length = strlen(path), suffix = sizeof(secret) - 1;

	if (*http_note(request))
		return false;
	if (http_method(request) != HTTP_GET || status == 101 || status == 401 || status == 403)
		return true;
	return length > suffix && strcmp(path + length - suffix, secret) == 0;
}

void audit_answered(struct agent *agent, const struct http_request *request, unsigned status)
{
	if (is_of_interest(request, status))
		agent_audit(agent, request_record(request, status));
}

/* --- Reading --------------------------------------------------------------------------------- */

struct reading {
	struct http_request *request;
	char *path;
	unsigned files;
	size_t limit;
	json_t *records;
	struct err err;
	int r;
};

static void reading_work(void *data)
{
	struct reading *reading = data;

	reading->r = audit_read(
		reading->path, reading->files, reading->limit, &reading->records, &reading->err);
}

static void reading_done(void *data)
{
	struct reading *reading = data;

	if (reading->r < 0)
		http_respond_error(reading->request, &reading->err, NULL);
	else
		http_respond_json(
			reading->request, 200, json_pack("{s:o}", "records", reading->records));
	free(reading->path);
	free(reading);
}

void api_audit_get(struct http_request *request, void *data)
{
	struct agent *agent = data;
	struct reading *reading = calloc(1, sizeof(*reading));
	uint64_t limit = SHOWN_BY_DEFAULT;
	struct err err;
	int r = query_number(request, "limit", 1, AUDIT_READ_MAX, SHOWN_BY_DEFAULT, &limit, &err);

	if (reading)
		*reading = (struct reading){.request = request,
			.path = strdup(agent->audit_path),
			.files = agent->config->audit.files,
			.limit = limit};
	if (r == 0 &&
		(!reading || !reading->path ||
			workers_submit(agent->workers, reading_work, reading_done, reading) < 0))
		r = err_set(&err, ERR_UNAVAILABLE, NULL, "out of memory, try again");
	if (r == 0)
		return;
	if (reading)
		free(reading->path);
	free(reading);
	http_respond_error(request, &err, NULL);
}
