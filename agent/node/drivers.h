/* The drivers of the node: their processes, and what those report about guests. */
#pragma once

#include <stdint.h>

struct agent;
struct agent_driver;
struct err;

/* Makes a client for each configured driver; starts nothing. */
int drivers_create(struct agent *agent, struct err *err);
void drivers_destroy(struct agent *agent);

/* Finds out what each driver can do, and what its guests are. Also what happens by itself when a
 * driver's process comes up. */
void drivers_survey(struct agent *agent);

/* The first survey, waited for, so that what is answered first is true already; up to `timeout_us`.
 * The loop runs meanwhile. */
void drivers_first_survey(struct agent *agent, uint64_t timeout_us);
