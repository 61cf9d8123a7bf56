/* The progress line: standard error, one line, cut to the terminal's width. */
#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/cli.h"
#include "cli/text.h"

#define DEFAULT_COLUMNS 80
#define REDRAW_NS	INT64_C(100000000)
#define CLEAR_LINE	"\r\033[K"

static size_t terminal_columns(FILE *stream)
{
	struct winsize size;

	if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return DEFAULT_COLUMNS;
	return size.ws_col;
}

/* Shortens an escaped text, between characters, until it takes fewer columns than there are. */
static void cut(char *text, size_t columns)
{
	size_t length = strlen(text);

	while (length > 0 && text_width(text) >= columns) {
		do
			length--;
		while (length > 0 && (text[length] & 0xc0) == 0x80);
		text[length] = '\0';
	}
}

void progress_show(const struct cli *cli, const char *subject, const char *what, double fraction)
{
	struct strbuf buf = {0};
	AUTOFREE char *line = NULL;

	if (!cli->progress)
		return;
	text_escape(&buf, subject);
	strbuf_add(&buf, ": ");
	text_escape(&buf, what);
	if (fraction >= 0)
		strbuf_addf(&buf, "  %.0f %%", fraction * 100);
	line = strbuf_take(&buf);
	if (!line)
		return;
	cut(line, terminal_columns(cli->err_out));
	fprintf(cli->err_out, CLEAR_LINE "%s", line);
	fflush(cli->err_out);
}

void progress_show_bytes(const struct cli *cli, const char *subject, uint64_t bytes)
{
	static int64_t drawn;
	int64_t now = clock_monotonic_ns();
	char what[FORMAT_SIZE_MAX + 8];

	if (!cli->progress || bytes == 0 || now - drawn < REDRAW_NS)
		return;
	drawn = now;
	snprintf(what, sizeof(what), "sent %s", FMT_SIZE(bytes));
	progress_show(cli, subject, what, -1);
}

void progress_clear(const struct cli *cli)
{
	if (!cli->progress)
		return;
	fputs(CLEAR_LINE, cli->err_out);
	fflush(cli->err_out);
}
