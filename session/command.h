/* The command's side of a session: the ends of its terminal, pipes or console that the session
 * holds, what waits to be typed, and how it ended. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "session/control/control.h"
#include "session/ring.h"

#define INPUT_MAX 65536

struct command_options {
	enum session_kind kind;
	bool terminal, input;
	unsigned rows, columns;
	pid_t init; /* of the guest */
};

struct command {
	enum session_kind kind;
	bool terminal;
	int in, out, err; /* non-blocking; -1: closed. With a terminal `in` is `out` */
	int status;	  /* gets its wait status */
	pid_t pid;
	int pidfd; /* -1: not known */
	char *input;
	size_t input_used;
	bool input_ends; /* after what waits */
	bool input_over; /* it takes no more */
	bool exited;	 /* its end is known, or known not to come */
	bool lost;	 /* its end was not seen */
	bool deserted;	 /* nobody has its terminal open just now */
	int wait_status;
};

/* Makes the ends. ret_theirs are those that the guest gets (stdin, stdout, stderr and status; for a
 * console one), for the caller to close. 0 or a negative errno. */
int command_open(struct command *command, const struct command_options *options,
	int ret_theirs[static CONTROL_FDS_MAX], size_t *ret_count);

void command_started(struct command *command, pid_t pid);

/* Bytes that can be typed now. */
size_t command_input_room(const struct command *command);
void command_type(struct command *command, const char *data, size_t size);
void command_type_end(struct command *command);
/* Whether `in` should be watched for room. */
bool command_has_input(const struct command *command);
void command_flush_input(struct command *command);

/* Reads one piece into the ring. 1: there was something; 0: nothing now; -1: nothing any more, and
 * the descriptor is closed. The terminal of a command that has not ended stays: closing it would
 * hang it up, and it may be opened again (deserted). */
int command_read(struct command *command, int *fd, enum frame_type type, struct ring *ring);

/* Its end is told, or will not be. */
void command_read_status(struct command *command);
void command_lose(struct command *command);

/* To the group that the command leads, as a terminal would; else to itself. -ESRCH: it has ended,
 * or its pid is not known. */
int command_signal(const struct command *command, int number);

/* Takes its terminal away, or tells it to hang up. */
void command_hang_up(struct command *command);

void command_close(struct command *command);
