/* Calls in forked children; used inside drivers/host only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "drivers/protocol/call.h"

#define HOST_CALLS_MAX 64

struct host_child {
	pid_t pid;   /* 0: this place is free */
	int pidfd;   /* readable when the child has ended */
	int channel; /* what the child answers, message by message */
	uint64_t serial;
	enum driver_call call;
	char *id;	     /* of the guest; NULL for calls about none */
	int64_t deadline_ns; /* 0: none */
	bool late;	     /* killed at its deadline */
	bool relayed;	     /* something has been answered already */
	/* A start that was cut off is cleaned up after by a kill, in this same place, before it is
	 * answered with what went wrong. */
	bool cleaning;
	struct err failed;
};

/* Forks a child that runs the request and answers on its channel. The child closes the `count`
 * descriptors of `close_fds`. 0 or a negative errno. */
int host_child_start(struct host_child *child, struct driver *driver,
	const struct driver_request *request, const int *close_fds, size_t count);

/* Kills it with all that it started and that has not left its process group. */
void host_child_cut(struct host_child *child);

/* Reaps it; true when it ended well and its answer is whole. */
bool host_child_reap(struct host_child *child);

/* Sends a reply, in as many messages as it takes. 0 or a negative errno. */
int host_send_reply(
	int socket, uint64_t serial, enum driver_call call, const struct driver_reply *reply);
