/* Faults on demand; used inside drivers/fake only.
 *
 * STATE_DIR/faults.json, read before each call, maps the name of a call (or "*") to a fault:
 *     {"start": {"skip": 1, "count": 2, "delay_ms": 50, "crash": "after"}}
 * skip       so many calls pass unharmed first (counted down in the file)
 * count      so many calls are then hit (counted down in the file); absent: all
 * delay_ms   it takes so much longer
 * error      {"code": "driver", "message": "…"}: it fails so, having done nothing
 * crash      "before" or "after" the work: the driver's process dies by SIGKILL
 * late_ms    so long after its work it answers
 * hang       "before" (or true) or "after" the work: it never returns
 * garbage    this text is sent to the agent as a message of its own */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/protocol/call.h"

struct err;

struct fault {
	pid_t host; /* whom a crash kills */
	bool crash_after;
	bool hang_after;
	long late_ms;
};

/* Acts what comes before the work; fails when the fault says so. */
int fault_before(const char *state_dir, enum driver_call call, pid_t host, struct fault *ret,
	struct err *err);

/* Acts what comes after it, and passes its result on. */
int fault_after(const struct fault *fault, int result);
