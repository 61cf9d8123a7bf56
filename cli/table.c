/* Aligned tables. */
#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/text.h"

#define GAP 2

struct table {
	const struct table_column *columns;
	size_t columns_count;
	char **cells; /* row by row */
	size_t cells_count;
	bool failed;
};

/* Colours by meaning (ECMA-48 SGR): fine, passing, wrong, asleep. */
static const struct {
	const char *state, *colour;
} STATE_COLOURS[] = {
	{"running", "32"},
	{"done", "32"},
	{"active", "32"},
	{"good", "32"},
	{"warning", "33"},
	{"bad", "31"},
	{"creating", "33"},
	{"starting", "33"},
	{"stopping", "33"},
	{"destroying", "33"},
	{"queued", "33"},
	{"undoing", "33"},
	{"drain", "33"},
	{"maintenance", "33"},
	{"error", "31"},
	{"failed", "31"},
	{"unknown", "31"},
	{"unusable", "31"},
	{"stopped", "2"},
	{"cancelled", "2"},
};

struct table *table_create(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (table) {
		table->columns = columns;
		table->columns_count = count;
	}
	return table;
}

struct table *table_destroy(struct table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->cells_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
	return NULL;
}

void table_destroyp(struct table **table)
{
	*table = table_destroy(*table);
}

void table_add(struct table *table, const char *const *cells)
{
	char **grown;

	if (!table || table->failed)
		return;
	grown = reallocarray(
		table->cells, table->cells_count + table->columns_count, sizeof(*table->cells));
	if (!grown) {
		table->failed = true;
		return;
	}
	table->cells = grown;
	for (size_t i = 0; i < table->columns_count; i++) {
		char *cell = text_escaped(cells[i]);

		if (!cell)
			table->failed = true;
		table->cells[table->cells_count++] = cell;
	}
}

static size_t column_width(const struct table *table, size_t column)
{
	const char *title = table->columns[column].title;
	size_t width = title ? text_width(title) : 0;

	for (size_t i = column; i < table->cells_count; i += table->columns_count) {
		size_t cell = text_width(table->cells[i]);

		if (cell > width)
			width = cell;
	}
	return width;
}

static const char *colour_of(const struct table_column *column, const char *text)
{
	for (size_t i = 0; column->state && i < ARRAY_SIZE(STATE_COLOURS); i++)
		if (strcmp(STATE_COLOURS[i].state, text) == 0)
			return STATE_COLOURS[i].colour;
	return NULL;
}

static void print_cell(FILE *out, const char *text, size_t width, bool right, const char *colour)
{
	int pad = (int)(width - text_width(text));

	if (right)
		fprintf(out, "%*s", pad, "");
	if (colour)
		fprintf(out, "\033[%sm%s\033[0m", colour, text);
	else
		fputs(text, out);
	if (!right)
		fprintf(out, "%*s", pad, "");
}

/* Index of the last cell of a row that holds something: nothing is printed behind it. */
static size_t last_filled(const char *const *cells, size_t count)
{
	while (count > 1 && (!cells[count - 1] || !*cells[count - 1]))
		count--;
	return count - 1;
}

static void print_row(const struct table *table, const char *const *cells, const size_t *widths,
	FILE *out, const char *title_colour, bool colour)
{
	size_t last = last_filled(cells, table->columns_count);

	for (size_t i = 0; i <= last; i++) {
		const struct table_column *column = &table->columns[i];
		const char *tint = title_colour ? title_colour : colour_of(column, cells[i]);
		size_t width = i == last && !column->right ? text_width(cells[i]) : widths[i];

		print_cell(out, cells[i], width, column->right, colour ? tint : NULL);
		fprintf(out, "%*s", i == last ? 0 : GAP, "");
	}
	fputc('\n', out);
}

int table_print(const struct table *table, FILE *out, bool colour)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	const char *titles[TABLE_COLUMNS_MAX] = {0};

	if (!table || table->failed || table->columns_count > TABLE_COLUMNS_MAX)
		return -ENOMEM;
	for (size_t i = 0; i < table->columns_count; i++) {
		widths[i] = column_width(table, i);
		titles[i] = table->columns[i].title;
	}
	if (titles[0])
		print_row(table, titles, widths, out, "1", colour);
	for (size_t i = 0; i < table->cells_count; i += table->columns_count)
		print_row(table, (const char *const *)&table->cells[i], widths, out, NULL, colour);
	return 0;
}
