/* Completion for shells: `corpus __complete WORD...` prints what the last word can become, one a
 * line. Names come from the agent, and are simply missing where it does not answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/kinds.h"
#include "cli/list.h"
#include "cli/url.h"

/* What is being completed. */
struct completer {
	struct cli *cli;
	const char *prefix;	       /* the last word */
	const struct command *command; /* the one before it, or NULL */
	size_t operands;	       /* that stand between the command and the last word */
	const char *operand;	       /* the first of them, or NULL */
	const struct option *pending;  /* an option that awaits its value, or NULL */
};

static void offer(const struct completer *completer, const char *word)
{
	if (*word && strncmp(word, completer->prefix, strlen(completer->prefix)) == 0)
		fprintf(completer->cli->out, "%s\n", word);
}

static void offer_all(const struct completer *completer, const char *const *words)
{
	for (; *words; words++)
		offer(completer, *words);
}

/* Words that hold no control characters: what a shell would take for several is left out. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

/* --- What the agent knows -------------------------------------------------------------------- */

static json_t *ask(const struct completer *completer, const char *path, const char *list)
{
	struct response answer;
	json_t *found = NULL;

	if (client_perform(completer->cli->client, &(struct request){.method = "GET", .path = path},
		    &answer, NULL) == 0)
		found = json_incref((json_t *)json_at(answer.json, list));
	response_finish(&answer);
	return found;
}

static void offer_listed(
	const struct completer *completer, const char *path, const char *list, const char *name)
{
	json_auto_t *items = ask(completer, path, list);
	const json_t *item;
	size_t i;

	json_array_foreach (items, i, item)
		if (is_plain(json_text(item, name)))
			offer(completer, json_text(item, name));
}

static void offer_ports(const struct completer *completer)
{
	json_auto_t *ports = ask(completer, "/v1/ports", "ports");
	const json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		char word[VALUE_MAX];

		snprintf(word, sizeof(word), "%s%s", V_NUMBER(port, "host"),
			strcmp(json_text(port, "proto"), "udp") == 0 ? "/udp" : "");
		offer(completer, word);
	}
}

/* A file here, or the beginning of one in a guest. */
static void offer_places(const struct completer *completer)
{
	json_auto_t *guests = ask(completer, "/v1/guests?fields=name", "guests");
	const json_t *guest;
	size_t i;

	json_array_foreach (guests, i, guest) {
		char word[300];

		snprintf(word, sizeof(word), "%.255s:/", json_text(guest, "name"));
		offer(completer, word);
	}
	fprintf(completer->cli->out, "__files__\n");
}

static void offer_snapshots(const struct completer *completer)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	url_path(&buf, "/v1/guests/%s/snapshots", completer->operand ? completer->operand : "");
	path = strbuf_take(&buf);
	if (path)
		offer_listed(completer, path, "snapshots", "name");
}

/* --- What the tables know -------------------------------------------------------------------- */

static void offer_settings(const struct completer *completer)
{
	for (const struct setting *setting = BODY_SETTINGS; setting->name; setting++) {
		char word[VALUE_MAX];

		snprintf(word, sizeof(word), "%s=", setting->name);
		if (setting->changeable)
			offer(completer, word);
	}
	offer(completer, "label.");
	offer(completer, "var.");
}

/* After the last comma, and after the sign of a column that is sorted by backwards. */
static void offer_columns(const struct completer *completer)
{
	const struct list *list =
		completer->command ? list_of_command(completer->command->name) : NULL;
	const char *comma = strrchr(completer->prefix, ','), *typed = completer->prefix;
	size_t kept = comma ? (size_t)(comma - typed) + 1 : 0;

	kept += typed[kept] == '-';
	for (const struct list_column *column = list ? list->columns : NULL; column && column->name;
		column++) {
		AUTOFREE char *word = NULL;

		if (asprintf(&word, "%.*s%s", (int)kept, typed, column->name) >= 0)
			offer(completer, word);
	}
}

static void offer_kinds(const struct completer *completer)
{
	AUTOFREE char *kinds = kinds_list("\n");
	char *rest = NULL;

	for (char *kind = kinds ? strtok_r(kinds, "\n", &rest) : NULL; kind;
		kind = strtok_r(NULL, "\n", &rest))
		offer(completer, kind);
}

/* First words of commands, once each; or second words of those that begin with `group`. */
static void offer_commands(const struct completer *completer, const char *group)
{
	const char *before = "";

	for (const struct command *command = COMMANDS; command->name; command++) {
		const char *space = strchr(command->name, ' ');
		size_t length = space ? (size_t)(space - command->name) : strlen(command->name);
		char word[VALUE_MAX];

		if (command->hidden)
			continue;
		if (group && space && strlen(group) == length &&
			strncmp(command->name, group, length) == 0)
			offer(completer, space + 1);
		snprintf(word, sizeof(word), "%.*s", (int)length, command->name);
		if (!group && strncmp(before, word, length + 1) != 0 &&
			!(strncmp(before, word, length) == 0 && before[length] == ' '))
			offer(completer, word);
		before = command->name;
	}
}

static void offer_options(const struct completer *completer, const struct option *options)
{
	for (const struct option *option = options; option && option->name; option++) {
		char word[VALUE_MAX];

		snprintf(word, sizeof(word), "--%s", option->name);
		offer(completer, word);
	}
}

