/* Changing the node's mode. */
#pragma once

#include <stdbool.h>

struct cli;
struct err;

/* Sets the mode; with `stop` guests go to rest. Waits, where the user wants to, until they are
 * where they are to be, and shows the node. */
int change_mode(struct cli *cli, const char *mode, bool stop, struct err *err);
