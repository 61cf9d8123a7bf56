/* The console of a guest whose output is kept in a log, for driver_ops.console: what it said so
 * far, and what it goes on saying. The log may be rotated at any time: LOG.1, or whatever is said,
 * is what it was before. Only the log is read, so that history and what follows fit together
 * without a seam. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

struct err;

struct console {
	const char *log;
	const char *older; /* what is behind its name once it was rotated; NULL: ".1" */
	int life;	   /* pidfd; readable: the guest has ended. -1: it does not run */
	int input;	   /* where input goes, not blocking; -1: it takes none */
	int hold;	   /* has to stay open for as long as input is given; -1: nothing */
	bool echo;	   /* what comes back from `input` is in the log, too, and is thrown away */
};

/* Does what is wanted. With follow a process of its own goes on, which owns duplicates of all
 * descriptors and ends with the guest, or when nobody is at the other end any more; of a guest that
 * does not run the history is all there is. ERR_ILLEGAL_STATE for input that nothing takes. */
int console_connect(
	const struct console *console, const struct driver_console *wanted, struct err *err);
