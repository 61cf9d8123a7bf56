/* The parts of the agent: put together at its start, taken apart at its end. */
#pragma once

#include <stdbool.h>

struct agent;
struct config;
struct err;

/* Makes the agent's directories, and takes the state directory for this process until it ends:
 * ERR_CONFLICT when another corpusd has it. */
int assemble_claim(const struct config *config, struct err *err);

/* Opens and starts all parts but those that serve(): the engine and life. The agent has its loop
 * and configuration. What a failure leaves is for dismantle(). With `salvage` state.db may be
 * damaged. */
int assemble(struct agent *agent, bool salvage, struct err *err);

/* In the opposite order; what is under way on workers ends first, operations stay in the journal.
 */
void dismantle(struct agent *agent);
