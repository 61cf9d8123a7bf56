/* Commands about sessions: exec, attach, console, and those that look after them. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/fetch.h"
#include "cli/list.h"
#include "cli/stream.h"
#include "cli/table.h"
#include "cli/url.h"

/* As with other programs that run commands for somebody: what they themselves could not do must
 * not look like an exit status of the command. */
#define STATUS_FAILED	 125
#define STATUS_NOT_FOUND 127

static int failed(struct cli *cli, int r, const struct err *err)
{
	bool command = err->code == ERR_NOT_FOUND && strcmp(err->field, "command") == 0;

	if (cli->status == 0)
		cli->status = command ? STATUS_NOT_FOUND : STATUS_FAILED;
	return r;
}

static int carry(struct cli *cli, const char *method, const char *path, const json_t *body,
	const struct stream_options *options, struct err *err)
{
	struct stream stream;
	int r = stream_open(cli, method, path, body, &stream, err);

	if (r == 0)
		r = stream_carry(cli, &stream, options, err);
	if (r < 0)
		return failed(cli, r, err);
	cli->status = r;
	return 0;
}

static int check_terminal(struct err *err)
{
	if (isatty(STDIN_FILENO))
		return 0;
	return err_set(err, ERR_INVALID, NULL,
		"standard input is no terminal: leave --terminal (-t) out, or call it from one");
}

/* --- exec ------------------------------------------------------------------------------------ */

static json_t *terminal_size(void)
{
	struct winsize size;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		return json_object();
	return json_pack("{s:i, s:i}", "rows", size.ws_row, "columns", size.ws_col);
}

static int add_env(json_t *body, const struct args *args, struct err *err)
{
	const char *term = getenv("TERM"), *variable;
	json_t *env = json_object();
	size_t position = 0;

	json_object_set_new(body, "env", env);
	if (args_has(args, "terminal") && term && *term)
		json_object_set_new(env, "TERM", json_string(term));
	while ((variable = args_next(args, "env", &position))) {
		size_t length = strcspn(variable, "=");
		AUTOFREE char *name = strndup(variable, length);
		const char *value = variable[length] ? variable + length + 1 : getenv(variable);

		if (!name)
			return err_errno(err, ENOMEM, "making a request");
		if (!value)
			return err_set(err, ERR_INVALID, NULL,
				"--env %s: there is no such variable here, say %s=VALUE", variable,
				variable);
		json_object_set_new(env, name, json_string(value));
	}
	return 0;
}

static void add_option(json_t *body, const struct args *args, const char *option, const char *field)
{
	const char *value = args_value(args, option);

	if (value)
		json_object_set_new(body, field, json_string(value));
}

static void add_flag(json_t *body, const struct args *args, const char *option, const char *field)
{
	if (args_has(args, option))
		json_object_set_new(body, field, json_true());
}

static int exec_body(const struct args *args, json_t **ret, struct err *err)
{
	json_t *command = json_array();
	json_auto_t *body = json_pack("{s:o}", "command", command);
	int r;

	for (size_t i = 1; i < args->operands_count; i++)
		json_array_append_new(command, json_string(args->operands[i]));
	add_option(body, args, "user", "user");
	add_option(body, args, "workdir", "cwd");
	add_option(body, args, "kill-after", "timeout");
	add_flag(body, args, "interactive", "stdin");
	add_flag(body, args, "persist", "persist");
	add_flag(body, args, "detach", "detach");
	if (args_has(args, "terminal"))
		json_object_set_new(body, "terminal", terminal_size());
	r = add_env(body, args, err);
	if (r < 0)
		return r;
	if (json_array_size(command) + 1 != args->operands_count)
		return err_set(err, ERR_INVALID, NULL, "the command must be UTF-8");
	*ret = json_incref(body);
	return 0;
}

static int exec_detached(struct cli *cli, const char *path, const json_t *body, struct err *err)
{
	struct request request = {.method = "POST", .path = path, .body = body};
	struct response answer;
	int r = client_perform(cli->client, &request, &answer, err);

	if (r == 0 && cli->json)
		change_print_json(cli, answer.text);
	else if (r == 0)
		fprintf(cli->out, "%s\n", json_text(answer.json, "id"));
	response_finish(&answer);
	return r < 0 ? failed(cli, r, err) : 0;
}

