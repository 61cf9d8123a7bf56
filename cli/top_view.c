/* The picture of `corpus top`. */
#include "cli/top_view.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/facts.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/top_model.h"

#define CELL		32
#define BAR_NODE	30
#define BAR_GUEST	8
#define NAME_MOST	24 /* where there is no room */
#define WIDTH_WITH_BARS 100
#define NAME_LEAST	12
#define LINES_AROUND	8 /* the node's, the titles, the keys, and blanks */

#define PLAIN  "\033[0m"
#define BOLD   "1"
#define DIM    "2"
#define GREEN  "32"
#define YELLOW "33"
#define RED    "31"

/* --- Values ---------------------------------------------------------------------------------- */

static const char *percent(char buf[static CELL], double processors)
{
	if (processors < 0)
		return "-";
	snprintf(buf, CELL, "%.1f", processors * 100);
	return buf;
}

static const char *bytes(char buf[static CELL], double value)
{
	if (value < 0)
		return "-";
	return format_size(buf, (uint64_t)value);
}

static const char *speed(char buf[static CELL], double value)
{
	char size[CELL];

	if (value < 0)
		return "-";
	snprintf(buf, CELL, "%.20s/s", format_size(size, (uint64_t)value));
	return buf;
}

static const char *count(char buf[static CELL], double value)
{
	if (value < 0)
		return "-";
	snprintf(buf, CELL, "%.0f", value);
	return buf;
}

/* Of how much; "-" where there is no limit. */
static double share(double used, double of)
{
	return used < 0 || of <= 0 ? -1 : used / of;
}

static const char *tint_of(double part)
{
	return part < 0.6 ? GREEN : part < 0.85 ? YELLOW : RED;
}

static const char *state_tint(const struct top_row *row)
{
	if (row->unknown || strcmp(row->state, "error") == 0)
		return RED;
	if (strcmp(row->state, "running") == 0)
		return GREEN;
	return strcmp(row->state, "stopped") == 0 ? DIM : YELLOW;
}

/* What one should know of a guest beside its figures. */
static const char *remark(const struct top_row *row)
{
	if (row->unknown)
		return "not known";
	if (row->oom_kills > 0)
		return "out of memory";
	return row->throttled ? "throttled" : "";
}

/* --- Lines ----------------------------------------------------------------------------------- */

/* A line that is cut at the terminal's width, whatever is added. */
struct line {
	struct strbuf *out;
	const struct top_view *view;
	size_t left; /* columns */
};

static struct line line_begin(struct strbuf *out, const struct top_view *view)
{
	return (struct line){.out = out, .view = view, .left = view->width};
}

static void line_end(struct line *line)
{
	strbuf_add(line->out, "\033[K\r\n");
}

/* Appends what fits of a text, made harmless. */
static void add_text(struct line *line, const char *tint, const char *text)
{
	AUTOFREE char *safe = text_escaped(text);
	size_t length = safe ? strlen(safe) : 0;

	if (!safe)
		return;
	while (length > 0 && text_width(safe) > line->left) {
		do
			length--;
		while (length > 0 && (safe[length] & 0xc0) == 0x80);
		safe[length] = '\0';
	}
	line->left -= text_width(safe);
	if (tint && line->view->colour)
		strbuf_addf(line->out, "\033[%sm%s" PLAIN, tint, safe);
	else
		strbuf_add(line->out, safe);
}

static void add_blanks(struct line *line, size_t blanks)
{
	while (blanks-- > 0 && line->left > 0) {
		strbuf_add(line->out, " ");
		line->left--;
	}
}

/* A text in so many columns, and a blank behind. */
static void add_cell(
	struct line *line, const char *tint, const char *text, size_t columns, bool right)
{
	size_t width = text_width(text);
	size_t pad = width < columns ? columns - width : 0;

	if (line->left < columns)
		line->left = 0; /* half a number would be another one */
	if (right)
		add_blanks(line, pad);
	add_text(line, tint, text);
	if (!right)
		add_blanks(line, pad);
	add_blanks(line, 1);
}

