/* Sorting lists and choosing their columns. */
#include "cli/list.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/fetch.h"
#include "cli/table.h"

/* Columns in the order wanted; for --sort with the direction. */
struct choice {
	const struct list_column *columns[TABLE_COLUMNS_MAX];
	bool backwards[TABLE_COLUMNS_MAX];
	size_t count;
};

/* --- What was asked for ---------------------------------------------------------------------- */

static int refuse_column(
	const struct list *list, const char *option, const char *name, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *known = NULL;

	for (const struct list_column *column = list->columns; column->name; column++)
		strbuf_addf(&buf, "%s%s", buf.used ? ", " : "", column->name);
	known = strbuf_take(&buf);
	return err_set(err, ERR_INVALID, NULL, "--%s: there is no column %s; known are %s", option,
		name, known ? known : "");
}

static const struct list_column *find_column(const struct list *list, const char *name)
{
	for (const struct list_column *column = list->columns; column->name; column++)
		if (strcasecmp(column->name, name) == 0)
			return column;
	return NULL;
}

static int add_choice(struct choice *choice, const struct list *list, const char *option,
	const char *word, struct err *err)
{
	bool backwards = *word == '-';
	const struct list_column *column = find_column(list, word + backwards);
	bool sorts = strcmp(option, "sort") == 0;

	if (!column || (backwards && !sorts))
		return refuse_column(list, option, word, err);
	if (sorts && !column->path)
		return err_set(err, ERR_INVALID, NULL, "--sort: not by %s", column->name);
	if (choice->count >= TABLE_COLUMNS_MAX)
		return err_set(err, ERR_INVALID, NULL, "--%s: at most %d columns", option,
			TABLE_COLUMNS_MAX);
	choice->backwards[choice->count] = backwards;
	choice->columns[choice->count++] = column;
	return 0;
}

/* The columns that an option names; none when it is not there. */
static int read_choice(const struct args *args, const struct list *list, const char *option,
	struct choice *ret, struct err *err)
{
	const char *value = args_value(args, option);
	AUTOFREE char *copy = value ? strdup(value) : NULL;
	char *rest = copy, *word;
	int r = 0;

	*ret = (struct choice){0};
	while (r == 0 && (word = strsep(&rest, ",")))
		r = add_choice(ret, list, option, word, err);
	return r;
}

static void choose_shown(const struct list *list, struct choice *ret)
{
	for (const struct list_column *column = list->columns; column->name; column++)
		if (column->shown && ret->count < TABLE_COLUMNS_MAX)
			ret->columns[ret->count++] = column;
}

/* --- Sorting --------------------------------------------------------------------------------- */

static int compare_values(const json_t *a, const json_t *b)
{
	if (json_is_number(a) && json_is_number(b)) {
		double x = json_number_value(a), y = json_number_value(b);

		return (x > y) - (x < y);
	}
	if (json_is_string(a) && json_is_string(b))
		return strcmp(json_string_value(a), json_string_value(b));
	return json_is_true(a) - json_is_true(b);
}

/* What is not there comes last, whichever way round. */
static int compare_at(const json_t *a, const json_t *b, const char *path, bool backwards)
{
	const json_t *x = json_at(a, path), *y = json_at(b, path);
	bool no_x = !x || json_is_null(x), no_y = !y || json_is_null(y);

	if (no_x || no_y)
		return no_x - no_y;
	return backwards ? compare_values(y, x) : compare_values(x, y);
}

struct sorted {
	json_t *item;
	size_t came; /* among equals the order stays as it came */
};

static int compare_items(const void *a, const void *b, void *data)
{
	const struct sorted *x = a, *y = b;
	const struct choice *order = data;
	int r = 0;

	for (size_t i = 0; r == 0 && i < order->count; i++)
		r = compare_at(x->item, y->item, order->columns[i]->path, order->backwards[i]);
	return r ? r : (x->came > y->came) - (x->came < y->came);
}

static int sort_array(json_t *array, const struct choice *order)
{
	size_t count = json_array_size(array), i;
	AUTOFREE struct sorted *items = calloc(count + 1, sizeof(*items));
	json_t *item;

	if (!items)
		return -ENOMEM;
	json_array_foreach (array, i, item)
		items[i] = (struct sorted){json_incref(item), i};
	qsort_r(items, count, sizeof(*items), compare_items, (void *)order);
	for (i = 0; i < count; i++)
		json_array_set_new(array, i, items[i].item);
	return 0;
}

/* --- Showing --------------------------------------------------------------------------------- */

static char *render_cell(const struct list_column *column, const json_t *item)
{
	switch (column->kind) {
	case LIST_NUMBER: return strdup(V_NUMBER(item, column->path));
	case LIST_SIZE: return strdup(V_SIZE(item, column->path));
	case LIST_TIME: return strdup(V_TIME(item, column->path));
	case LIST_SWITCH: return strdup(value_switch(item, column->path));
	default: return strdup(json_text(item, column->path));
	}
}

static void add_item(struct table *table, const struct choice *columns, const json_t *item)
{
	char *cells[TABLE_COLUMNS_MAX];

	for (size_t i = 0; i < columns->count; i++) {
		const struct list_column *column = columns->columns[i];

		cells[i] = column->render ? column->render(item) : render_cell(column, item);
	}
	table_add(table, (const char *const *)cells);
	for (size_t i = 0; i < columns->count; i++)
		free(cells[i]);
}

static bool is_right(enum list_kind kind)
{
	return kind == LIST_NUMBER || kind == LIST_SIZE;
}

static void print_table(struct cli *cli, const json_t *array, const struct choice *columns)
{
	struct table_column shown[TABLE_COLUMNS_MAX] = {0};
	char titles[TABLE_COLUMNS_MAX][24] = {0};
	CLEANUP(table_destroyp) struct table *table = NULL;
	const json_t *item;
	size_t i;

	for (i = 0; i < columns->count; i++) {
		const struct list_column *column = columns->columns[i];

		for (size_t c = 0; column->name[c] && c < sizeof(titles[0]) - 1; c++)
			titles[i][c] = (char)toupper(column->name[c]);
		shown[i] = (struct table_column){.title = titles[i],
			.right = is_right(column->kind),
			.state = column->kind == LIST_STATE};
	}
	table = table_create(shown, columns->count);
	json_array_foreach (array, i, item)
		add_item(table, columns, item);
	table_print(table, cli->out, cli->colour);
}

int list_run(struct cli *cli, const struct args *args, const char *path, const struct list *list,
	struct err *err)
{
	CLEANUP(response_finish) struct response answer = {0};
	struct choice order = {0}, columns = {0};
	json_t *array;
	int r = read_choice(args, list, "sort", &order, err);

	if (r == 0)
		r = read_choice(args, list, "columns", &columns, err);
	if (r == 0)
		r = fetch(cli, path, &answer, err);
	if (r < 0)
		return r;
	array = json_object_get(answer.json, list->array);
	if (order.count > 0 && sort_array(array, &order) < 0)
		return err_errno(err, ENOMEM, "sorting");
	if (cli->json && order.count == 0)
		change_print_json(cli, answer.text);
	else if (cli->json)
		change_print_value(cli, answer.json);
	if (cli->json)
		return 0;
	if (columns.count == 0)
		choose_shown(list, &columns);
	print_table(cli, array, &columns);
	if (list->more && *json_text(answer.json, "next"))
		cli_say(cli, "There are more: --%s %s", list->more, json_text(answer.json, "next"));
	return 0;
}
