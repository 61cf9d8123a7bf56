/* A picture of `corpus top`: lines of text for a terminal of a given size. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct cli;
struct strbuf;
struct top;

struct top_view {
	size_t width, height;
	bool colour;
	size_t first; /* of the guests shown */
	bool paused;
	const char *trouble; /* what the last request failed of; NULL: nothing */
};

/* Everything from the first line to the last, to be written at once: each line ends by clearing
 * what was behind it, so that nothing flickers. */
void top_draw(const struct top *top, const struct top_view *view, struct strbuf *out);

/* How many guests there is room for. */
size_t top_room(const struct top_view *view);

/* The same as plain tables, once. */
void top_print(struct cli *cli, const struct top *top);
