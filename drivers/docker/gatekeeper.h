/* The driver's side of corpus-gate (gate/gate.h): containers that have been started wait there
 * until all is prepared; used inside drivers/docker only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

/* Whether that process, the first of a container or a command, is not yet its own program. */
bool gatekeeper_holds(pid_t pid);

/* Makes the directory that a container sees as GATE_DIR. */
int gatekeeper_lay(const char *dir, struct err *err);
/* And new FIFOs, for a container that is about to be started: nothing of the one before is left. */
int gatekeeper_prepare(const char *dir, struct err *err);
/* Holds off others who ask for the same, for as long as what is returned is open: who starts the
 * guest, and who clears away after its end. -EWOULDBLOCK where it is held and `wait` is not set. */
int gatekeeper_lock(const char *dir, bool wait);
/* Nobody waits there any more. */
void gatekeeper_clear(const char *dir);

/* Lets the process, which `pidfd` is, go on as its program `what`, with variables as gate.h has it
 * ("HOSTNAME=web\n", or ""). 0 once it was executed; ERR_DRIVER when it could not be, or the
 * process ended before; ERR_TIMEOUT. */
int gatekeeper_admit(const char *dir, int pidfd, const char *variables, const char *what,
	int64_t deadline_ns, struct err *err);
