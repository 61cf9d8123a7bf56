/* What guests have used. Five hundred guests are read in one call: each file is opened, read once
 * and closed, nothing is allocated, and one table says what is found where. Sources: the kernel's
 * Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. */
#include "drivers/cgroup/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define TEXT_MAX     16384 /* memory.stat has 4 KiB, io.stat a line for each disk */
#define NESTED_DEPTH 6
#define NESTED_MAX   256 /* groups that are looked into; a guest can make as many as it likes */

/* A word of a file, and where the number after it goes. */
struct item {
	const char *key; /* NULL: the file holds nothing but the number */
	size_t offset;
	unsigned scale;
};

#define ITEMS_MAX 4

struct source {
	const char *controller;
	bool v2;
	const char *file;
	struct item items[ITEMS_MAX]; /* of one offset: they are added */
	bool by_disk; /* "8:0 rbytes=1 …" or "8:0 Read 1", a line or several for each disk */
};

#define TO(field) offsetof(struct driver_stats, field)

static const struct source SOURCES[] = {
	{"cpuacct", false, "cpuacct.usage", {{NULL, TO(cpu_ns), 1}}, false},
	{"cpu", false, "cpu.stat",
		{{"nr_periods", TO(cpu_periods), 1}, {"nr_throttled", TO(cpu_throttled), 1},
			{"throttled_time", TO(cpu_throttled_ns), 1}},
		false},
	{"memory", false, "memory.usage_in_bytes", {{NULL, TO(memory), 1}}, false},
	{"memory", false, "memory.max_usage_in_bytes", {{NULL, TO(memory_peak), 1}}, false},
	{"memory", false, "memory.stat",
		{{"total_active_file", TO(memory_cache), 1},
			{"total_inactive_file", TO(memory_cache), 1}, {"total_swap", TO(swap), 1}},
		false},
	{"pids", false, "pids.current", {{NULL, TO(pids), 1}}, false},
	{"pids", false, "pids.events", {{"max", TO(pids_refused), 1}}, false},
	{"blkio", false, "blkio.throttle.io_service_bytes_recursive",
		{{" Read ", TO(io_read_bytes), 1}, {" Write ", TO(io_write_bytes), 1}}, true},
	{"blkio", false, "blkio.throttle.io_serviced_recursive",
		{{" Read ", TO(io_reads), 1}, {" Write ", TO(io_writes), 1}}, true},
	{"", true, "cpu.stat",
		{{"usage_usec", TO(cpu_ns), 1000}, {"nr_periods", TO(cpu_periods), 1},
			{"nr_throttled", TO(cpu_throttled), 1},
			{"throttled_usec", TO(cpu_throttled_ns), 1000}},
		false},
	{"memory", true, "memory.current", {{NULL, TO(memory), 1}}, false},
	{"memory", true, "memory.peak", {{NULL, TO(memory_peak), 1}}, false},
	{"memory", true, "memory.stat",
		{{"active_file", TO(memory_cache), 1}, {"inactive_file", TO(memory_cache), 1}},
		false},
	{"memory", true, "memory.swap.current", {{NULL, TO(swap), 1}}, false},
	{"memory", true, "memory.events", {{"oom_kill", TO(oom_kills), 1}}, false},
	{"pids", true, "pids.current", {{NULL, TO(pids), 1}}, false},
	{"pids", true, "pids.events", {{"max", TO(pids_refused), 1}}, false},
	{"io", true, "io.stat",
		{{" rbytes=", TO(io_read_bytes), 1}, {" wbytes=", TO(io_write_bytes), 1},
			{" rios=", TO(io_reads), 1}, {" wios=", TO(io_writes), 1}},
		true},
};

/* --- Files ------------------------------------------------------------------------------------ */

/* One read gives the whole of a kernel's file. The text lives until the next one is read; NULL when
 * there is none. */
static const char *read_text(int dir, const char *path)
{
	static char text[TEXT_MAX]; /* a driver has one thread */
	AUTOCLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return NULL;
	text[n] = '\0';
	return text;
}

static uint64_t *place(struct driver_stats *s, const struct item *item)
{
	return (uint64_t *)(void *)((char *)s + item->offset);
}

/* The number after `key` at the beginning of a line; 0 when there is none. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return strtoull(line + n + 1, NULL, 10);
	}
	return 0;
}

static void take_items(const struct source *s, const char *text, struct driver_stats *ret)
{
	for (const struct item *i = s->items; i < s->items + ITEMS_MAX && i->scale; i++)
		*place(ret, i) +=
			(i->key ? keyed(text, i->key) : strtoull(text, NULL, 10)) * i->scale;
}

/* Adds the numbers of one disk's line. */
static void take_line(
	const struct source *s, const char *line, size_t length, struct driver_stats *ret)
{
	for (const struct item *i = s->items; i < s->items + ITEMS_MAX && i->scale; i++) {
		const char *at = memmem(line, length, i->key, strlen(i->key));

		if (at)
			*place(ret, i) += strtoull(at + strlen(i->key), NULL, 10);
	}
}

static uint64_t total(const struct source *s, struct driver_stats *stats)
{
	uint64_t sum = 0;

	for (const struct item *i = s->items; i < s->items + ITEMS_MAX && i->scale; i++)
		sum += *place(stats, i);
	return sum;
}

static void copy_items(const struct source *s, struct driver_stats *from, struct driver_stats *to)
{
	for (const struct item *i = s->items; i < s->items + ITEMS_MAX && i->scale; i++)
		*place(to, i) = *place(from, i);
}

