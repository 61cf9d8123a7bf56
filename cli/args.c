/* Parsing of the command line by the tables of args.h. Options may stand anywhere, `--` ends them.
 */
#include "cli/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

const struct option ARGS_GLOBAL[] = {
	{"socket", 's', "PATH", "the agent's socket (CORPUS_SOCKET, /run/corpus/agent.sock)",
		COMPLETE_FILE},
	{"output", 'o', "FORMAT", "table, json (the API's own) or yaml", COMPLETE_OUTPUT},
	{"json", 'j', NULL, "the same as --output json"},
	{"quiet", 'q', NULL, "say nothing about success"},
	{"no-wait", 0, NULL, "do not wait for the end of the operation"},
	{"timeout", 't', "SECONDS", "wait no longer than this for an operation"},
	{"dry-run", 'n', NULL, "say what would happen, and do nothing"},
	{"help", 'h', NULL, "show help"},
	{"version", 'V', NULL, "show the version"},
	{0},
};

struct parser {
	const struct command *commands;
	char **words;
	size_t count, at;
	struct args *args;
};

static const struct option *find_long(const struct option *options, const char *name, size_t length)
{
	for (const struct option *option = options; option && option->name; option++)
		if (strncmp(option->name, name, length) == 0 && option->name[length] == '\0')
			return option;
	return NULL;
}

static const struct option *find_letter(const struct option *options, char letter)
{
	for (const struct option *option = options; option && option->name; option++)
		if (option->letter == letter)
			return option;
	return NULL;
}

/* The option that a word names, of the command or of all; *ret_value is what follows in the same
 * word, or NULL. */
static const struct option *find_option(
	const struct command *command, const char *word, const char **ret_value)
{
	const struct option *own = command ? command->options : NULL, *found;
	size_t length;

	*ret_value = NULL;
	if (word[1] != '-') {
		found = find_letter(own, word[1]);
		if (word[2])
			*ret_value = word + 2 + (word[2] == '=');
		return found ? found : find_letter(ARGS_GLOBAL, word[1]);
	}
	length = strcspn(word + 2, "=");
	if (word[2 + length] == '=')
		*ret_value = word + 2 + length + 1;
	found = find_long(own, word + 2, length);
	return found ? found : find_long(ARGS_GLOBAL, word + 2, length);
}

static int add_operand(struct args *args, const char *word, struct err *err)
{
	const char **grown =
		reallocarray(args->operands, args->operands_count + 1, sizeof(*args->operands));

	if (!grown)
		return err_errno(err, ENOMEM, "reading the command line");
	args->operands = grown;
	args->operands[args->operands_count++] = word;
	return 0;
}

static int add_value(
	struct args *args, const struct option *option, const char *value, struct err *err)
{
	struct option_value *grown;

	if (!option->many && args_has(args, option->name))
		return err_set(err, ERR_INVALID, NULL, "--%s is given twice", option->name);
	grown = reallocarray(args->values, args->values_count + 1, sizeof(*args->values));
	if (!grown)
		return err_errno(err, ENOMEM, "reading the command line");
	args->values = grown;
	args->values[args->values_count++] = (struct option_value){option, value};
	return 0;
}

/* "-it": letters that take no value, one after the other. */
static bool is_bundle(const struct command *command, const char *word)
{
	const char *value;

	if (word[1] == '-' || !word[2])
		return false;
	for (const char *letter = word + 1; *letter; letter++) {
		const struct option *option =
			find_option(command, (char[]){'-', *letter, '\0'}, &value);

		if (!option || option->value)
			return false;
	}
	return true;
}

static int read_bundle(struct parser *parser, const char *word, struct err *err)
{
	const char *value;
	int r = 0;

	for (const char *letter = word + 1; r == 0 && *letter; letter++)
		r = add_value(parser->args,
			find_option(parser->args->command, (char[]){'-', *letter, '\0'}, &value),
			NULL, err);
	return r;
}

static int read_option(struct parser *parser, struct err *err)
{
	const char *word = parser->words[parser->at], *value;
	const struct command *command = parser->args->command;
	const struct option *option = find_option(command, word, &value);

	if (is_bundle(command, word))
		return read_bundle(parser, word, err);
	if (!option && command && command->passes)
		return add_operand(parser->args, word, err);
	if (!option)
		return err_set(err, ERR_INVALID, NULL, "unknown option %s", word);
	if (!option->value && value)
		return err_set(err, ERR_INVALID, NULL, "--%s takes no value", option->name);
	if (option->value && !value) {
		if (parser->at + 1 >= parser->count)
			return err_set(err, ERR_INVALID, NULL, "--%s needs a value: %s",
				option->name, option->value);
		value = parser->words[++parser->at];
	}
	return add_value(parser->args, option, value, err);
}

