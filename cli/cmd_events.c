/* The stream of events (server-sent events, WHATWG HTML 9.2): shown as it comes, resumed where it
 * broke off. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/url.h"

#define ID_MAX		   24
#define LINE_MAX_BYTES	   (1024 * 1024)
#define RECONNECT_MS	   30000
#define RECONNECT_PAUSE_MS 200

struct stream {
	struct cli *cli;
	const struct args *args; /* which events are wanted */
	struct strbuf line;	 /* the one that is not complete yet */
	struct strbuf data;	 /* of the record that is not complete yet */
	char id[ID_MAX];	 /* of that record */
	char last[ID_MAX];	 /* of the last complete one: where to resume; "" when none came */
	bool came;		 /* something did since the connection was made */
};

/* That events are missing concerns everybody. */
static bool is_wanted(const struct args *args, const json_t *event)
{
	const char *type = json_text(event, "type"), *guest = args_value(args, "guest"), *pattern;
	bool named = !args_has(args, "type") || strcmp(type, "gap") == 0;
	size_t position = 0;

	while (!named && (pattern = args_next(args, "type", &position)))
		named = fnmatch(pattern, type, 0) == 0;
	return named && (!guest || strcmp(type, "gap") == 0 ||
				strcmp(json_text(event, "target"), guest) == 0);
}

static void end_record(struct stream *stream)
{
	AUTOFREE char *text = strbuf_take(&stream->data);
	json_auto_t *event = text ? json_loads(text, 0, NULL) : NULL;

	if (*stream->id)
		memcpy(stream->last, stream->id, sizeof(stream->last));
	if (!text || !*text || !is_wanted(stream->args, event))
		return;
	if (stream->cli->json)
		change_print_json(stream->cli, text);
	else if (event)
		show_event(stream->cli, event);
	fflush(stream->cli->out);
}

/* The value behind "name:", or NULL when the line is not of that field. */
static const char *field_value(const char *line, const char *name)
{
	size_t length = strlen(name);

	if (strncmp(line, name, length) != 0 || line[length] != ':')
		return NULL;
	return line + length + 1 + (line[length + 1] == ' ');
}

static void take_line(struct stream *stream, const char *line)
{
	const char *id = field_value(line, "id"), *data = field_value(line, "data");

	if (!*line)
		end_record(stream);
	else if (id)
		snprintf(stream->id, sizeof(stream->id), "%s", id);
	else if (data) {
		strbuf_add(&stream->data, stream->data.used ? "\n" : "");
		strbuf_add(&stream->data, data);
	}
}

static bool take_data(void *user, const char *text, size_t size)
{
	struct stream *stream = user;

	stream->came = true;
	while (size > 0) {
		const char *end = memchr(text, '\n', size);
		size_t length = end ? (size_t)(end - text) : size;

		strbuf_add_bytes(&stream->line, text, length);
		text += length + (end ? 1 : 0);
		size -= length + (end ? 1 : 0);
		if (end) {
			AUTOFREE char *line = strbuf_take(&stream->line);

			take_line(stream, line ? line : "");
		}
	}
	return stream->line.used < LINE_MAX_BYTES && stream->data.used < LINE_MAX_BYTES;
}

static char *events_path(const struct args *args)
{
	const char *since = args_value(args, "since");
	const char *after = since ? since : args_value(args, "after");
	struct strbuf buf = {0};

	strbuf_add(&buf, "/v1/events");
	if (!args_has(args, "follow")) {
		after = after ? after : "0";
		url_query(&buf, "follow", "false");
	}
	url_query(&buf, "after", after);
	return strbuf_take(&buf);
}

static int read_stream(struct stream *stream, const char *path, struct err *err)
{
	struct response answer;
	int r = client_perform(stream->cli->client,
		&(struct request){
			.method = "GET",
			.path = path,
			.last_event_id = *stream->last ? stream->last : NULL,
			.on_data = take_data,
			.data = stream,
		},
		&answer, err);

	if (r < 0 && stream->cli->json && answer.text && answer.status >= 400)
		change_print_json(stream->cli, answer.text);
	response_finish(&answer);
	/* A record that was cut comes again. */
	strbuf_finish(&stream->line);
	strbuf_finish(&stream->data);
	stream->id[0] = '\0';
	return r;
}

/* Whether to connect again: the stream ended or broke after it had once been there. */
static bool go_on(const struct stream *stream, int r, int64_t quiet_since_ns)
{
	if (cli_interrupted())
		return false;
	if (r == 0)
		return true;
	return client_was_cut(stream->cli->client) && stream->last[0] &&
	       clock_monotonic_ns() - quiet_since_ns < RECONNECT_MS * INT64_C(1000000);
}

static int follow(struct stream *stream, const char *path, struct err *err)
{
	const struct timespec pause = {0, RECONNECT_PAUSE_MS * 1000000L};
	int64_t quiet_since = clock_monotonic_ns();

	for (;;) {
		int r;

		stream->came = false;
		r = read_stream(stream, path, err);
		if (stream->came)
			quiet_since = clock_monotonic_ns();
		if (!go_on(stream, r, quiet_since))
			return cli_interrupted() ? 0 : r;
		nanosleep(&pause, NULL);
	}
}

int cmd_events(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = events_path(args);
	struct stream stream = {.cli = cli, .args = args};

	return args_has(args, "follow") ? follow(&stream, path, err)
					: read_stream(&stream, path, err);
}
