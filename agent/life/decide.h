/* What is done about a guest that ended without having been asked to, or that does not work any
 * more, from its restart policy and what happened before. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/guest.h"

/* The pauses before restarts: the first one, doubled by each further one in a row up to the longest
 * (and up to a quarter more, by chance, so that guests that ended together do not all come back at
 * once). A guest that ran for `reset_ms` begins anew. */
struct restart_times {
	uint64_t delay_ms, delay_max_ms, reset_ms;
};

struct restart_facts {
	enum guest_restart policy;
	uint32_t max;	 /* restarts in a row; 0: no end */
	uint32_t in_row; /* that there were */
	bool unhealthy;	 /* it runs, but its check fails; else it ended, and: */
	int exit_status; /* of its init, as wait(2) tells it; -1: not known */
	int64_t ran_ms;	 /* 0: it did not come up; -1: not known */
	uint16_t chance; /* any number */
};

enum restart_action {
	RESTART_NOT,	   /* it stays as it is */
	RESTART_SHUT_DOWN, /* it was shut down inside: it stays stopped, as if by a request */
	RESTART_LATER,	   /* after delay_ms */
	RESTART_GIVE_UP,   /* there were too many in a row */
};

struct restart_decision {
	enum restart_action action;
	uint64_t delay_ms;
	uint32_t in_row; /* before this one */
};

struct restart_decision restart_decide(
	const struct restart_facts *facts, const struct restart_times *times);
