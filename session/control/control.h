/* What corpusd and a session tell each other: one packet of a SOCK_SEQPACKET socket each, with
 * descriptors where it needs them. Its first line is a verb and words of the form key=number, so
 * that an agent and a session of different versions understand each other; the rest is payload. A
 * key that is not known is skipped, one that is missing has its default.
 *
 *   start     agent: kind, terminal, rows, columns, stdin, persist, await, keep_ms, timeout_ms,
 *             init; payload: the label, any text that the session keeps and gives back
 *   ready     session: the guest's ends of stdin, stdout and stderr, and of the exit status
 *   started   agent: pid
 *   failed    agent: nothing was started, there is no session
 *   attach    agent: after, input; a client's connection; payload: what it has sent already
 *   signal    agent: number, to the command
 *   end       agent: end the command, and the session with it
 *   noted     agent: it has told of the end
 *   state     session, when connected and at each change: phase, pid, code, signal, lost, timeout,
 *             persist, clients, input, position, dropped, ended_ms, noted; payload: the label */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/packet.h"

#define CONTROL_MAX	65536
#define CONTROL_FDS_MAX PACKET_FDS_MAX

enum session_kind { SESSION_EXEC, SESSION_CONSOLE };
enum session_phase { SESSION_STARTING, SESSION_RUNNING, SESSION_ENDING, SESSION_ENDED };

struct control {
	char *text; /* CONTROL_MAX + 1 bytes, kept for the next one */
	const char *payload;
	size_t payload_size;
	int fds[CONTROL_FDS_MAX]; /* owned; -1 where none came */
	size_t fds_count;
};

struct control_packet {
	const char *head; /* "attach after=0 input=1", without a newline */
	const void *payload;
	size_t payload_size;
	const int *fds;
	size_t fds_count;
};

/* Never blocks on a non-blocking socket: -EAGAIN. -EMSGSIZE, -EPIPE, … */
int control_send(int socket, const struct control_packet *packet);

/* Into *ret, zero-initialised before its first use. 1; 0: the other side is gone; -EAGAIN; -EBADMSG
 * for what is no packet of ours. */
int control_receive(int socket, struct control *ret);

bool control_is(const struct control *control, const char *verb);
int64_t control_number(const struct control *control, const char *key, int64_t otherwise);

/* Closes the descriptors that were not taken. */
void control_close_fds(struct control *control);
void control_finish(struct control *control);