/* In eighths of a column, so that it moves smoothly. */
static void add_bar(struct line *line, double part, size_t columns)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	size_t steps = part <= 0   ? 0
		       : part >= 1 ? columns * 8
				   : (size_t)(part * (double)columns * 8);
	size_t full = steps / 8, used = full + (steps % 8 > 0);

	if (line->left < columns)
		line->left = 0;
	if (line->left == 0)
		return;
	line->left -= columns;
	if (line->view->colour)
		strbuf_addf(line->out, "\033[%sm", tint_of(part));
	for (size_t i = 0; i < full; i++)
		strbuf_add(line->out, "█");
	strbuf_add(line->out, eighths[steps % 8]);
	if (line->view->colour)
		strbuf_add(line->out, PLAIN "\033[" DIM "m");
	for (size_t i = used; i < columns; i++)
		strbuf_add(line->out, "·");
	if (line->view->colour)
		strbuf_add(line->out, PLAIN);
}

/* --- The node -------------------------------------------------------------------------------- */

/* "12 guests: 10 running, 2 stopped" */
static void describe_guests(const json_t *stats, struct strbuf *out)
{
	json_t *states = (json_t *)json_at(stats, "node.guests");
	size_t guests = json_array_size(json_at(stats, "guests"));
	const char *state, *between = ": ";
	json_t *value;

	strbuf_addf(out, "%zu guest%s", guests, guests == 1 ? "" : "s");
	json_object_foreach (states, state, value) {
		strbuf_addf(out, "%s%lld %s", between, (long long)json_integer_value(value), state);
		between = ", ";
	}
}

static void draw_title(const struct top *top, const struct top_view *view, struct strbuf *out)
{
	struct line line = line_begin(out, view);
	struct strbuf text = {0};
	long long problems = json_number(top->now, "node.problems");
	AUTOFREE char *rest = NULL;

	add_text(&line, BOLD, json_text(top->now, "name"));
	strbuf_add(&text, "  ");
	describe_guests(top->now, &text);
	strbuf_addf(&text, "  ·  slots %lld of %lld",
		(long long)json_number(top->now, "node.slots_used"),
		(long long)json_number(top->now, "node.slots"));
	rest = strbuf_take(&text);
	add_text(&line, NULL, rest ? rest : "");
	if (problems > 0) {
		char note[64];

		snprintf(note, sizeof(note), "  ·  %lld problem%s: corpus node", problems,
			problems == 1 ? "" : "s");
		add_text(&line, RED, note);
	}
	line_end(&line);
}

static void draw_gauge(const struct top_view *view, struct strbuf *out, const char *name,
	double part, const char *text)
{
	struct line line = line_begin(out, view);

	add_cell(&line, BOLD, name, 7, false);
	add_bar(&line, part, BAR_NODE);
	add_blanks(&line, 1);
	add_text(&line, NULL, text);
	line_end(&line);
}

static void draw_node(const struct top *top, const struct top_view *view, struct strbuf *out)
{
	double cpus = (double)json_number(top->now, "node.cpus");
	double memory = (double)json_number(top->now, "node.memory");
	double memory_used = (double)json_number(top->now, "node.memory_used");
	double storage = (double)json_number(top->now, "node.storage");
	double storage_used = (double)json_number(top->now, "node.storage_used");
	char a[CELL], b[CELL], text[96];

	snprintf(text, sizeof(text), "%s %% of %.0f processor%s", percent(a, top->cpu), cpus,
		cpus == 1 ? "" : "s");
	draw_gauge(view, out, "cpu", share(top->cpu, cpus), text);
	snprintf(text, sizeof(text), "%s of %s", bytes(a, memory_used), bytes(b, memory));
	draw_gauge(view, out, "memory", share(memory_used, memory), text);
	snprintf(text, sizeof(text), "%s of %s", bytes(a, storage_used), bytes(b, storage));
	draw_gauge(view, out, "storage", share(storage_used, storage), text);
}

/* --- The guests ------------------------------------------------------------------------------ */

struct column {
	const char *title;
	size_t width;
	bool right;
	int order; /* that its title is marked in; -1: none */
};

enum { NAME, STATE, CPU, CPU_BAR, MEMORY, MEMORY_BAR, PIDS, IO, RECEIVED, SENT, STORAGE, REMARK };

static const struct column COLUMNS[] = {
	[NAME] = {"GUEST", 0, false, TOP_BY_NAME},
	[STATE] = {"STATE", 9, false, -1},
	[CPU] = {"CPU %", 6, true, TOP_BY_CPU},
	[CPU_BAR] = {"", BAR_GUEST, false, -1},
	[MEMORY] = {"MEMORY", 8, true, TOP_BY_MEMORY},
	[MEMORY_BAR] = {"", BAR_GUEST, false, -1},
	[PIDS] = {"PIDS", 5, true, -1},
	[IO] = {"I/O", 10, true, TOP_BY_IO},
	[RECEIVED] = {"NET IN", 10, true, TOP_BY_NETWORK},
	[SENT] = {"NET OUT", 10, true, TOP_BY_NETWORK},
	[STORAGE] = {"DISK", 8, true, TOP_BY_STORAGE},
	[REMARK] = {"", 13, false, -1},
};

