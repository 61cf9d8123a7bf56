/* Drivers: whether each that is configured can run guests. */
#include "doctor/checks.h"

void check_driver(struct report *report, const struct driver_facts *facts)
{
	const char *acceleration = facts->acceleration ? facts->acceleration : "";
	const char *problem = facts->problem && *facts->problem ? facts->problem : "not known yet";

	if (facts->usable)
		report_add(report, "driver", VERDICT_GOOD, NULL, "%s can run guests: %s%s%s",
			facts->name, facts->version, *acceleration ? ", by " : "", acceleration);
	else
		report_add(report, "driver", VERDICT_BAD,
			"Put that right; `corpus node` shows when the driver is usable.",
			"%s cannot run guests: %s", facts->name, problem);
}
