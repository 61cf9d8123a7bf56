/* A command in a running guest, for what agent/life does there: its input is a text or nothing, its
 * output goes nowhere; how it ended comes through a pipe. */
#pragma once

#include <stdint.h>

struct agent;
struct command;
struct err;
struct guest;

struct command_wanted {
	const char *const *argv; /* ends with NULL */
	const char *input;	 /* NULL: none */
	uint64_t timeout_ms;	 /* for its end to be seen; 0: none */
	/* It runs; may be NULL. */
	void (*began)(void *data);
	/* Comes once, and last. Its wait status; or NULL and an error: of the driver that could not
	 * run it, or ERR_TIMEOUT, or ERR_INTERNAL when its end was not seen. */
	void (*ended)(void *data, const int *status, const struct err *err);
	void *data;
};

/* Nothing comes before this returns. */
int command_start(struct agent *agent, const struct guest *guest,
	const struct command_wanted *wanted, struct command **ret, struct err *err);

/* Nothing comes any more; the command itself may go on. Accepts NULL, returns NULL. Not to be
 * called from within `ended`. */
struct command *command_cancel(struct command *command);
