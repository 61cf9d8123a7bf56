/* What guests need of the kernel: calls, control groups, namespaces, ids. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "base/subid.h"
#include "doctor/checks.h"

/* --- Kernel ---------------------------------------------------------------------------------- */

/* btrfs can be mounted with ids mapped since then. */
#define MAJOR_NEEDED 5
#define MINOR_NEEDED 15

static bool older_than(const char *release, unsigned major, unsigned minor)
{
	unsigned has_major = 0, has_minor = 0;

	if (sscanf(release, "%u.%u", &has_major, &has_minor) != 2)
		return false;
	return has_major < major || (has_major == major && has_minor < minor);
}

void check_kernel(struct report *report, const struct kernel_facts *facts)
{
	const struct {
		const char *name, *since;
		bool there;
	} features[] = {{"id-mapped mounts", "5.12", facts->idmapped_mounts},
		{"pidfd_open", "5.3", facts->pidfd}, {"openat2", "5.6", facts->openat2}};
	bool all = true;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].there)
			continue;
		all = false;
		report_add(report, "kernel", VERDICT_BAD,
			"Boot a newer kernel; Linux 6.1 or later is best.",
			"Linux %s has no %s (Linux %s has)", facts->release, features[i].name,
			features[i].since);
	}
	if (all && older_than(facts->release, MAJOR_NEEDED, MINOR_NEEDED))
		report_add(report, "kernel", VERDICT_BAD,
			"Boot a newer kernel; Linux 6.1 or later is best.",
			"Linux %s cannot map the ids of guests on btrfs (Linux %d.%d can)",
			facts->release, MAJOR_NEEDED, MINOR_NEEDED);
	else if (all)
		report_add(report, "kernel", VERDICT_GOOD, NULL,
			"Linux %s, with id-mapped mounts, pidfds and openat2", facts->release);
}

/* --- Control groups -------------------------------------------------------------------------- */

struct hierarchies {
	unsigned v1, v2;
	char controllers[1024]; /* ",cpu,memory," of v1 */
};

/* Of a line of mountinfo (proc(5)): "36 35 98:0 / /mount options - type source options". */
static void read_mount(const char *line, struct hierarchies *ret)
{
	const char *tail = strstr(line, " - ");
	char type[32], options[256];
	size_t used = strlen(ret->controllers);

	if (!tail || sscanf(tail, " - %31s %*s %255s", type, options) != 2)
		return;
	if (strcmp(type, "cgroup2") == 0)
		ret->v2++;
	if (strcmp(type, "cgroup") != 0)
		return;
	ret->v1++;
	snprintf(ret->controllers + used, sizeof(ret->controllers) - used, ",%s,", options);
}

static struct hierarchies read_hierarchies(const char *mountinfo)
{
	struct hierarchies found = {0};
	AUTOFREE char *copy = strdup(mountinfo ? mountinfo : "");
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		read_mount(line, &found);
	return found;
}

/* Whether a list has the word, whatever separates its words. */
static bool has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; p && (p = strstr(p, word)); p += length) {
		bool begins = p == list || strchr(", \n", p[-1]);

		if (begins && (!p[length] || strchr(", \n", p[length])))
			return true;
	}
	return false;
}

/* The controllers that are missing, joined. v1 calls that of the disk blkio. */
static char *missing_controllers(const struct cgroup_facts *facts, const struct hierarchies *found)
{
	static const struct {
		const char *v2, *v1;
	} NEEDED[] = {{"cpu", "cpu"}, {"memory", "memory"}, {"pids", "pids"}, {"io", "blkio"}};
	struct strbuf buf = {0};

	for (size_t i = 0; i < ARRAY_SIZE(NEEDED); i++)
		if (!has_word(facts->controllers, NEEDED[i].v2) &&
			!has_word(found->controllers, NEEDED[i].v1))
			strbuf_addf(&buf, "%s%s", buf.used ? ", " : "", NEEDED[i].v2);
	return strbuf_take(&buf);
}

