/* What machines use: libvirt tells of all of them in one call, and what it does not know the node's
 * kernel does. Sources: virConnectGetAllDomainStats in libvirt's reference, proc(5), the kernel's
 * Documentation/scheduler/sched-bwc.rst and admin-guide/cgroup-v2.rst. */
#include "drivers/kvm/stats.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/definition.h"
#include "drivers/kvm/guest.h"

#define KIB	  1024
#define TEXT_MAX  16384
#define DISKS_MAX 64

/* A machine that is busy (it is being saved) tells less instead of being waited for. */
#define HOW  VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
#define WHAT (VIR_DOMAIN_STATS_CPU_TOTAL | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_BLOCK)

/* --- What libvirt says ------------------------------------------------------------------------ */

static uint64_t number(virTypedParameterPtr params, int count, const char *name)
{
	unsigned long long n = 0;

	virTypedParamsGetULLong(params, count, name, &n);
	return n;
}

/* What `free` says inside: the caches too. All of it is of one moment, some seconds ago; what the
 * balloon leaves the guest is of now, and cannot be set against it. */
static void take_balloon(virTypedParameterPtr params, int count, struct driver_stats *ret)
{
	uint64_t total = number(params, count, "balloon.available");
	uint64_t unused = number(params, count, "balloon.unused");

	if (total == 0 || unused > total)
		return;
	ret->memory = (total - unused) * KIB;
	ret->memory_cache = number(params, count, "balloon.disk_caches") * KIB;
}

static void take_disk(virTypedParameterPtr params, int count, unsigned i, struct driver_stats *ret)
{
	const struct {
		const char *name;
		uint64_t *to;
	} items[] = {
		{"rd.bytes", &ret->io_read_bytes},
		{"wr.bytes", &ret->io_write_bytes},
		{"rd.reqs", &ret->io_reads},
		{"wr.reqs", &ret->io_writes},
	};
	char name[VIR_TYPED_PARAM_FIELD_LENGTH];

	for (size_t k = 0; k < ARRAY_SIZE(items); k++) {
		snprintf(name, sizeof(name), "block.%u.%s", i, items[k].name);
		*items[k].to += number(params, count, name);
	}
}

void stats_take(virTypedParameterPtr params, int count, struct driver_stats *ret)
{
	unsigned disks = 0;

	ret->cpu_ns = number(params, count, "cpu.time");
	take_balloon(params, count, ret);
	virTypedParamsGetUInt(params, count, "block.count", &disks);
	for (unsigned i = 0; i < disks && i < DISKS_MAX; i++)
		take_disk(params, count, i, ret);
}

/* --- What the node says ----------------------------------------------------------------------- */

/* The number after a word at the beginning of a line; 0 when there is none. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) == 0)
			return strtoull(line + n, NULL, 10);
	}
	return 0;
}

void stats_take_process(const char *status, const char *cpu_stat, struct driver_stats *ret)
{
	if (status) {
		ret->memory_peak = keyed(status, "VmHWM:") * KIB;
		ret->swap = keyed(status, "VmSwap:") * KIB;
		if (ret->memory == 0)
			ret->memory = keyed(status, "VmRSS:") * KIB;
	}
	if (cpu_stat) {
		ret->cpu_periods = keyed(cpu_stat, "nr_periods ");
		ret->cpu_throttled = keyed(cpu_stat, "nr_throttled ");
		/* v1 counts nanoseconds, v2 microseconds. */
		ret->cpu_throttled_ns = keyed(cpu_stat, "throttled_time ") +
					keyed(cpu_stat, "throttled_usec ") * 1000;
	}
}

/* Whether that is among "cpu,cpuacct". */
static bool among(const char *list, size_t length, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p + n <= list + length; p += strcspn(p, ",") + 1)
		if (strncmp(p, word, n) == 0 && (p + n == list + length || p[n] == ','))
			return true;
	return false;
}

/* Lines are "3:cpu,cpuacct:/path", of v2 "0::/path". libvirt has the threads in groups below that
 * of the machine, to which the quota belongs. */
int stats_group(const char *cgroup, char *buf, size_t size)
{
	static const char below[] = "/emulator";

	for (const char *line = cgroup; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *list = strchr(line, ':');
		const char *path = list ? strchr(list + 1, ':') : NULL;
		size_t length, n;

		if (!path)
			continue;
		length = (size_t)(path - list - 1);
		n = strcspn(++path, "\n");
		if (!among(list + 1, length, "cpu") && !(line[0] == '0' && length == 0))
			continue;
		if (n < sizeof(below) ||
			strncmp(path + n - strlen(below), below, strlen(below)) != 0)
			continue;
		return file_path(buf, size, "/sys/fs/cgroup/%.*s%.*s/cpu.stat", (int)length,
			list + 1, (int)(n - strlen(below)), path);
	}
	return -ENOENT;
}

