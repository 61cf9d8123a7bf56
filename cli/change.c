/* Changes and the operations that they become. */
#include "cli/change.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/random.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/url.h"
#include "cli/yaml.h"
#include "model/operation.h"

#define KEY_DIGITS	   32
#define PROGRESS_WAIT	   1  /* s: how often a progress line learns something new */
#define PLAIN_WAIT	   30 /* s */
#define RECONNECT_MS	   15000
#define RECONNECT_PAUSE_MS 200

/* A change under way. */
struct flow {
	struct cli *cli;
	const struct change *change;
	int64_t began_ns;
	struct response answer;
};

static void flow_finish(struct flow *flow)
{
	response_finish(&flow->answer);
}

void change_print_value(struct cli *cli, const json_t *value)
{
	if (cli->yaml)
		(void)yaml_print(value, cli->out);
	else if (json_dumpf(value, cli->out, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
		fputc('\n', cli->out);
}

void change_print_json(struct cli *cli, const char *text)
{
	json_auto_t *value = cli->yaml ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
	size_t length = strlen(text);

	if (value) {
		change_print_value(cli, value);
		return;
	}
	fputs(text, cli->out);
	if (length == 0 || text[length - 1] != '\n')
		fputc('\n', cli->out);
}

static int64_t milliseconds_left(const struct flow *flow)
{
	int64_t spent = (clock_monotonic_ns() - flow->began_ns) / 1000000;

	return (int64_t)flow->cli->timeout_ms - spent;
}

/* Seconds for the next ?wait=; 0 when the time is over. */
static unsigned next_wait(const struct flow *flow)
{
	unsigned wait = flow->cli->progress ? PROGRESS_WAIT : PLAIN_WAIT;
	int64_t left;

	if (flow->cli->timeout_ms == 0)
		return wait;
	left = (milliseconds_left(flow) + 999) / 1000;
	return left <= 0 ? 0 : left < wait ? (unsigned)left : wait;
}

static void add_wait(struct strbuf *path, unsigned seconds)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", seconds);
	url_query(path, "wait", text);
}

static void show_sent(void *data, uint64_t bytes)
{
	struct flow *flow = data;

	progress_show_bytes(flow->cli, flow->change->subject, bytes);
}

static int ask(struct flow *flow, struct err *err)
{
	const struct change *change = flow->change;
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	char key[KEY_DIGITS + 1];

	strbuf_add(&buf, change->path);
	if (flow->cli->dry_run)
		url_query(&buf, "dry_run", "true");
	else if (flow->cli->wait && next_wait(flow) > 0)
		add_wait(&buf, next_wait(flow));
	path = strbuf_take(&buf);
	random_hex(key, KEY_DIGITS);
	return client_perform(flow->cli->client,
		&(struct request){
			.method = change->method,
			.path = path,
			.body = change->body,
			.source = change->source,
			.content_type = change->source ? "application/octet-stream" : NULL,
			.key = key,
			.if_match = change->if_match,
			.on_sent = change->source ? show_sent : NULL,
			.data = flow,
		},
		&flow->answer, err);
}

/* --- Following ------------------------------------------------------------------------------- */

static bool is_final(const json_t *operation)
{
	enum operation_state state;

	return operation_state_from_string(json_text(operation, "state"), &state) == 0 &&
	       operation_state_is_final(state);
}

/* What is on its way to or from a registry or a daemon. */
static void show_transfer(const struct flow *flow, const json_t *transfer)
{
	double done = json_number(transfer, "done"), total = json_number(transfer, "total");
	char what[128];

	snprintf(what, sizeof(what), "%s, %s", json_text(transfer, "what"),
		V_SIZE(transfer, "done"));
	progress_show(flow->cli, flow->change->subject, what, total > 0 ? done / total : -1);
}

static void show_step(const struct flow *flow, const json_t *operation)
{
	const char *step = json_text(operation, "step");
	char what[128];

	if (json_is_object(json_at(operation, "transfer"))) {
		show_transfer(flow, json_at(operation, "transfer"));
		return;
	}
	snprintf(what, sizeof(what), "%s%s%s", json_text(operation, "verb"), *step ? ": " : "",
		step);
	progress_show(flow->cli, flow->change->subject, what,
		json_number_value(json_at(operation, "progress")));
}

static int ask_operation(struct flow *flow, const char *id, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	struct response answer;
	int r;

	url_path(&buf, "/v1/operations/%s", id);
	add_wait(&buf, next_wait(flow));
	path = strbuf_take(&buf);
	r = client_perform(
		flow->cli->client, &(struct request){.method = "GET", .path = path}, &answer, err);
	if (r < 0) {
		response_finish(&answer);
		return r;
	}
	response_finish(&flow->answer);
	flow->answer = answer;
	return 0;
}

static void pause_before_reconnect(void)
{
	struct timespec pause = {0, RECONNECT_PAUSE_MS * 1000000L};

	nanosleep(&pause, NULL);
}

/* The operation outlives the agent: when it is away for a while, it is waited for. */
static int ask_patiently(struct flow *flow, const char *id, struct err *err)
{
	int64_t end = clock_monotonic_ns() + RECONNECT_MS * INT64_C(1000000);
	int r;

	for (;;) {
		r = ask_operation(flow, id, err);
		if (r == 0 || !client_was_cut(flow->cli->client) || clock_monotonic_ns() > end ||
			cli_interrupted())
			return r;
		progress_show(flow->cli, flow->change->subject, "waiting for the agent", -1);
		pause_before_reconnect();
	}
}

static int say_unfinished(const char *id, const char *why, struct err *err)
{
	return err_set(err, cli_interrupted() ? ERR_CANCELLED : ERR_TIMEOUT, NULL,
		"%s; the operation goes on: `corpus operation %s --wait` waits for it, `corpus "
		"cancel %s` stops it",
		why, id, id);
}

static int follow(struct flow *flow, const char *id, struct err *err)
{
	while (!is_final(flow->answer.json)) {
		int r;

		show_step(flow, flow->answer.json);
		if (cli_interrupted())
			return say_unfinished(id, "interrupted", err);
		if (next_wait(flow) == 0)
			return say_unfinished(id, "not done in time", err);
		r = ask_patiently(flow, id, err);
		if (r < 0)
			return cli_interrupted() ? say_unfinished(id, "interrupted", err) : r;
	}
	return 0;
}

/* --- Ends ------------------------------------------------------------------------------------ */

static int end_to_error(const json_t *operation, struct err *err)
{
	const json_t *error = json_at(operation, "error");
	const char *field = json_text(error, "field");

	if (strcmp(json_text(operation, "state"), "done") == 0)
		return 0;
	if (!json_is_object(error))
		return err_set(err, ERR_CANCELLED, NULL, "the operation was cancelled");
	return err_set(err, err_code_from_string(json_text(error, "code")), *field ? field : NULL,
		"%s", json_text(error, "detail"));
}

static void say_plan(struct cli *cli, const char *subject, const json_t *plan)
{
	const json_t *steps = json_at(plan, "steps");
	AUTOFREE char *patch = json_dumps(json_at(plan, "patch"), JSON_COMPACT);
	struct strbuf buf = {0};
	AUTOFREE char *line = NULL;
	const json_t *step;
	size_t i;

	if (!json_is_true(json_at(plan, "changed"))) {
		cli_say(cli, "%s: nothing to do", subject);
		return;
	}
	text_escape(&buf, json_text(plan, "verb"));
	json_array_foreach (steps, i, step) {
		strbuf_add(&buf, i == 0 ? ": " : ", ");
		text_escape(&buf, json_string_value(step));
	}
	if (patch) {
		strbuf_add(&buf, "; changes ");
		text_escape(&buf, patch);
	}
	line = strbuf_take(&buf);
	cli_say(cli, "%s: would run %s", subject, line ? line : "");
}

static void say_done(const struct flow *flow, const json_t *result)
{
	const struct change *change = flow->change;

	if (change->say)
		change->say(flow->cli, change->subject, result);
	else
		cli_say(flow->cli, "%s: %s", change->subject, change->past);
}

/* An answer is an operation, a plan, or the word that nothing was to do. */
static void say_answer(const struct flow *flow)
{
	const json_t *json = flow->answer.json;
	struct cli *cli = flow->cli;

	if (cli->json)
		change_print_json(cli, flow->answer.text);
	else if (json_is_true(json_at(json, "dry_run")))
		say_plan(cli, flow->change->subject, json);
	else if (json_is_false(json_at(json, "changed")))
		cli_say(cli, "%s: is so already, nothing was done", flow->change->subject);
	else if (!is_final(json))
		cli_say(cli, "%s: accepted as operation %s", flow->change->subject,
			json_text(json, "id"));
	else
		say_done(flow, json_at(json, "result"));
}

/* Somebody else's change came first: the caller knows what to do. */
static bool is_overtaken(const struct flow *flow, const struct err *err)
{
	return flow->change->if_match && err->code == ERR_PRECONDITION;
}

static int finish(struct flow *flow, struct err *err)
{
	/* Copied: following it replaces the answer. */
	AUTOFREE char *id = strdup(json_text(flow->answer.json, "id"));
	int r = 0;

	if (!id)
		return err_errno(err, ENOMEM, "reading the answer");
	if (*id && flow->cli->wait)
		r = follow(flow, id, err);
	progress_clear(flow->cli);
	if (r < 0)
		return r;
	if (*id && is_final(flow->answer.json))
		r = end_to_error(flow->answer.json, err);
	if (r == 0)
		say_answer(flow);
	else if (flow->cli->json && !is_overtaken(flow, err))
		change_print_json(flow->cli, flow->answer.text);
	return r;
}

int change_run(struct cli *cli, const struct change *change, struct err *err)
{
	CLEANUP(flow_finish)
	struct flow flow = {.cli = cli, .change = change, .began_ns = clock_monotonic_ns()};
	int r;

	if (!change->path)
		return err_errno(err, ENOMEM, "making a request");
	progress_show(cli, change->subject, "asking", -1);
	r = ask(&flow, err);
	if (r == 0)
		return finish(&flow, err);
	progress_clear(cli);
	if (cli->json && flow.answer.text && !is_overtaken(&flow, err))
		change_print_json(cli, flow.answer.text);
	return r;
}

int change_follow(struct cli *cli, const char *id, struct err *err)
{
	const struct change change = {.subject = id, .past = "done"};
	CLEANUP(flow_finish)
	struct flow flow = {.cli = cli, .change = &change, .began_ns = clock_monotonic_ns()};
	int r = ask_operation(&flow, id, err);

	return r < 0 ? r : finish(&flow, err);
}
