/* A client that sends exactly the bytes it is told to, and understands answers. Everything has a
 * deadline and fails the test beyond it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_DEADLINE_MS 60000

struct reply {
	unsigned status;
	char *head; /* with the status line */
	char *body;
	size_t size;
	bool closed; /* the server said it closes, or did */
};

int client_connect(const char *path);
void client_send(int fd, const char *text);
/* Sends as much as is taken; false when the server has closed. */
bool client_try_send(int fd, const void *data, size_t size);

/* Reads one whole answer. `head_only` for answers to HEAD. */
void client_read(int fd, bool head_only, struct reply *ret);
void reply_finish(struct reply *reply);
/* The value of a header, copied into buf; NULL when it is not there. */
const char *reply_header(const struct reply *reply, const char *name, char *buf, size_t size);

/* Reads until `text` was seen (the deadline fails the test); false when the server closed before.
 */
bool client_read_until(int fd, const char *text);
/* Waits for the server to close, throwing away what comes. */
void client_wait_closed(int fd);
