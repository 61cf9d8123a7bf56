/* A carrier: the process between a command in a guest and the descriptors that are its streams on
 * the node; used inside drivers/kvm only. */
#pragma once

#include "drivers/inside/carry.h"
#include "drivers/kvm/launch.h"
#include "drivers/kvm/ledger.h"
#include "drivers/kvm/way.h"

#define CARRIER_DIR_MAX 80

/* One of the command's outputs on its way. */
struct carrier_stream {
	struct carry bytes;
	bool head; /* the line of launch_read is still to come, in its bytes */
};

enum { CARRIER_OUT, CARRIER_ERR, CARRIER_OUTPUTS };

struct carrier {
	struct kvm_guest guest;
	struct way way;
	struct ledger note;
	struct launch launch;
	char token[LAUNCH_TOKEN_DIGITS + 1];
	char dir[CARRIER_DIR_MAX]; /* in the guest; the script is "launch" in it */
	struct driver_exec exec;   /* whose stdin_fd becomes -1 at its end */
	int call;		   /* what waits to be told; -1 once it has been */
	struct carrier_stream outputs[CARRIER_OUTPUTS];
};

/* Takes what came out of the guest. A negative errno when the command was not executed, which has
 * been told; else 0. */
int carrier_take(struct carrier *c, int output, const char *data, size_t size);
bool carrier_is_told(const struct carrier *c);
bool carrier_is_empty(const struct carrier_stream *stream);

/* Writes what can be written without waiting. When nobody takes it, the stream's fd becomes -1 and
 * false is returned, once. */
bool carrier_flush(struct carrier_stream *stream);

/* Tells the call of a failure, if it still waits for a word. */
void carrier_fail(struct carrier *c, const struct err *error);

/* Run the command to its end: true with its wait status when that was seen. */
bool exec_by_agent(struct carrier *c, int *ret_status, struct err *err);
bool exec_by_ssh(struct carrier *c, int *ret_status, struct err *err);
