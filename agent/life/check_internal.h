/* What the kinds of checks share. */
#pragma once

#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "agent/life/check.h"

struct check_kind;

struct check {
	struct agent *agent;
	const struct check_kind *kind;
	check_done_fn done; /* NULL: nobody waits for it any more */
	void *data;
	sd_event_source *timer, *io;
	int fd; /* of the connection, or the read end of the command's status */

	/* net */
	char request[2048]; /* what to send once it is connected; empty: nothing */
	char answer[16];
	size_t answer_used;

	/* exec */
	bool asked; /* the driver has not answered yet */
	int pidfd;
};

struct check_kind {
	int (*begin)(struct check *check, const struct guest *guest, struct err *err);
	/* The descriptor is ready, or nobody waits any more. */
	void (*ready)(struct check *check, uint32_t events);
	/* Takes back what goes on elsewhere. False: the kind frees the check itself, later. */
	bool (*end)(struct check *check);
};

extern const struct check_kind CHECK_TCP, CHECK_HTTP, CHECK_EXEC;

/* Waits for `events` on check->fd. */
int check_wait(struct check *check, uint32_t events, struct err *err);

/* Ends it and says how it went; `why` NULL: well. */
void check_end(struct check *check, const char *why);

void check_free(struct check *check);
