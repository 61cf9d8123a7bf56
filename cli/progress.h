/* A line on a terminal that says what is going on, and goes away when it is over. */
#pragma once

#include <stdint.h>

struct cli;

/* Shows "SUBJECT: WHAT  40 %" in place of what was shown before; `fraction` below 0 shows none.
 * Nothing happens where there is no terminal. */
void progress_show(const struct cli *cli, const char *subject, const char *what, double fraction);

/* "SUBJECT: sent 12 MiB". At most ten times a second. */
void progress_show_bytes(const struct cli *cli, const char *subject, uint64_t bytes);

void progress_clear(const struct cli *cli);