/* The bars go first where there is no room for all. */
static bool is_shown(const struct top_view *view, size_t column)
{
	return view->width >= WIDTH_WITH_BARS || (column != CPU_BAR && column != MEMORY_BAR);
}

/* The name gets what the others leave, but some columns in any case; what is behind is cut. */
static size_t name_width(const struct top *top, const struct top_view *view)
{
	size_t others = 0, longest = NAME_LEAST, most;

	for (size_t i = STATE; i < REMARK; i++)
		others += is_shown(view, i) ? COLUMNS[i].width + 1 : 0;
	for (size_t i = 0; i < top->count; i++)
		if (text_width(top->rows[i].name) > longest)
			longest = text_width(top->rows[i].name);
	most = view->width > others + NAME_MOST ? view->width - others - 1 : NAME_MOST;
	return longest < most ? longest : most;
}

static void draw_titles(
	const struct top *top, const struct top_view *view, size_t name, struct strbuf *out)
{
	struct line line = line_begin(out, view);

	for (size_t i = 0; i < ARRAY_SIZE(COLUMNS); i++) {
		bool marked = COLUMNS[i].order == (int)top->order;
		char title[CELL];

		if (!is_shown(view, i))
			continue;
		snprintf(title, sizeof(title), "%s%s", COLUMNS[i].title, marked ? "▾" : "");
		add_cell(&line, marked ? "1;7" : BOLD, title, i == NAME ? name : COLUMNS[i].width,
			COLUMNS[i].right);
	}
	line_end(&line);
}

/* A name too long for its column keeps its beginning, and the columns behind it their places. */
static void add_name(struct line *line, const char *name, size_t columns)
{
	struct line cell = *line;

	cell.left = cell.left < columns ? cell.left : columns;
	line->left -= cell.left;
	add_text(&cell, NULL, name);
	add_blanks(&cell, cell.left);
	add_blanks(line, 1);
}

static void add_guest_bar(struct line *line, double part)
{
	if (!is_shown(line->view, CPU_BAR))
		return;
	add_bar(line, part, BAR_GUEST);
	add_blanks(line, 1);
}

static void draw_row(
	const struct top_row *row, const struct top_view *view, size_t name, struct strbuf *out)
{
	double cpu = share(row->cpu, row->cpu_set > 0 ? row->cpu_set : 1);
	struct line line = line_begin(out, view);
	char buf[CELL];

	add_name(&line, row->name, name);
	add_cell(&line, state_tint(row), row->unknown ? "unknown" : row->state,
		COLUMNS[STATE].width, false);
	add_cell(&line, NULL, percent(buf, row->cpu), COLUMNS[CPU].width, true);
	add_guest_bar(&line, cpu);
	add_cell(&line, NULL, bytes(buf, row->memory), COLUMNS[MEMORY].width, true);
	add_guest_bar(&line, share(row->memory, row->memory_set));
	add_cell(&line, NULL, count(buf, row->pids), COLUMNS[PIDS].width, true);
	add_cell(&line, NULL, speed(buf, row->io), COLUMNS[IO].width, true);
	add_cell(&line, NULL, speed(buf, row->received), COLUMNS[RECEIVED].width, true);
	add_cell(&line, NULL, speed(buf, row->sent), COLUMNS[SENT].width, true);
	add_cell(&line, NULL, bytes(buf, row->storage), COLUMNS[STORAGE].width, true);
	add_text(&line, row->unknown || row->oom_kills > 0 ? RED : YELLOW, remark(row));
	line_end(&line);
}

static void draw_keys(const struct top *top, const struct top_view *view, struct strbuf *out)
{
	struct line line = line_begin(out, view);
	size_t last = view->first + top_room(view);
	char place[64];

	if (view->trouble) {
		add_text(&line, RED, view->trouble);
	} else {
		if (view->paused)
			add_text(&line, "1;7", " paused ");
		add_text(&line, DIM,
			" sort: c cpu  m memory  i i/o  n network  d disk  a name   p pause  q "
			"quit");
		if (top->count > top_room(view)) {
			snprintf(place, sizeof(place), "   %zu-%zu of %zu", view->first + 1,
				last < top->count ? last : top->count, top->count);
			add_text(&line, NULL, place);
		}
	}
	strbuf_add(out, "\033[K"); /* no new line: the last one must not scroll */
}

