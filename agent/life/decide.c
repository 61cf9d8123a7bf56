/* The decision about a guest that ended by itself. */
#include "agent/life/decide.h"

/* Status 0 of its init: somebody inside shut it down. All else, the unknown included, is a failure.
 */
static bool shut_down(const struct restart_facts *facts)
{
	return !facts->unhealthy && facts->exit_status == 0;
}

static uint64_t pause_before(uint32_t in_row, uint16_t chance, const struct restart_times *times)
{
	uint64_t pause = times->delay_ms;

	for (uint32_t i = 0; i < in_row && pause < times->delay_max_ms; i++)
		pause *= 2;
	if (pause > times->delay_max_ms)
		pause = times->delay_max_ms;
	return pause + (pause / 4) * chance / UINT16_MAX;
}

struct restart_decision restart_decide(
	const struct restart_facts *facts, const struct restart_times *times)
{
	bool long_run = facts->ran_ms >= 0 && (uint64_t)facts->ran_ms >= times->reset_ms;
	struct restart_decision decision = {.in_row = long_run ? 0 : facts->in_row};

	if (facts->policy != GUEST_RESTART_ALWAYS && shut_down(facts)) {
		decision.action = RESTART_SHUT_DOWN;
	} else if (facts->policy == GUEST_RESTART_NEVER) {
		decision.action = RESTART_NOT;
	} else if (facts->max && decision.in_row >= facts->max) {
		decision.action = RESTART_GIVE_UP;
	} else {
		decision.action = RESTART_LATER;
		decision.delay_ms = pause_before(decision.in_row, facts->chance, times);
	}
	return decision;
}