static char *cpu_stat_of(pid_t pid)
{
	AUTOFREE char *cgroup = NULL;
	char path[PATH_MAX], *text = NULL;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (file_read(path, TEXT_MAX, &cgroup, NULL) == 0 &&
		stats_group(cgroup, path, sizeof(path)) == 0)
		(void)file_read(path, TEXT_MAX, &text, NULL);
	return text;
}

static void ask_the_node(struct driver_stats *ret)
{
	AUTOFREE char *status = NULL, *cpu = NULL;
	pid_t pid = guest_pid(ret->id);
	char path[64];

	if (pid <= 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	(void)file_read(path, TEXT_MAX, &status, NULL);
	cpu = cpu_stat_of(pid);
	stats_take_process(status, cpu, ret);
}

/* --- Guests ----------------------------------------------------------------------------------- */

static void free_recordsp(virDomainStatsRecordPtr **records)
{
	if (*records)
		virDomainStatsRecordListFree(*records);
}

/* Of domains that are ours; one that ended meanwhile is left out. */
static int ask(virDomainPtr *domains, struct driver_stats **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(free_recordsp) virDomainStatsRecordPtr *records = NULL;
	AUTOFREE struct driver_stats *list = NULL;
	int n = domains[0] ? virDomainListGetStats(domains, WHAT, &records, HOW) : 0;

	if (n < 0)
		return connect_error(err, "cannot get statistics");
	list = calloc((size_t)n + 1, sizeof(*list));
	if (!list)
		return err_errno(err, ENOMEM, "no memory for statistics");
	for (int i = 0; i < n; i++) {
		const char *id = connect_id_of(virDomainGetName(records[i]->dom));

		snprintf(list[i].id, sizeof(list[i].id), "%s", id);
		stats_take(records[i]->params, records[i]->nparams, &list[i]);
		ask_the_node(&list[i]);
	}
	*ret = TAKE_PTR(list);
	*ret_count = (size_t)n;
	return 0;
}

static int of_one(struct driver *d, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	int r = guest_running(d, id, &g, err);

	if (r < 0)
		return r;
	r = ask((virDomainPtr[]){g.domain, NULL}, ret, ret_count, err);
	if (r == 0 && *ret_count == 0) {
		free(*ret);
		*ret = NULL;
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s is not running", id);
	}
	return r;
}

static void free_domainsp(virDomainPtr **domains)
{
	for (virDomainPtr *p = *domains; p && *p; p++)
		virDomainFree(*p);
	free(*domains);
}

/* By what is known of it without asking again: name, uuid, and that we have defined it. */
static bool is_ours(const struct kvm *kvm, virDomainPtr domain)
{
	const char *id = connect_id_of(virDomainGetName(domain));
	char want[VIR_UUID_STRING_BUFLEN], have[VIR_UUID_STRING_BUFLEN];
	struct kvm_paths paths;

	return id && virDomainGetUUIDString(domain, have) == 0 &&
	       strcmp(have, connect_uuid(want, id)) == 0 && kvm_paths(kvm, id, &paths, NULL) == 0 &&
	       definition_exists(paths.definition);
}

/* Leaves ours in the list. */
static void keep_ours(const struct kvm *kvm, virDomainPtr *domains)
{
	virDomainPtr *to = domains;

	for (virDomainPtr *p = domains; *p; p++)
		if (is_ours(kvm, *p))
			*to++ = *p;
		else
			virDomainFree(*p);
	*to = NULL;
}

int kvm_stats(struct driver *d, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err)
{
	const struct kvm *kvm = (const struct kvm *)d;
	AUTOCONN virConnectPtr conn = NULL;
	CLEANUP(free_domainsp) virDomainPtr *domains = NULL;
	int r;

	if (id)
		return of_one(d, id, ret, ret_count, err);
	r = kvm_connect(kvm, &conn, err);
	if (r < 0)
		return r;
	if (virConnectListAllDomains(conn, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE) < 0)
		return connect_error(err, "cannot list domains");
	keep_ours(kvm, domains);
	return ask(domains, ret, ret_count, err);
}