size_t top_room(const struct top_view *view)
{
	return view->height > LINES_AROUND ? view->height - LINES_AROUND : 1;
}

/* A terminal of few lines shows the first ones, and does not scroll. */
static void cut_lines(struct strbuf *out, size_t begin, size_t lines)
{
	char *end = out->text ? out->text + begin : NULL;

	for (size_t i = 0; end && i < lines; i++) {
		end = strstr(end, "\r\n");
		if (end && i + 1 < lines)
			end += 2;
	}
	if (!end)
		return;
	*end = '\0';
	out->used = (size_t)(end - out->text);
}

void top_draw(const struct top *top, const struct top_view *view, struct strbuf *out)
{
	size_t begin = out->used;
	size_t name = name_width(top, view), room = top_room(view);

	strbuf_add(out, "\033[H");
	draw_title(top, view, out);
	draw_node(top, view, out);
	strbuf_add(out, "\033[K\r\n");
	draw_titles(top, view, name, out);
	for (size_t i = view->first; i < view->first + room; i++) {
		if (i < top->count)
			draw_row(&top->rows[i], view, name, out);
		else
			strbuf_add(out, "\033[K\r\n");
	}
	strbuf_add(out, "\033[K\r\n");
	draw_keys(top, view, out);
	cut_lines(out, begin, view->height);
	strbuf_add(out, "\033[J");
}

/* --- Plain ----------------------------------------------------------------------------------- */

static void print_node(struct cli *cli, const struct top *top)
{
	struct table *facts = facts_create();
	struct strbuf buf = {0};
	AUTOFREE char *guests = NULL;
	char a[CELL], b[CELL];

	describe_guests(top->now, &buf);
	guests = strbuf_take(&buf);
	facts_add(facts, "node", json_text(top->now, "name"));
	facts_addf(facts, "cpu", "%s %% of %lld processors", percent(a, top->cpu),
		(long long)json_number(top->now, "node.cpus"));
	facts_addf(facts, "memory", "%s of %s",
		bytes(a, (double)json_number(top->now, "node.memory_used")),
		bytes(b, (double)json_number(top->now, "node.memory")));
	facts_addf(facts, "storage", "%s of %s",
		bytes(a, (double)json_number(top->now, "node.storage_used")),
		bytes(b, (double)json_number(top->now, "node.storage")));
	facts_addf(facts, "slots", "%lld of %lld",
		(long long)json_number(top->now, "node.slots_used"),
		(long long)json_number(top->now, "node.slots"));
	facts_add(facts, "guests", guests);
	facts_print(cli, facts);
}

static const struct table_column PLAIN_COLUMNS[] = {{"GUEST"}, {"STATE", .state = true},
	{"CPU %", .right = true}, {"MEMORY", .right = true}, {"LIMIT", .right = true},
	{"PIDS", .right = true}, {"I/O", .right = true}, {"NET IN", .right = true},
	{"NET OUT", .right = true}, {"DISK", .right = true}, {"SIZE", .right = true}, {"REMARK"}};

void top_print(struct cli *cli, const struct top *top)
{
	CLEANUP(table_destroyp)
	struct table *table = table_create(PLAIN_COLUMNS, ARRAY_SIZE(PLAIN_COLUMNS));

	print_node(cli, top);
	if (top->count == 0)
		return;
	fputc('\n', cli->out);
	for (size_t i = 0; i < top->count; i++) {
		const struct top_row *row = &top->rows[i];
		char cpu[CELL], memory[CELL], limit[CELL], pids[CELL], io[CELL], in[CELL],
			sent[CELL], disk[CELL], size[CELL];

		table_add(table, (const char *[]){row->name, row->state, percent(cpu, row->cpu),
					 bytes(memory, row->memory), bytes(limit, row->memory_set),
					 count(pids, row->pids), speed(io, row->io),
					 speed(in, row->received), speed(sent, row->sent),
					 bytes(disk, row->storage), bytes(size, row->storage_set),
					 remark(row)});
	}
	table_print(table, cli->out, cli->colour);
}
