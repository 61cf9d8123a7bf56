/* Drivers: whether each that is configured can run guests. */
#include "doctor/checks.h"

void check_driver(struct report *report, const struct driver_facts *facts)
{
	const char *problem = facts->problem && *facts->problem ? facts->problem : "not known yet";

	if (facts->usable)
		report_add(report, "driver", VERDICT_GOOD, NULL, "%s can run guests: %s",
			facts->name, facts->version);
	else
		report_add(report, "driver", VERDICT_BAD,
			"Put that right; `corpus node` shows when the driver is usable.",
			"%s cannot run guests: %s", facts->name, problem);
}
