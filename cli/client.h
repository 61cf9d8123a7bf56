/* HTTP to the agent over its unix socket. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct client;
struct err;
struct source;

struct request {
	const char *method;
	const char *path;	  /* with the query; NULL is answered with ENOMEM */
	const json_t *body;	  /* NULL: none */
	struct source *source;	  /* an upload instead of a body, or NULL */
	const char *content_type; /* of the upload */
	const char *key; /* Idempotency-Key: may be sent again when the connection is cut */
	const char *last_event_id; /* or NULL */
	const char *if_match;	   /* an ETag without its quotes, or NULL */
	/* Gets the answer piece by piece instead of response.text; false ends it. May be NULL. */
	bool (*on_data)(void *data, const char *text, size_t size);
	/* Gets each header of the answer. May be NULL. */
	void (*on_header)(void *data, const char *name, const char *value);
	/* Called now and then with the bytes sent. May be NULL. */
	void (*on_sent)(void *data, uint64_t bytes);
	void *data;
};

struct response {
	long status;
	char *text; /* the body as it came, NUL-terminated; NULL: none */
	size_t size;
	json_t *json; /* the same parsed; NULL when it is not JSON */
};

/* Connects with the first request. NULL without memory. */
struct client *client_create(const char *socket_path);
struct client *client_destroy(struct client *client);

/* Asks and reads the whole answer. Statuses of 400 and above become an error with what the problem
 * document says (*ret is filled then too); no answer is ERR_UNAVAILABLE, or ERR_DENIED where the
 * socket may not be opened; ERR_CANCELLED when the user asked to stop.
 *
 * A request that is safe to repeat (GET, or with a key) is sent again, once, when the connection is
 * lost under way; while the agent then refuses connections it is tried for CLIENT_PATIENCE_MS. */
int client_perform(struct client *client, const struct request *request, struct response *ret,
	struct err *err);

/* Whether the last request failed because the agent was not there, or went away. */
bool client_was_cut(const struct client *client);

/* Whether the agent answered the last request, well or not. */
bool client_was_answered(const struct client *client);

void response_finish(struct response *response);

#define CLIENT_PATIENCE_MS 5000

/* --- Reading of answers ------------------------------------------------------------------------
 */

/* The value at a path of names joined by dots, or NULL. */
const json_t *json_at(const json_t *json, const char *path);

/* The text there; "" when it is absent or no text. */
const char *json_text(const json_t *json, const char *path);

/* The number there; 0 when it is absent. */
int64_t json_number(const json_t *json, const char *path);