static void offer_kind(const struct completer *completer, enum completion kind)
{
	static const char *const ENVIRONMENTS[] = {"dev", "staging", "preprod", "prod", NULL};
	static const char *const MODES[] = {"active", "drain", "maintenance", NULL};
	static const char *const STATES[] = {"creating", "stopped", "starting", "running", "frozen",
		"stopping", "destroying", "error", "unknown", NULL};

	static const char *const OUTPUTS[] = {"table", "json", "yaml", NULL};
	static const char *const IMAGE_KINDS[] = {"tree", "disk", "oci", NULL};
	static const char *const FORMATS[] = {"qcow2", "raw", NULL};
	static const char *const BOOTS[] = {"bios", "uefi", NULL};

	switch (kind) {
	case COMPLETE_GUEST:
		offer_listed(completer, "/v1/guests?fields=name", "guests", "name");
		break;
	case COMPLETE_SESSION: offer_listed(completer, "/v1/sessions", "sessions", "id"); break;
	case COMPLETE_IMAGE: offer_listed(completer, "/v1/images", "images", "name"); break;
	case COMPLETE_OPERATION:
		offer_listed(completer, "/v1/operations?limit=50", "operations", "id");
		break;
	case COMPLETE_DRIVER: offer_listed(completer, "/v1/node", "drivers", "name"); break;
	case COMPLETE_SNAPSHOT: offer_snapshots(completer); break;
	case COMPLETE_PORT: offer_ports(completer); break;
	case COMPLETE_OUTPUT: offer_all(completer, OUTPUTS); break;
	case COMPLETE_COLUMN: offer_columns(completer); break;
	case COMPLETE_KEY: offer_settings(completer); break;
	case COMPLETE_KIND: offer_kinds(completer); break;
	case COMPLETE_IMAGE_KIND: offer_all(completer, IMAGE_KINDS); break;
	case COMPLETE_DISK_FORMAT: offer_all(completer, FORMATS); break;
	case COMPLETE_BOOT: offer_all(completer, BOOTS); break;
	case COMPLETE_COMMAND: offer_commands(completer, NULL); break;
	case COMPLETE_ENVIRONMENT: offer_all(completer, ENVIRONMENTS); break;
	case COMPLETE_MODE: offer_all(completer, MODES); break;
	case COMPLETE_STATE: offer_all(completer, STATES); break;
	/* The shell's own completion of files does better than we could. */
	case COMPLETE_FILE: fprintf(completer->cli->out, "__files__\n"); break;
	case COMPLETE_COPY: offer_places(completer); break;
	case COMPLETE_NOTHING: break;
	}
}

/* --- The words before ------------------------------------------------------------------------ */

static const struct option *find_pending(const struct option *options, const char *word)
{
	for (const struct option *option = options; option && option->name; option++)
		if (option->value &&
			((word[1] == '-' && strcmp(word + 2, option->name) == 0) ||
				(word[1] == option->letter && option->letter && !word[2])))
			return option;
	return NULL;
}

static const struct option *pending_of(const struct completer *completer, const char *word)
{
	const struct option *found =
		completer->command ? find_pending(completer->command->options, word) : NULL;

	return found ? found : find_pending(ARGS_GLOBAL, word);
}

/* Names are asked of the agent that the command will ask. */
static void use_value(struct completer *completer, const char *value)
{
	struct client *client;

	if (strcmp(completer->pending->name, "socket") != 0)
		return;
	client = client_create(value);
	if (!client)
		return;
	client_destroy(completer->cli->client);
	completer->cli->client = client;
}

/* Reads the words before the last one. Returns the first word of a command of two whose second one
 * is not there yet, or NULL. */
static const char *read_before(struct completer *completer, const char *const *words, size_t count)
{
	const char *group = NULL;

	for (size_t i = 0; i < count; i++) {
		size_t used = 0;

		if (completer->pending) {
			use_value(completer, words[i]);
			completer->pending = NULL;
		} else if (words[i][0] == '-' && words[i][1]) {
			completer->pending = pending_of(completer, words[i]);
		} else if (completer->command) {
			if (completer->operands++ == 0)
				completer->operand = words[i];
		} else {
			completer->command =
				args_find_command(COMMANDS, words + i, count - i, &used);
			group = completer->command ? NULL : words[i];
			i += used > 1 ? used - 1 : 0;
		}
	}
	return group;
}

int cmd_complete(struct cli *cli, const struct args *args, struct err *err)
{
	size_t count = args->operands_count;
	struct completer completer = {.cli = cli, .prefix = count ? args->operands[count - 1] : ""};
	const char *group = count ? read_before(&completer, args->operands, count - 1) : NULL;
	const struct command *command = completer.command;

	(void)err;
	if (completer.pending) {
		offer_kind(&completer, completer.pending->completion);
	} else if (completer.prefix[0] == '-') {
		offer_options(&completer, command ? command->options : NULL);
		offer_options(&completer, ARGS_GLOBAL);
	} else if (command) {
		if (completer.operands < command->most)
			offer_kind(&completer, command->completion[completer.operands > 0]);
	} else {
		offer_commands(&completer, group);
	}
	return 0;
}
