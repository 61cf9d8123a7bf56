/* What guests need of the host beside the kernel: a file system, room, time, limits. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "doctor/checks.h"

/* --- btrfs ----------------------------------------------------------------------------------- */

static bool has_simple_quotas(const char *release)
{
	unsigned major = 0, minor = 0;

	return sscanf(release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 7));
}

void check_btrfs(struct report *report, const struct btrfs_facts *facts)
{
	bool loaded = facts->filesystems && strstr(facts->filesystems, "\tbtrfs\n");
	bool simple = has_simple_quotas(facts->release) && !facts->classic;

	if (!loaded && !facts->module)
		report_add(report, "btrfs", VERDICT_BAD,
			"Boot a kernel that has it (Debian's all do).",
			"the kernel knows no btrfs, on which guests' storage lies");
	else
		report_add(report, "btrfs", VERDICT_GOOD, NULL, "btrfs %s, with %s quotas",
			loaded ? "is there" : "can be loaded", simple ? "simple" : "classic");
	if (facts->loop && !facts->mkfs)
		report_add(report, "btrfs", VERDICT_BAD, "Install the package btrfs-progs.",
			"mkfs.btrfs is missing: the pool cannot be made");
}

/* --- Room ------------------------------------------------------------------------------------ */

#define BAD_BYTES    (UINT64_C(16) << 20)
#define BAD_PERCENT  1
#define WARN_PERCENT 10

static enum verdict judge_room(uint64_t free, uint64_t total, uint64_t bad_below)
{
	if (free < bad_below || free < total / 100 * BAD_PERCENT)
		return VERDICT_BAD;
	return free < total / 100 * WARN_PERCENT ? VERDICT_WARNING : VERDICT_GOOD;
}

void check_space(struct report *report, const struct space_facts *facts)
{
	enum verdict verdict = judge_room(facts->free, facts->total, BAD_BYTES);
	enum verdict inodes =
		facts->inodes ? judge_room(facts->inodes_free, facts->inodes, 1) : VERDICT_GOOD;
	const char *advice =
		"Remove what is not needed, or give it more room; storage.loop_max in corpusd.yaml "
		"bounds the pool.";

	if (verdict == VERDICT_GOOD && facts->free < facts->wanted)
		verdict = VERDICT_WARNING;
	report_add(report, "space", verdict, verdict == VERDICT_GOOD ? NULL : advice,
		"%s (%s): %s of %s are free%s%s", facts->what, facts->path, FMT_SIZE(facts->free),
		FMT_SIZE(facts->total), facts->free < facts->wanted ? ", and may be needed: " : "",
		facts->free < facts->wanted ? FMT_SIZE(facts->wanted) : "");
	if (inodes != VERDICT_GOOD)
		report_add(report, "space", inodes, advice,
			"%s (%s): %" PRIu64 " of %" PRIu64 " inodes are free", facts->what,
			facts->path, facts->inodes_free, facts->inodes);
}

/* --- Time ------------------------------------------------------------------------------------ */

#define YEAR_LEAST 2025

void check_time(struct report *report, bool synchronised, int year)
{
	if (year < YEAR_LEAST)
		report_add(report, "time", VERDICT_BAD, "Set the clock, and run chrony or another.",
			"the clock says that it is the year %d", year);
	else if (!synchronised)
		report_add(report, "time", VERDICT_WARNING,
			"Run chrony, systemd-timesyncd or another.", "nothing sets the clock");
	else
		report_add(report, "time", VERDICT_GOOD, NULL, "the clock is synchronised");
}

/* --- Limits ---------------------------------------------------------------------------------- */

#define FILES_WANTED   16384
#define INOTIFY_WANTED 512
#define MEMORY_WANTED  (UINT64_C(256) << 20)

static void check_memory(struct report *report, uint64_t total, uint64_t available)
{
	bool little = available < MEMORY_WANTED || available < total / 20;

	report_add(report, "memory", little ? VERDICT_WARNING : VERDICT_GOOD,
		little ? "Stop or move guests, or lower their limits." : NULL,
		"%s of %s of memory can be had", FMT_SIZE(available), FMT_SIZE(total));
}

void check_limits(struct report *report, const struct limit_facts *facts)
{
	bool few = facts->files < FILES_WANTED;

	report_add(report, "files", few ? VERDICT_WARNING : VERDICT_GOOD,
		few ? "Raise it: LimitNOFILE=1048576 in corpusd's unit." : NULL,
		"a process may open %" PRIu64 " files", facts->files);
	if (facts->inotify > 0 && facts->inotify < INOTIFY_WANTED)
		report_add(report, "files", VERDICT_WARNING,
			"Raise it: `sysctl -w fs.inotify.max_user_instances=8192`, and in "
			"/etc/sysctl.d.",
			"all unprivileged guests together may watch files %" PRIu64
			" times: enough for some dozen with systemd",
			facts->inotify);
	check_memory(report, facts->memory, facts->available);
}
