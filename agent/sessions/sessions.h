/* Sessions: commands that run in guests, and connections with their consoles, each held by a
 * process of its own (session/). The agent starts them, hands clients' connections to them, and
 * knows how they are; when it comes back after a restart it finds them again. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "session/control/control.h"

struct agent;
struct err;
struct guest_entry;
struct session;
struct sessions;

#define SESSION_ID_LEN 12

/* Finds those that are there. */
int sessions_create(struct agent *agent, struct sessions **ret, struct err *err);

/* Sessions run on. Accepts NULL, returns NULL. */
struct sessions *sessions_destroy(struct sessions *sessions);

/* --- Starting -------------------------------------------------------------------------------- */

/* What to start. All strings are copied. */
struct session_spec {
	enum session_kind kind;
	char *const *command; /* exec */
	char *const *env;     /* KEY=VALUE; NULL: none */
	const char *user, *cwd;
	bool terminal, input;
	unsigned rows, columns;
	bool persist; /* stays when a client leaves without a word */
	bool awaited; /* a client will be attached at once: until then nothing it writes is lost */
	uint64_t timeout_ms; /* 0: none */
	uint64_t tail;	     /* console: bytes of its history to begin with */
	uid_t uid;	     /* who asks */
};

/* NULL with *err filled: it failed, and nothing is left of it. */
typedef void (*session_started_fn)(void *data, struct session *session, const struct err *err);

/* Fails at once for a guest that does not run, beyond the bounds (ERR_RATE), and for a second
 * console; else `started` is called once, later. */
int session_start(struct sessions *sessions, const struct guest_entry *entry,
	const struct session_spec *spec, session_started_fn started, void *data, struct err *err);

/* --- Those that are there -------------------------------------------------------------------- */

/* NULL and ERR_NOT_FOUND. */
struct session *sessions_find(const struct sessions *sessions, const char *id, struct err *err);

/* All, oldest first; of one guest unless its id is NULL. */
json_t *sessions_to_json(const struct sessions *sessions, const char *guest_id);
json_t *session_to_json(const struct session *session);
const char *session_id(const struct session *session);

/* Whether a client may be attached: to type only where nobody else does (ERR_CONFLICT). */
int session_check_attach(const struct session *session, bool input, struct err *err);

/* Hands a client's connection over, with what it has sent already; takes fd over. It gets what was
 * written after that position, as far as it is kept. */
void session_attach(
	struct session *session, int fd, uint64_t after, bool input, const char *sent, size_t size);

/* Sends a signal to its command. ERR_ILLEGAL_STATE when that has ended. */
int session_signal(struct session *session, int number, struct err *err);

/* Ends its command (by a hang-up, and when asked again or after a while by a kill); one that has
 * ended is forgotten. */
void session_end(struct session *session);

/* The guest is gone: what is left of its sessions is forgotten. */
void sessions_guest_gone(struct sessions *sessions, const char *guest_id);

/* --- To the end ------------------------------------------------------------------------------ */

#define SESSION_OUTPUT_MAX (1024 * 1024) /* kept of each of stdout and stderr */

struct session_result {
	int status; /* -1: none */
	char signal[16];
	bool lost; /* its end was not seen */
	bool timed_out;
	bool truncated; /* it wrote more than is kept */
	const char *out, *errors;
	size_t out_size, errors_size;
};

/* Valid during the call. */
typedef void (*session_ended_fn)(void *data, const struct session_result *result);

/* Attaches the agent itself: types `input` and gathers what the command writes until its end, then
 * calls `ended`, once. Returns NULL with *err filled when it cannot. */
struct session_run *session_run(struct session *session, const char *input, size_t size,
	session_ended_fn ended, void *data, struct err *err);

/* Nobody waits for it any more: the command is hung up, `ended` is not called. */
void session_run_cancel(struct session_run *run);