int cmd_exec(struct cli *cli, const struct args *args, struct err *err)
{
	struct stream_options options = {
		.input = args_has(args, "interactive"), .terminal = args_has(args, "terminal")};
	AUTOFREE char *path = url_of("/v1/guests/%s/exec", args->operands[0]);
	bool detach = args_has(args, "detach");
	json_auto_t *body = NULL;
	int r = options.terminal && !detach ? check_terminal(err) : 0;

	if (r == 0)
		r = exec_body(args, &body, err);
	if (r < 0)
		return failed(cli, r, err);
	return detach ? exec_detached(cli, path, body, err)
		      : carry(cli, "POST", path, body, &options, err);
}

/* --- attach, console ------------------------------------------------------------------------- */

/* Whether the session has a terminal decides how it is shown. */
static int ask_session(struct cli *cli, const char *id, bool *ret_terminal, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/sessions/%s", id);
	struct response answer = {0};
	int r = fetch(cli, path, &answer, err);

	*ret_terminal = json_is_true(json_object_get(answer.json, "terminal"));
	response_finish(&answer);
	return r;
}

int cmd_attach(struct cli *cli, const struct args *args, struct err *err)
{
	bool look = args_has(args, "read-only"), terminal;
	struct stream_options options = {.input = !look};
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	int r = ask_session(cli, args->operands[0], &terminal, err);

	if (r < 0)
		return failed(cli, r, err);
	options.terminal = terminal && !look && isatty(STDIN_FILENO);
	url_path(&buf, "/v1/sessions/%s/attach", args->operands[0]);
	url_query(&buf, "input", look ? "false" : NULL);
	path = strbuf_take(&buf);
	return carry(cli, "GET", path, NULL, &options, err);
}

int cmd_console(struct cli *cli, const struct args *args, struct err *err)
{
	struct stream_options options = {
		.input = true, .terminal = isatty(STDIN_FILENO), .console = true};
	AUTOFREE char *path = url_of("/v1/guests/%s/console", args->operands[0]);

	if (options.terminal && !cli->quiet)
		fprintf(cli->err_out, "console of %s: leave it by ctrl-p ctrl-q\n",
			args->operands[0]);
	return carry(cli, "GET", path, NULL, &options, err);
}

/* --- sessions -------------------------------------------------------------------------------- */

int cmd_session_list(struct cli *cli, const struct args *args, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	url_path(&buf, "/v1/sessions");
	url_query(&buf, "guest", args->operands_count > 0 ? args->operands[0] : NULL);
	path = strbuf_take(&buf);
	return list_run(cli, args, path, &LIST_SESSIONS, err);
}

static int tell_session(
	struct cli *cli, const char *method, const char *path, const json_t *body, struct err *err)
{
	struct request request = {.method = method, .path = path, .body = body};
	struct response answer;
	int r = client_perform(cli->client, &request, &answer, err);

	if (r == 0 && cli->json)
		change_print_json(cli, answer.text);
	response_finish(&answer);
	return r;
}

int cmd_session_end(struct cli *cli, const struct args *args, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < args->operands_count && r == 0; i++) {
		AUTOFREE char *path = url_of("/v1/sessions/%s", args->operands[i]);

		r = tell_session(cli, "DELETE", path, NULL, err);
	}
	return r;
}

int cmd_session_signal(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/sessions/%s/signal", args->operands[0]);
	json_auto_t *body = json_pack("{s:s}", "signal", args->operands[1]);

	return tell_session(cli, "POST", path, body, err);
}

/* --- logs ------------------------------------------------------------------------------------ */

static bool print_piece(void *data, const char *text, size_t size)
{
	struct cli *cli = data;

	return fwrite(text, 1, size, cli->out) == size && fflush(cli->out) == 0;
}

int cmd_logs(struct cli *cli, const struct args *args, struct err *err)
{
	struct request request = {.method = "GET", .on_data = print_piece, .data = cli};
	struct response answer;
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	int r;

	url_path(&buf, "/v1/guests/%s/logs", args->operands[0]);
	url_query(&buf, "tail", args_value(args, "tail"));
	url_query(&buf, "follow", args_has(args, "follow") ? "true" : NULL);
	path = strbuf_take(&buf);
	request.path = path;
	r = client_perform(cli->client, &request, &answer, err);
	response_finish(&answer);
	/* Whoever follows ends it by an interrupt. */
	return r < 0 && cli_interrupted() && args_has(args, "follow") ? 0 : r;
}
