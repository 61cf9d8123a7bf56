/* Lists as people want them: which columns, in which order. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct args;
struct cli;
struct err;

/* How the value at a column's path is shown. Sorting is by the value itself. */
enum list_kind {
	LIST_TEXT,
	LIST_STATE, /* text, coloured by what it says */
	LIST_NUMBER,
	LIST_SIZE,
	LIST_TIME,
	LIST_SWITCH, /* yes or no */
};

struct list_column {
	const char *name; /* as --sort and --columns know it; in capitals its title. NULL ends */
	const char *path; /* in the API's JSON; NULL: it cannot be sorted by */
	enum list_kind kind;
	bool shown;			     /* unless --columns says which */
	char *(*render)(const json_t *item); /* NULL: the value at path. The caller frees it */
};

struct list {
	const char *array; /* where the answer has it: "guests" */
	const char *more;  /* the option that begins the next page, or NULL */
	const struct list_column *columns;
};

/* The options of every command that lists. */
#define LIST_OPTIONS_SHARED                                                                        \
	{"sort", 0, "COLUMN[,...]", "by these columns; -COLUMN: the other way round",              \
		COMPLETE_COLUMN},                                                                  \
	{                                                                                          \
		"columns", 0, "COLUMN[,...]", "show these", COMPLETE_COLUMN                        \
	}

/* GET and show, by --sort and --columns. */
int list_run(struct cli *cli, const struct args *args, const char *path, const struct list *list,
	struct err *err);

/* The lists there are (lists.c). */
extern const struct list LIST_GUESTS, LIST_IMAGES, LIST_PORTS, LIST_OPERATIONS, LIST_SNAPSHOTS,
	LIST_SESSIONS;

/* What the command of that name lists, or NULL. */
const struct list *list_of_command(const char *command);
