/* Drivers: whether each that is configured can run guests. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "doctor/checks.h"

/* What to do about a notice that has these words. */
static const struct {
	const char *words, *advice;
} ADVICE[] = {
	{"no userns-remap",
		"\"userns-remap\": \"default\" in /etc/docker/daemon.json, while there are no "
		"containers: dockerd does not show those that it had before."},
	{"no live-restore",
		"\"live-restore\": true in /etc/docker/daemon.json; `systemctl reload docker`."},
	{"in containerd's store",
		"\"features\": {\"containerd-snapshotter\": false} in /etc/docker/daemon.json, "
		"before "
		"there are images, and its data-root on btrfs, or on xfs mounted with pquota; the "
		"size of guests' data is bounded in any case."},
	{"have no bound",
		"Put dockerd's data-root on btrfs, or on xfs mounted with pquota; the size of "
		"guests' data is bounded in any case."},
	{"has no seccomp", "Use a kernel and a dockerd that have it."},
};

static const char *find_advice(const char *notice)
{
	for (size_t i = 0; i < ARRAY_SIZE(ADVICE); i++)
		if (strstr(notice, ADVICE[i].words))
			return ADVICE[i].advice;
	return "Its page in the documentation tells of it.";
}

static void tell_notices(struct report *report, const struct driver_facts *facts)
{
	AUTOFREE char *copy = strdup(facts->notice ? facts->notice : "");
	char *rest = copy, *part;

	while ((part = strsep(&rest, ";"))) {
		part += strspn(part, " ");
		if (*part)
			report_add(report, facts->name, VERDICT_WARNING, find_advice(part), "%s",
				part);
	}
}

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
	if (facts->usable)
		tell_notices(report, facts);
}
