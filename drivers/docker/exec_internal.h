/* What the files of commands share; used by them only. */
#pragma once

#include "base/err.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/frame.h"
#include "drivers/inside/carry.h"

#define EXEC_ID_MAX 128

enum { EXEC_OUT, EXEC_ERR, EXEC_OUTPUTS };

/* A command in a container, in the process that carries its streams. */
struct carrier {
	struct driver_exec exec; /* whose stdin_fd becomes -1 at its end */
	struct engine *engine;
	char id[EXEC_ID_MAX]; /* dockerd's, of the command */
	const char *container;
	uint64_t begin_ms;  /* for it to be executed */
	bool started;	    /* dockerd was asked to execute it, and may do so at any time */
	int call;	    /* what waits to be told */
	int life;	    /* pidfd of the guest's init */
	int stream;	    /* dockerd's connection; -1: it has ended */
	int signals;	    /* tells of changes of the terminal's size; -1: no terminal */
	pid_t pid;	    /* of the command */
	int pidfd;	    /* -1: it has ended */
	struct strbuf held; /* what came before it was known to be executed */
	struct frames frames;
	struct carry outputs[EXEC_OUTPUTS];
	struct err err; /* what went wrong last */
};

/* What dockerd says of it, a new reference. */
int exec_inspect(struct carrier *c, uint64_t timeout_ms, json_t **ret, struct err *err);

/* Carries until the command has ended; true with its wait status when that was seen. */
bool exec_carry(struct carrier *c, int *ret_status);
