/* Help, made from the tables, and versions. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/help.h"

#define COMMAND_WIDTH 42
#define OPTION_WIDTH  28

static void print_options(FILE *out, const struct option *options)
{
	for (const struct option *option = options; option && option->name; option++) {
		char text[64];

		snprintf(text, sizeof(text), "%s%c%s --%s%s%s", option->letter ? "-" : " ",
			option->letter ? option->letter : ' ', option->letter ? "," : " ",
			option->name, option->value ? " " : "", option->value ? option->value : "");
		fprintf(out, "  %-*s  %s\n", OPTION_WIDTH, text, option->help);
	}
}

static void print_command_line(FILE *out, const struct command *command)
{
	char text[96];

	snprintf(text, sizeof(text), "%s %s", command->name, command->operands);
	fprintf(out, "  %-*s  %s\n", COMMAND_WIDTH, text, command->help);
}

void help_print(FILE *out)
{
	fprintf(out, "usage: corpus [OPTION...] COMMAND ...\n\n"
		     "Guests of this node: create, reach, change, destroy.\n\ncommands:\n");
	for (const struct command *command = COMMANDS; command->name; command++)
		if (!command->hidden)
			print_command_line(out, command);
	fprintf(out, "\noptions of all commands:\n");
	print_options(out, ARGS_GLOBAL);
	fprintf(out, "\nexit status: 0 done, 1 failed, 2 usage or invalid value, 3 not found, "
		     "4 not permitted,\n  5 conflict, 6 no room or no slot, 7 not reachable or not "
		     "in time, 8 not supported,\n  130 interrupted; of exec and attach that of the "
		     "command, 125 when they failed\n\n"
		     "`corpus help COMMAND` and corpus(1) tell more.\n");
}

static void print_settings(FILE *out)
{
	fprintf(out, "\nkeys:\n ");
	for (const struct setting *setting = BODY_SETTINGS; setting->name; setting++)
		if (setting->changeable)
			fprintf(out, " %s", setting->name);
	fprintf(out, " label.KEY var.NAME\n  An empty value resets a limit, or what a container is "
		     "run with, or removes a label.\n");
}

void help_print_command(FILE *out, const struct command *command)
{
	fprintf(out, "usage: corpus %s %s\n\n%c%s.\n", command->name, command->operands,
		command->help[0] - 'a' + 'A', command->help + 1);
	if (command->options) {
		fprintf(out, "\noptions:\n");
		print_options(out, command->options);
	}
	if (command->run == cmd_set)
		print_settings(out);
	if (command->alias)
		fprintf(out, "\nalso known as: %s\n", command->alias);
}

/* A word that begins commands of two words: all of those. */
static bool print_group(FILE *out, const char *word)
{
	size_t length = strlen(word);
	bool found = false;

	for (const struct command *command = COMMANDS; command->name; command++)
		if (strncmp(command->name, word, length) == 0 && command->name[length] == ' ') {
			print_command_line(out, command);
			found = true;
		}
	return found;
}

int cmd_help(struct cli *cli, const struct args *args, struct err *err)
{
	const struct command *command;
	size_t used;

	if (args->operands_count == 0) {
		help_print(cli->out);
		return 0;
	}
	command = args_find_command(COMMANDS, args->operands, args->operands_count, &used);
	if (command)
		help_print_command(cli->out, command);
	else if (args->operands_count > 1 || !print_group(cli->out, args->operands[0]))
		return err_set(err, ERR_INVALID, NULL, "there is no command %s", args->operands[0]);
	return 0;
}

int cmd_version(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(response_finish) struct response answer;
	int r = client_perform(
		cli->client, &(struct request){.method = "GET", .path = "/v1/node"}, &answer, err);
	json_auto_t *json = json_pack("{s:s, s:o}", "client", CORPUS_VERSION, "agent",
		r == 0 ? json_string(json_text(answer.json, "version")) : json_null());
	AUTOFREE char *text = cli->json ? json_dumps(json, JSON_COMPACT) : NULL;

	(void)args;
	if (text)
		change_print_json(cli, text);
	else
		fprintf(cli->out, "corpus %s\n", CORPUS_VERSION);
	if (!text && r == 0)
		fprintf(cli->out, "corpusd %s\n", json_text(answer.json, "version"));
	return r;
}
