/* The node's mode: a change of it is done when it is answered, but guests that go to rest with it,
 * or come back, take longer: that is waited for. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd_mode.h"
#include "cli/progress.h"
#include "cli/show.h"

#define LOOK_AGAIN_NS INT64_C(200000000)

static bool is_on_its_way(const json_t *node)
{
	const char *state = json_text(node, "rest.state");

	return strcmp(state, "stopping") == 0 || strcmp(state, "waking") == 0;
}

static void show_way(const struct cli *cli, const json_t *node)
{
	bool stopping = strcmp(json_text(node, "rest.state"), "stopping") == 0;
	char what[80];

	snprintf(what, sizeof(what), "%s: %" JSON_INTEGER_FORMAT " guests left",
		json_text(node, "rest.state"),
		json_integer_value(json_at(node, stopping ? "rest.running" : "rest.guests")));
	progress_show(cli, "node", what, -1);
}

/* Reads the node into *answer until its guests are where they are to be. */
static int follow(struct cli *cli, struct response *answer, struct err *err)
{
	int64_t until = clock_monotonic_ns() + (int64_t)cli->timeout_ms * 1000000;
	int r = 0;

	while (r == 0 && is_on_its_way(answer->json)) {
		if (cli->timeout_ms && clock_monotonic_ns() >= until)
			r = err_set(err, ERR_TIMEOUT, NULL,
				"the guests are still on their way: corpus node tells how far");
		show_way(cli, answer->json);
		nanosleep(&(struct timespec){.tv_nsec = LOOK_AGAIN_NS}, NULL);
		if (r < 0)
			break;
		response_finish(answer);
		r = client_perform(cli->client,
			&(struct request){.method = "GET", .path = "/v1/node"}, answer, err);
	}
	progress_clear(cli);
	return r;
}

static json_t *body_of(const char *mode, bool stop)
{
	json_t *body = json_pack("{s:s}", "mode", mode);

	if (body && stop)
		json_object_set_new(body, "guests", json_string("stop"));
	return body;
}

int change_mode(struct cli *cli, const char *mode, bool stop, struct err *err)
{
	json_auto_t *body = body_of(mode, stop);
	CLEANUP(response_finish) struct response answer;
	int r;

	if (!body)
		return err_set(err, ERR_INVALID, NULL, "the mode is not UTF-8 text");
	r = client_perform(cli->client,
		&(struct request){
			.method = "PATCH",
			.path = cli->dry_run ? "/v1/node?dry_run=true" : "/v1/node",
			.body = body,
		},
		&answer, err);
	if (r == 0 && cli->wait && !cli->dry_run)
		r = follow(cli, &answer, err);
	if (cli->json && answer.text)
		change_print_json(cli, answer.text);
	else if (r == 0 && cli->dry_run)
		show_mode_plan(cli, answer.json);
	else if (r == 0 && !cli->quiet)
		show_node(cli, answer.json);
	return r;
}