/* Whether `words` begin with all words of `name`; the number of those, or 0. */
static size_t match_name(const char *name, const char *const *words, size_t count)
{
	const char *space = strchr(name, ' ');
	size_t first = space ? (size_t)(space - name) : strlen(name);

	if (count == 0 || strlen(words[0]) != first || strncmp(name, words[0], first) != 0)
		return 0;
	if (!space)
		return 1;
	return count > 1 && strcmp(space + 1, words[1]) == 0 ? 2 : 0;
}

const struct command *args_find_command(
	const struct command *commands, const char *const *words, size_t count, size_t *ret_used)
{
	for (const struct command *command = commands; command->name; command++) {
		size_t used = match_name(command->name, words, count);

		if (used == 0 && command->alias)
			used = match_name(command->alias, words, count);
		if (used > 0) {
			*ret_used = used;
			return command;
		}
	}
	return NULL;
}

/* Whether a word begins commands of two words ("image"). */
static bool is_group(const struct command *commands, const char *word)
{
	size_t length = strlen(word);

	for (const struct command *command = commands; command->name; command++)
		if (strncmp(command->name, word, length) == 0 && command->name[length] == ' ')
			return true;
	return false;
}

static int read_command(struct parser *parser, struct err *err)
{
	const char *words[2] = {parser->words[parser->at], NULL};
	size_t count = 1, used;

	if (parser->at + 1 < parser->count && is_group(parser->commands, words[0]))
		words[count++] = parser->words[parser->at + 1];
	parser->args->command = args_find_command(parser->commands, words, count, &used);
	if (!parser->args->command && is_group(parser->commands, words[0]))
		return err_set(err, ERR_INVALID, NULL,
			"%s needs another word: `corpus help %s` lists them", words[0], words[0]);
	if (!parser->args->command)
		return err_set(err, ERR_INVALID, NULL,
			"unknown command %s: `corpus help` lists them", words[0]);
	parser->at += used - 1;
	return 0;
}

/* Behind the guest of exec stands a command with options of its own. */
static bool is_in_command(const struct args *args)
{
	return args->command && args->command->command && args->operands_count > 0;
}

static int read_words(struct parser *parser, struct err *err)
{
	bool options = true;
	int r = 0;

	for (; r == 0 && parser->at < parser->count; parser->at++) {
		const char *word = parser->words[parser->at];

		if (options && strcmp(word, "--") == 0)
			options = false;
		else if (options && word[0] == '-' && word[1] && !is_in_command(parser->args))
			r = read_option(parser, err);
		else if (!parser->args->command)
			r = read_command(parser, err);
		else
			r = add_operand(parser->args, word, err);
	}
	return r;
}

static int check_operands(const struct args *args, struct err *err)
{
	const struct command *command = args->command;

	if (!command || args_has(args, "help"))
		return 0;
	if (args->operands_count < command->least)
		return err_set(err, ERR_INVALID, NULL, "usage: corpus %s %s", command->name,
			command->operands);
	if (args->operands_count > command->most && !command->passes)
		return err_set(err, ERR_INVALID, NULL, "%s is one word too many: corpus %s %s",
			args->operands[command->most], command->name, command->operands);
	return 0;
}

static int check_change(const struct args *args, struct err *err)
{
	if (args->command && !args->command->change && args_has(args, "dry-run"))
		return err_set(err, ERR_INVALID, NULL, "--dry-run is for commands that change");
	return 0;
}

int args_parse(
	const struct command *commands, int argc, char **argv, struct args *ret, struct err *err)
{
	struct parser parser = {.commands = commands, .words = argv, .count = (size_t)argc};
	int r;

	*ret = (struct args){0};
	parser.args = ret;
	r = read_words(&parser, err);
	if (r == 0)
		r = check_operands(ret, err);
	return r < 0 ? r : check_change(ret, err);
}

void args_finish(struct args *args)
{
	free(args->operands);
	free(args->values);
	*args = (struct args){0};
}

bool args_has(const struct args *args, const char *name)
{
	for (size_t i = 0; i < args->values_count; i++)
		if (strcmp(args->values[i].option->name, name) == 0)
			return true;
	return false;
}

const char *args_value(const struct args *args, const char *name)
{
	const char *found = NULL;

	for (size_t i = 0; i < args->values_count; i++)
		if (strcmp(args->values[i].option->name, name) == 0)
			found = args->values[i].value;
	return found;
}

const char *args_next(const struct args *args, const char *name, size_t *position)
{
	while (*position < args->values_count) {
		const struct option_value *value = &args->values[(*position)++];

		if (strcmp(value->option->name, name) == 0)
			return value->value;
	}
	return NULL;
}
