/* What the process of drivers/watch/source.h and its host say to each other, by pipes; used inside
 * drivers/watch only. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

/* From it; smaller than what a pipe takes in one piece. */
struct source_report {
	enum {
		SOURCE_AWAY,   /* nothing is known of any guest now */
		SOURCE_THERE,  /* it is: a report for each guest follows */
		SOURCE_STATUS, /* what a guest is */
		SOURCE_GONE,   /* status.id is not defined any more */
	} kind;
	bool asked; /* the answer to an order */
	struct driver_status status;
};

/* To it: look at this guest. */
struct source_order {
	char id[GUEST_ID_LEN + 1];
};
