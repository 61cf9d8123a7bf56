/* From the command line to a command and from its result to an exit status. */
#include "cli/cli.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/text.h"

#define DEFAULT_SOCKET	 "/run/corpus/agent.sock"
#define EXIT_INTERRUPTED 130 /* 128 + SIGINT, as a shell reports it */
#define TIMEOUT_MAX_MS	 UINT64_C(31536000000)

static volatile sig_atomic_t interrupted;

static void note_signal(int signal)
{
	(void)signal;
	interrupted = 1;
}

bool cli_interrupted(void)
{
	return interrupted;
}

void cli_catch_signals(void)
{
	struct sigaction action = {.sa_handler = note_signal};

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool cli_env_set(const char *name)
{
	const char *value = getenv(name);

	return value && *value;
}

/* --- Saying ---------------------------------------------------------------------------------- */

void cli_say(struct cli *cli, const char *fmt, ...)
{
	AUTOFREE char *text = NULL, *line = NULL;
	va_list ap;
	int r;

	if (cli->quiet || cli->json)
		return;
	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	line = r < 0 ? NULL : text_escaped(text);
	fprintf(cli->out, "%s\n", line ? line : "");
}

/* Where to look for what was not found. */
static const char *advice_to_find(const struct err *err, const char *command)
{
	static const struct {
		const char *prefix, *advice;
	} PLACES[] = {
		{"image", "`corpus image list` shows the images."},
		{"operation", "`corpus operations` shows the operations."},
		{"cancel", "`corpus operations` shows the operations."},
		{"session", "`corpus sessions` shows the sessions."},
		{"attach", "`corpus sessions` shows the sessions."},
		{"snapshot", "`corpus snapshot list GUEST` shows a guest's snapshots."},
		{"unpublish", "`corpus ports` shows what is published."},
		{"switch", "`corpus list` and `corpus ports` show guests and ports."},
		{"", "`corpus list` shows the guests."},
	};
	bool named = strcmp(err->field, "image") == 0 || strcmp(err->field, "snapshot") == 0;
	const char *word = named ? err->field : command;
	size_t i = 0;

	while (strncmp(word, PLACES[i].prefix, strlen(PLACES[i].prefix)) != 0)
		i++;
	return PLACES[i].advice;
}

/* What to do about an error, where its sentence cannot know. */
static const char *advice(const struct cli *cli, const struct err *err)
{
	const char *command = cli->command ? cli->command : "";

	switch (err->code) {
	case ERR_UNAVAILABLE:
		return "Is corpusd running? `systemctl status corpusd` tells, and --socket names "
		       "another socket.";
	case ERR_UNAUTHORIZED:
	case ERR_DENIED:
		/* By its registry, which has rules of its own. */
		return strcmp(err->field, "image") == 0
			       ? NULL
			       : "Who may do what is set in corpusd.yaml under `access`.";
	case ERR_NO_SLOT: return "`corpus slots` shows who uses the slots.";
	case ERR_NO_ROOM: return "`corpus node` shows what the node has left.";
	case ERR_EXISTS:
		if (strncmp(command, "image", 5) == 0)
			return "--replace puts the new image in its place.";
		return strcmp(command, "create") == 0
			       ? "`corpus apply` changes a guest that is there."
			       : NULL;
	case ERR_NOT_FOUND:
		/* One in the guest, which only its owner knows. */
		return strcmp(err->field, "command") == 0 ? NULL : advice_to_find(err, command);
	case ERR_INTERNAL:
	case ERR_DRIVER:
		return cli->client && client_was_answered(cli->client)
			       ? "The agent's log tells more: `journalctl -u corpusd`."
			       : NULL;
	default: return NULL;
	}
}

/* The field is named once: most sentences begin with it. */
static bool names_field(const struct err *err)
{
	return !*err->field || strstr(err->message, err->field);
}

void cli_report(struct cli *cli, const char *subject, const struct err *err)
{
	const char *next = advice(cli, err);
	struct strbuf buf = {0};
	AUTOFREE char *line = NULL;

	strbuf_add(&buf, "corpus: ");
	if (cli->command)
		strbuf_addf(&buf, "%s: ", cli->command);
	if (subject && *subject) {
		text_escape(&buf, subject);
		strbuf_add(&buf, ": ");
	}
	if (!names_field(err)) {
		text_escape(&buf, err->field);
		strbuf_add(&buf, ": ");
	}
	text_escape(&buf, err->message);
	line = strbuf_take(&buf);
	fflush(cli->out);
	fprintf(cli->err_out, "%s\n", line ? line : "corpus: no memory left");
	if (next)
		fprintf(cli->err_out, "%s\n", next);
}

/* --- Setting up ------------------------------------------------------------------------------ */

static bool is_terminal(FILE *stream)
{
	const char *term = getenv("TERM");

	return isatty(fileno(stream)) && (!term || strcmp(term, "dumb") != 0);
}

static int set_timeout(struct cli *cli, const char *text, struct err *err)
{
	if (!text)
		return 0;
	if (parse_duration_ms(text, &cli->timeout_ms) < 0 || cli->timeout_ms == 0 ||
		cli->timeout_ms > TIMEOUT_MAX_MS)
		return err_set(err, ERR_INVALID, NULL,
			"--timeout must be seconds, or a time as in 90s or 5m");
	return 0;
}

static int set_output(struct cli *cli, const struct args *args, struct err *err)
{
	static const char *const FORMATS[] = {"table", "json", "yaml"};
	const char *format = args_value(args, "output");
	size_t i = 0;

	cli->json = args_has(args, "json");
	if (!format)
		return 0;
	while (i < ARRAY_SIZE(FORMATS) && strcmp(FORMATS[i], format) != 0)
		i++;
	if (i == ARRAY_SIZE(FORMATS))
		return err_set(err, ERR_INVALID, NULL, "--output must be table, json or yaml");
	if (cli->json && i != 1)
		return err_set(
			err, ERR_INVALID, NULL, "either --json or --output %s, not both", format);
	cli->json = i > 0;
	cli->yaml = i == 2;
	return 0;
}

static int set_up(struct cli *cli, const struct args *args, struct err *err)
{
	const char *socket = args_value(args, "socket");
	int r;

	if (!socket)
		socket = cli_env_set("CORPUS_SOCKET") ? getenv("CORPUS_SOCKET") : DEFAULT_SOCKET;
	cli->command = args->command ? args->command->name : NULL;
	cli->socket = socket;
	cli->quiet = args_has(args, "quiet");
	cli->wait = !args_has(args, "no-wait");
	cli->dry_run = args_has(args, "dry-run");
	cli->colour = is_terminal(stdout) && !cli_env_set("NO_COLOR");
	cli->progress = is_terminal(stderr) && !cli->quiet;
	cli->client = client_create(socket);
	if (!cli->client)
		return err_errno(err, ENOMEM, "starting");
	r = set_output(cli, args, err);
	return r < 0 ? r : set_timeout(cli, args_value(args, "timeout"), err);
}

/* --- Doing ----------------------------------------------------------------------------------- */

static int show_usage(struct cli *cli, const struct args *args, struct err *err)
{
	if (args_has(args, "help") && args->command)
		help_print_command(cli->out, args->command);
	else if (args_has(args, "help"))
		help_print(cli->out);
	else if (args_has(args, "version"))
		fprintf(cli->out, "corpus %s\n", CORPUS_VERSION);
	else
		return err_set(err, ERR_INVALID, NULL, "say what to do: `corpus help` lists it");
	return 0;
}

static int run(struct cli *cli, const struct args *args, struct err *err)
{
	if (!args->command || args_has(args, "help") || args_has(args, "version"))
		return show_usage(cli, args, err);
	return args->command->run(cli, args, err);
}

/* What is printed must arrive: a full disk behind a redirection is a failure. */
static int flush_output(struct cli *cli, int r, struct err *err)
{
	if (fflush(cli->out) == 0 && !ferror(cli->out))
		return r;
	return r < 0 || errno == EPIPE ? r : err_errno(err, errno, "writing the output");
}

static int exit_status(struct cli *cli, int r, const struct err *err)
{
	if (r >= 0)
		return cli->status;
	if (!cli->reported)
		cli_report(cli, NULL, err);
	if (cli->status)
		return cli->status;
	return cli_interrupted() ? EXIT_INTERRUPTED : err_exit_status(err->code);
}

int cli_main(int argc, char **argv)
{
	struct cli cli = {.out = stdout, .err_out = stderr};
	CLEANUP(args_finish) struct args args;
	struct err err = {0};
	int r;

	setlocale(LC_CTYPE, "C.UTF-8");
	signal(SIGPIPE, SIG_IGN);
	r = args_parse(COMMANDS, argc - 1, argv + 1, &args, &err);
	cli.command = args.command ? args.command->name : NULL;
	if (r == 0)
		r = set_up(&cli, &args, &err);
	if (r == 0)
		r = run(&cli, &args, &err);
	r = flush_output(&cli, r, &err);
	r = exit_status(&cli, r, &err);
	client_destroy(cli.client);
	return r;
}
