/* What should be, from state.db, at the start; inside agent/daemon only. */
#pragma once

#include <stdbool.h>

struct agent;
struct err;

/* Opens state.db and takes up the node's mode, the events and the guests in it; whether the machine
 * was booted since. With `salvage` it may be damaged. */
int load_state(struct agent *agent, bool salvage, struct err *err);

/* The operations that were under way go on; guests that none brings further say so. */
int load_operations(struct agent *agent, struct err *err);
