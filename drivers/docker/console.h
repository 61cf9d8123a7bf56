/* Consoles of containers: driver_ops.console. What a container said so far is in dockerd's log of
 * it, which has lines only when they are whole; what it goes on saying comes by a connection as it
 * is said. A process of its own carries that, outlives the driver, and ends with either side. */
#pragma once

#include "base/strbuf.h"
#include "drivers/docker/inside.h"

struct err;

int docker_console(const struct inside *in, const struct driver_console *wanted, struct err *err);

/* --- Used by the files of consoles only ------------------------------------------------------- */

/* The last `max` bytes of what the log holds, and a seam more: for what came by a connection that
 * was made before, see console_join. ERR_UNSUPPORTED when dockerd keeps no log that it reads. */
int console_history(const struct inside *in, uint64_t max, struct strbuf *ret, struct err *err);

/* History and what followed it: how many of the first bytes of `live` are the last of `history`,
 * whose lines are whole. */
size_t console_overlap(const struct strbuf *history, const struct strbuf *live);
