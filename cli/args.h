/* Arguments: the words of a command line sorted into command, options and operands by tables. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli;
struct err;

/* What a word can be completed to. */
enum completion {
	COMPLETE_NOTHING,
	COMPLETE_FILE,
	COMPLETE_COMMAND,
	COMPLETE_GUEST,
	COMPLETE_IMAGE,
	COMPLETE_OPERATION,
	COMPLETE_DRIVER,
	COMPLETE_KIND, /* of image that can be built */
	COMPLETE_IMAGE_KIND,
	COMPLETE_DISK_FORMAT,
	COMPLETE_BOOT,
	COMPLETE_ENVIRONMENT,
	COMPLETE_STATE,
	COMPLETE_MODE,
	COMPLETE_KEY, /* "memory=" of set */
	COMPLETE_OUTPUT,
	COMPLETE_COLUMN, /* of the command's list */
	COMPLETE_PORT,
	COMPLETE_SESSION,
	COMPLETE_COPY,	   /* a file here, or "GUEST:" */
	COMPLETE_SNAPSHOT, /* of the guest that is the first operand */
};

struct option {
	const char *name;  /* without the hyphens; NULL ends a table */
	char letter;	   /* 0: none */
	const char *value; /* what its value is called in help; NULL: it takes none */
	const char *help;
	enum completion completion;
	bool many; /* may be given more than once */
};

struct args;

struct command {
	const char *name;     /* "list", or two words: "image list" */
	const char *alias;    /* another name, or NULL */
	const char *operands; /* "NAME..." */
	const char *help;     /* one line */
	int (*run)(struct cli *cli, const struct args *args, struct err *err);
	const struct option *options;  /* NULL: none of its own */
	size_t least, most;	       /* operands */
	enum completion completion[2]; /* of the first operand, and of those that follow */
	bool change;		       /* knows --dry-run, --no-wait and --timeout */
	bool passes;  /* operands and options that it does not know belong to another program */
	bool command; /* what follows the first operand is a command of its own, options and all */
	bool hidden;
};

struct option_value {
	const struct option *option;
	const char *value; /* NULL for those that take none */
};

struct args {
	const struct command *command; /* NULL: none was given */
	const char **operands;	       /* point into argv */
	size_t operands_count;
	struct option_value *values;
	size_t values_count;
};

/* Options that every command knows. */
extern const struct option ARGS_GLOBAL[];

/* Sorts argv (without the program's name). `commands` ends with a NULL name. ERR_INVALID says what
 * is wrong in the words of the command line. The number of operands is checked unless --help is
 * among the options. */
int args_parse(
	const struct command *commands, int argc, char **argv, struct args *ret, struct err *err);
void args_finish(struct args *args);

/* The command that the words name; *ret_used is how many of them that took. NULL: none. */
const struct command *args_find_command(
	const struct command *commands, const char *const *words, size_t count, size_t *ret_used);

bool args_has(const struct args *args, const char *name);

/* Value of the last one of that name, or NULL. */
const char *args_value(const struct args *args, const char *name);

/* The next one of that name after *position, which begins at 0; NULL at the end. */
const char *args_next(const struct args *args, const char *name, size_t *position);
