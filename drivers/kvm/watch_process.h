/* The process that waits for libvirt's events, and what it says to the host; used inside
 * drivers/kvm only. */
#pragma once

#include <stdbool.h>

#include "drivers/kvm/instance.h"

/* From it; smaller than what a pipe takes in one piece. */
struct watch_report {
	enum {
		WATCH_AWAY,   /* nothing is known of any guest now */
		WATCH_THERE,  /* it is: a report for each guest follows */
		WATCH_STATUS, /* what a guest is */
		WATCH_GONE,   /* status.id is not defined any more */
	} kind;
	bool asked; /* the answer to an order */
	struct driver_status status;
};

/* To it: look at this guest. */
struct watch_order {
	char id[GUEST_ID_LEN + 1];
};

/* What it does; ends when either end of the pipes is closed. */
void watch_process_run(struct kvm *kvm, int reports, int orders) __attribute__((noreturn));
