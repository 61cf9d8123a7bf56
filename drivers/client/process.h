/* Starting a driver's process; used inside drivers/client only. */
#pragma once

#include <sys/types.h>

struct err;

struct driver_process {
	pid_t pid;  /* 0: none */
	int pidfd;  /* readable when it has ended */
	int socket; /* our end of its wire, non-blocking */
};

/* Starts the program with the other end of the wire as its descriptor 3, in a session of its own
 * and with nothing else of ours but stderr. */
int driver_process_start(const char *program, struct driver_process *ret, struct err *err);

/* Kills and reaps it, closes what was ours of it. Its guests run on. */
void driver_process_end(struct driver_process *process);
