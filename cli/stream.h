/* Connections that carry frames (docs/streams.md): to a command in a guest, or its console. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "session/stream/frame.h"

struct cli;
struct err;

#define STREAM_SESSION_MAX 64

struct stream {
	int fd;
	char session[STREAM_SESSION_MAX]; /* id */
	char early[4096];		  /* what came with the answer's head */
	size_t early_size;
};

/* Asks for an upgrade; any other answer is an error. A path of NULL is answered with ENOMEM. */
int stream_open(struct cli *cli, const char *method, const char *path, const json_t *body,
	struct stream *ret, struct err *err);

struct stream_options {
	bool input;    /* standard input is typed */
	bool terminal; /* it is a terminal: raw, with its size, and with keys to leave */
	bool console;
};

/* Carries bytes until the end. Returns the exit status that the command's end means, or a negative
 * errno. The terminal is as it was, on every way out. */
int stream_carry(struct cli *cli, struct stream *stream, const struct stream_options *options,
	struct err *err);
