/* What the files of the sessions share. */
#pragma once

#include <systemd/sd-event.h>

#include "agent/node/agent.h"
#include "agent/sessions/sessions.h"

struct session {
	struct sessions *sessions;
	char id[SESSION_ID_LEN + 1];
	char guest_id[GUEST_ID_LEN + 1];
	json_t *label; /* what it is: id, guest, guest_id, kind, command, … */
	enum session_kind kind;
	int control; /* our end of the socket to its process; -1 while it is being started */
	sd_event_source *readable;

	/* As its process tells */
	enum session_phase phase;
	pid_t pid;
	int code, signal;
	bool lost, timed_out, persist, noted, typed_in;
	unsigned clients;
	uint64_t position, dropped;
	int64_t ended_ms;

	struct session *prev, *next;
};

struct sessions {
	struct agent *agent;
	char *directory; /* of their sockets */
	char *program;
	struct control packet; /* what was received last */
	struct session *list;
};

/* In the table, with its label taken over. NULL without memory. */
struct session *session_add(struct sessions *sessions, const char *id, json_t *label);
void session_remove(struct session *session);

/* From now on it is listened to; takes `control` over. */
int session_listen(struct session *session, int control, struct err *err);

/* False when its process is away. */
bool session_say(struct session *session, const struct control_packet *packet);

/* "DIRECTORY/ID"; -ENAMETOOLONG where no socket can have that name. */
int session_socket_path(const struct sessions *sessions, const char *id, char *buf, size_t size);

/* An event about it. */
void session_tell(struct session *session, const char *type);