static void check_delegation(struct report *report, const struct cgroup_facts *facts)
{
	if (facts->delegated && *facts->delegated)
		report_add(report, "cgroups", VERDICT_GOOD, NULL,
			"guests' groups lie below %s, which is delegated to corpus",
			facts->delegated);
	else if (facts->systemd)
		report_add(report, "cgroups", VERDICT_WARNING,
			"Start corpusd by its unit, which sets CORPUS_CGROUP to the one of "
			"corpus-guests.service.",
			"guests' groups are not below a unit that systemd has delegated: it may "
			"change them");
}

void check_cgroups(struct report *report, const struct cgroup_facts *facts)
{
	struct hierarchies found = read_hierarchies(facts->mountinfo);
	AUTOFREE char *missing = missing_controllers(facts, &found);
	const char *kind = found.v1 == 0 ? "v2" : found.v2 == 0 ? "v1" : "v1 and v2 (hybrid)";

	if (found.v1 + found.v2 == 0) {
		report_add(report, "cgroups", VERDICT_BAD,
			"Mount them: `mount -t cgroup2 none /sys/fs/cgroup`.",
			"no control groups are mounted below /sys/fs/cgroup");
		return;
	}
	if (missing && *missing)
		report_add(report, "cgroups", VERDICT_WARNING,
			"Boot with the controllers switched on (for memory: cgroup_enable=memory).",
			"control groups %s, without the controllers %s: such limits do not hold",
			kind, missing);
	else
		report_add(report, "cgroups", VERDICT_GOOD, NULL,
			"control groups %s, with cpu, memory, pids and io", kind);
	check_delegation(report, facts);
}

/* --- User namespaces ------------------------------------------------------------------------- */

static bool is_number(const char *text, long number)
{
	char *end;

	return text && *text && strtol(text, &end, 10) == number && (!*end || *end == '\n');
}

void check_namespaces(struct report *report, const struct namespace_facts *facts)
{
	if (!facts->max_user_namespaces)
		report_add(report, "namespaces", VERDICT_BAD, "Boot a kernel with CONFIG_USER_NS.",
			"the kernel has no user namespaces, in which guests run");
	else if (is_number(facts->max_user_namespaces, 0))
		report_add(report, "namespaces", VERDICT_BAD,
			"Allow them: `sysctl -w user.max_user_namespaces=15000`, and in "
			"/etc/sysctl.d.",
			"user.max_user_namespaces is 0: no unprivileged guest can start");
	else if (is_number(facts->apparmor_restricts, 1))
		report_add(report, "namespaces", VERDICT_WARNING,
			"If guests nest containers: `sysctl -w "
			"kernel.apparmor_restrict_unprivileged_userns=0`.",
			"AppArmor refuses user namespaces to programs without a profile, also in "
			"guests");
	else
		report_add(report, "namespaces", VERDICT_GOOD, NULL, "user namespaces can be made");
}

/* --- Subordinate ids ------------------------------------------------------------------------- */

#define IDS_USUAL 65536

/* Whether a range of root holds what is wanted; `base` 0: the first one counts. */
static bool find_range(const char *text, uint32_t base, uint32_t count, struct subid_range *ret)
{
	while (subid_next(&text, ret))
		if (base == 0 || subid_holds(ret, base, count))
			return true;
	return false;
}

void check_subids(
	struct report *report, const char *path, const char *text, uint32_t base, uint32_t count)
{
	struct subid_range range;
	char advice[200];

	count = count ? count : IDS_USUAL;
	snprintf(advice, sizeof(advice),
		"Add the line root:%u:%u to %s (Debian: the package uidmap does).",
		base ? base : 100000, count, path);
	if (!find_range(text ? text : "", base, count, &range))
		report_add(report, "ids", VERDICT_BAD, advice,
			"%s gives root no range of ids for guests%s", path,
			base ? " that holds the one of idmap in corpusd.yaml" : "");
	else if (range.count < count)
		report_add(report, "ids", VERDICT_WARNING, advice,
			"%s gives root only %" PRIu64 " ids: systems inside expect %u", path,
			range.count, count);
	else
		report_add(report, "ids", VERDICT_GOOD, NULL,
			"%s gives root the ids from %" PRIu64 " on", path,
			base ? (uint64_t)base : range.base);
}
