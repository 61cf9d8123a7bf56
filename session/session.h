/* A session: its command, its clients and its agent, and when it ends. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "session/client.h"
#include "session/command.h"
#include "session/control/control.h"
#include "session/ring.h"

#define CLIENTS_MAX 16

struct session {
	const char *path, *id;
	int listener;
	int agent; /* -1: it is away */
	struct control control;
	bool untold; /* something changed since it was told */
	char *label;
	size_t label_size;

	enum session_phase phase;
	bool persist;	   /* outlives clients that leave without a word */
	bool awaited;	   /* a client is on its way since the start */
	bool was_attached; /* by somebody who could type */
	bool was_read;	   /* a client got the end of it */
	bool noted;	   /* the agent has told of its end */
	int64_t keep_ms, timeout_ms;

	/* In now_ms; 0: not set */
	int64_t kill_at, lose_at, timeout_at, quiet_at, look_at, over_at;
	bool timed_out;
	int64_t ended_ms; /* wall clock */

	struct command command;
	struct client clients[CLIENTS_MAX];
	int parting[CLIENTS_MAX]; /* connections that are closed as soon as the agent knows */
	size_t parting_count;
	struct ring ring;
};

void session_init(struct session *s);

/* Takes the agent's first word, makes the command's ends and hands them over. */
int session_start(struct session *s, int64_t now);

/* --- What comes in; what a client or the command sent is taken as far as there is room */

void session_agent_came(struct session *s, int fd);
void session_agent_says(struct session *s, int64_t now);
bool session_may_read(const struct session *s);
void session_read(struct session *s, int *fd, enum frame_type type);
void session_exited(struct session *s, int64_t now);
bool session_may_hear(const struct session *s, const struct client *client);
void session_hear(struct session *s, struct client *client);
void session_client_gone(struct session *s, struct client *client);

/* Ends the command: it is hung up, and killed when that does not end it. */
void session_end(struct session *s, int64_t now);

/* --- The loop's */

void session_timers(struct session *s, int64_t now);
int64_t session_next_ms(const struct session *s); /* -1: nothing is due */
void session_flush(struct session *s);
bool session_is_over(const struct session *s, int64_t now);