/* What goes through a disk made of another's file is counted for both: only one of them is taken,
 * the given or, without it, the busiest. The lines of one disk follow each other. */
static void take_disks(
	const struct source *s, const char *text, const char *disk, struct driver_stats *ret)
{
	for (const char *line = text, *next; *line; line = next) {
		size_t name = strcspn(line, " \n");
		struct driver_stats one = {0};

		for (next = line; strncmp(next, line, name) == 0 && next[name] == ' ';) {
			size_t length = strcspn(next, "\n");

			take_line(s, next, length, &one);
			next += length + (next[length] == '\n');
		}
		if (next == line)
			next += strcspn(line, "\n") + (strchr(line, '\n') != NULL);
		if (disk ? strlen(disk) == name && strncmp(disk, line, name) == 0
			 : total(s, &one) > total(s, ret))
			copy_items(s, &one, ret);
	}
}

/* --- Kills in v1 ------------------------------------------------------------------------------ */

/* v1 counts a kill in the group of the process alone; a guest with systemd has many groups. */
static uint64_t kills_below(int parent, const char *name, int depth, unsigned *left)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	const char *text;
	struct stat st;
	uint64_t kills;
	struct dirent *e;

	if (fd < 0)
		return 0;
	text = read_text(fd, "memory.oom_control");
	kills = text ? keyed(text, "oom_kill") : 0;
	/* Two links: no groups below. */
	if (depth == 0 || fstat(fd, &st) < 0 || st.st_nlink == 2) {
		close(fd);
		return kills;
	}
	CLEANUP(closedirp) DIR *dir = fdopendir(fd);

	while (dir && *left > 0 && (e = readdir(dir)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.') {
			(*left)--;
			kills += kills_below(fd, e->d_name, depth - 1, left);
		}
	return kills;
}

/* --- Groups ----------------------------------------------------------------------------------- */

static const struct cgroup_hierarchy *hierarchy_of(const struct cgroups *c, const struct source *s)
{
	const struct cgroup_hierarchy *h;

	if (s->controller[0]) {
		h = cgroups_with(c, s->controller);
		return h && h->v2 == s->v2 ? h : NULL;
	}
	/* v2 counts the time of cpus without a controller: taken where no other does. */
	for (size_t i = 0; i < c->count && !cgroups_with(c, "cpuacct"); i++)
		if (c->hierarchies[i].v2)
			return &c->hierarchies[i];
	return NULL;
}

static bool read_source(
	const struct cgroup *g, const struct source *s, const char *disk, struct driver_stats *ret)
{
	const struct cgroup_hierarchy *h = hierarchy_of(g->cgroups, s);
	const char *text = NULL;
	char path[PATH_MAX];

	if (h && cgroup_path(g, h, s->file, path) == 0)
		text = read_text(AT_FDCWD, path);
	if (!text)
		return false;
	if (s->by_disk)
		take_disks(s, text, disk, ret);
	else
		take_items(s, text, ret);
	return true;
}

int stats_read(const struct cgroup *group, const char *disk, struct driver_stats *ret)
{
	const struct cgroup_hierarchy *memory = cgroups_with(group->cgroups, "memory");
	struct driver_stats stats = {0};
	unsigned left = NESTED_MAX;
	char path[PATH_MAX];
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(SOURCES); i++)
		any |= read_source(group, &SOURCES[i], disk, &stats);
	if (!any)
		return -ENOENT;
	if (memory && !memory->v2 && cgroup_path(group, memory, "", path) == 0)
		stats.oom_kills = kills_below(AT_FDCWD, path, NESTED_DEPTH, &left);
	*ret = stats;
	return 0;
}

/* --- The answers of drivers ------------------------------------------------------------------ */

int stats_one(const struct stats_guests *guests, const char *id, struct driver_stats **ret,
	size_t *ret_count, struct err *err)
{
	AUTOFREE struct driver_stats *one = calloc(1, sizeof(*one));

	if (!one)
		return err_errno(err, ENOMEM, "no memory for statistics");
	if (guests->read(guests->driver, id, one) < 0)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	*ret = TAKE_PTR(one);
	*ret_count = 1;
	return 0;
}

static bool id_of(const char *file, const char *suffix, char ret[static GUEST_ID_LEN + 1])
{
	if (strnlen(file, GUEST_ID_LEN) < GUEST_ID_LEN || strcmp(file + GUEST_ID_LEN, suffix) != 0)
		return false;
	memcpy(ret, file, GUEST_ID_LEN);
	ret[GUEST_ID_LEN] = '\0';
	return true;
}

int stats_all(const struct stats_guests *guests, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	CLEANUP(closedirp) DIR *dir = opendir(guests->dir);
	AUTOFREE struct driver_stats *list = calloc(1, sizeof(*list));
	size_t count = 0, room = 1;
	const struct dirent *e;
	char id[GUEST_ID_LEN + 1];

	if (!dir || !list)
		return err_errno(err, errno, "cannot list %s", guests->dir);
	while ((e = readdir(dir))) {
		if (count == room) {
			struct driver_stats *grown = reallocarray(list, room * 2, sizeof(*list));

			if (!grown)
				return err_errno(err, ENOMEM, "no memory for a list");
			list = grown;
			room *= 2;
		}
		if (id_of(e->d_name, guests->suffix, id) &&
			guests->read(guests->driver, id, &list[count]) == 0)
			count++;
	}
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}
