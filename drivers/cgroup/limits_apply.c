/* Setting the limits of a running guest: what each file said before is kept, and written back in
 * the reverse order when a later one cannot be set. */
#include "drivers/cgroup/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/parse.h"

#define NUMBER_MAX 64

/* --- Disks ------------------------------------------------------------------------------------ */

/* The kernel limits whole disks: that of a partition is the one above it. */
static const char *whole_disk(const char *device, char *buf, size_t size)
{
	AUTOFREE char *number = NULL;
	char path[128];

	if (!device)
		return NULL;
	snprintf(buf, size, "%s", device);
	if (file_path(path, sizeof(path), "/sys/dev/block/%s/partition", device) < 0 ||
		file_read(path, NUMBER_MAX, &number, NULL) < 0)
		return buf;
	free(TAKE_PTR(number));
	if (file_path(path, sizeof(path), "/sys/dev/block/%s/../dev", device) == 0 &&
		file_read(path, NUMBER_MAX, &number, NULL) == 0)
		snprintf(buf, size, "%.*s", (int)strcspn(number, "\n"), number);
	return buf;
}

/* --- Changes ---------------------------------------------------------------------------------- */

/* A set of writes under way. */
struct change {
	const struct cgroup *group;
	const struct limit_write *writes;
	char *old[LIMIT_WRITES_MAX]; /* what undoes a write that was done; NULL: none was */
	size_t n;
};

static void change_finish(struct change *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->old[i]);
}

/* What has to be written to have a file as it is: its first line or, where it has one for each
 * device, that of ours. */
static char *undo_text(const struct limit_write *w, const char *text)
{
	size_t n = strcspn(w->value, " ");
	char *undo = NULL;

	if (!w->undo)
		return strndup(text, strcspn(text, "\n"));
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
		if (strncmp(line, w->value, n + 1) == 0)
			return strndup(line, strcspn(line, "\n"));
	return asprintf(&undo, "%.*s%s", (int)n, w->value, w->undo) < 0 ? NULL : undo;
}

static int write_one(struct change *c, size_t i)
{
	const struct limit_write *w = &c->writes[i];
	AUTOFREE char *text = NULL, *undo = NULL;
	int r = cgroup_read(c->group, w->controller, w->file, &text);

	if (r < 0)
		return r;
	undo = undo_text(w, text);
	if (!undo)
		return -ENOMEM;
	r = cgroup_write(c->group, w->controller, w->file, w->value);
	if (r == 0)
		c->old[i] = TAKE_PTR(undo);
	return r;
}

static void undo_all(struct change *c)
{
	for (size_t i = c->n; i-- > 0;)
		if (c->old[i])
			cgroup_write(
				c->group, c->writes[i].controller, c->writes[i].file, c->old[i]);
}

/* What to do where the kernel does not have the file. */
static const char *hint(const struct limit_write *w)
{
	static const char *const hints[][2] = {
		{"limits.swap", ", or boot with swapaccount=1"},
		{"limits.io_weight", ", or give the pool's disk the scheduler bfq"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (strcmp(w->field, hints[i][0]) == 0)
			return hints[i][1];
	return "";
}

static int explain(const struct limit_write *w, int r, struct err *err)
{
	if (r == -EBUSY)
		return err_set(err, ERR_INVALID, w->field,
			"%s cannot be set: the guest uses more than that now", w->field);
	if (r == -ENOENT)
		return err_set(err, ERR_UNSUPPORTED, w->field,
			"%s cannot be set: this node's kernel has no %s; leave the limit out%s",
			w->field, w->file, hint(w));
	if (r == -ENODEV && w->undo)
		return err_set(err, ERR_UNSUPPORTED, w->field,
			"%s cannot be set: the disk %.*s takes no limits", w->field,
			(int)strcspn(w->value, " "), w->value);
	return err_errno(err, r, "cannot set %s: %s to %s", w->field, w->file, w->value);
}

static int set_all(
	const struct cgroup *group, const struct limit_write *writes, size_t n, struct err *err)
{
	CLEANUP(change_finish)
	struct change c = {.group = group, .writes = writes, .n = n};

	for (size_t i = 0; i < n; i++) {
		int r = write_one(&c, i);

		if (r == 0 && writes[i].or_next)
			i++;
		if (r == 0 || (r == -ENOENT && (writes[i].none || writes[i].or_next)))
			continue;
		undo_all(&c);
		return explain(&writes[i], r, err);
	}
	return 0;
}

/* --- Guests ----------------------------------------------------------------------------------- */

int limits_check_memory(const struct cgroup *group, uint64_t memory, struct err *err)
{
	uint64_t used;

	if (memory == 0 || cgroup_memory_used(group, &used) < 0 || memory >= used)
		return 0;
	return err_set(err, ERR_INVALID, "limits.memory",
		"the guest uses %s of memory now: the limit cannot be set to %s", FMT_SIZE(used),
		FMT_SIZE(memory));
}

/* v1 says "no limit" by a number that no machine has. */
static uint64_t memory_now(const struct cgroup *group)
{
	AUTOFREE char *text = NULL;
	uint64_t n;

	if (cgroup_read(group, "memory", "memory.limit_in_bytes", &text) < 0)
		return 0;
	n = strtoull(text, NULL, 10);
	return n > GUEST_SIZE_MAX ? 0 : n;
}

int limits_apply(const struct cgroup *group, const struct guest_limits *limits, const char *disk,
	struct err *err)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	struct limits_host host;
	char buf[NUMBER_MAX];
	int r;

	disk = whole_disk(disk, buf, sizeof(buf));
	limits_host(group->cgroups, &host);
	if (host.memory == LIMIT_V1)
		host.memory_now = memory_now(group);
	r = limits_check(&host, limits, disk, err);
	if (r == 0)
		r = limits_check_memory(group, limits->memory, err);
	if (r < 0)
		return r;
	return set_all(group, list, limits_plan(&host, limits, disk, true, list), err);
}

int limits_apply_later(const struct cgroup *group, const struct guest_limits *limits,
	const char *disk, struct err *err)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	struct limits_host host;
	char buf[NUMBER_MAX];
	size_t n, kept = 0;

	limits_host(group->cgroups, &host);
	n = limits_plan(&host, limits, whole_disk(disk, buf, sizeof(buf)), false, list);
	for (size_t i = 0; i < n; i++)
		if (list[i].later)
			list[kept++] = list[i];
	return set_all(group, list, kept, err);
}

int limits_apply_io(const struct cgroup *group, const struct guest_limits *limits, const char *disk,
	struct err *err)
{
	struct limit_write list[LIMIT_WRITES_MAX];
	struct limits_host host, io;
	char buf[NUMBER_MAX];
	int r;

	disk = whole_disk(disk, buf, sizeof(buf));
	limits_host(group->cgroups, &host);
	io = (struct limits_host){.io = host.io};
	r = limits_check(&host, limits, disk, err);
	return r < 0 ? r : set_all(group, list, limits_plan(&io, limits, disk, true, list), err);
}
