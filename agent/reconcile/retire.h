/* Taking a node out of service: the opposite of what reconcile_open makes. */
#pragma once

struct config;
struct err;

/* Left in state_dir when all is taken away; an agent that starts removes it. */
#define RETIRED_MARK "retired"

/* Removes bridge, firewall tables and dnsmasq, and unmounts the pool. state.db, configuration and
 * the pool's file stay. Refused while there are guests, or volumes that no guest is known for
 * (ERR_CONFLICT): nothing is changed then. Blocks; to be called by a process that has locked the
 * state, without a loop that runs. Repeatable. */
int retire(const struct config *config, struct err *err);
