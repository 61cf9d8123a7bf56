/* dnsmasq: its files, its start, its adoption and its end. */
#include "net/dhcp.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "base/parse.h"
#include "base/process.h"
#include "net/dhcp_files.h"
#include "net/dhcp_lease.h"

#define START_MS       10000
#define START_TRIES    5
#define START_PAUSE_MS 100
#define STOP_MS	       3000
#define RELEASE_MS     1000
struct dhcp {
	struct net_config config; /* strings are the copies below */
	char bridge[NET_LINK_NAME_MAX + 1];
	char *domain;
	char dir[PATH_MAX - 64]; /* run_dir/BRIDGE */
	struct dhcp_files files; /* there */
	bool told;		 /* dnsmasq was started by us, or told to read its files again */
};

int dhcp_open(const struct net_config *config, struct dhcp **ret, struct err *err)
{
	struct dhcp *dhcp = calloc(1, sizeof(*dhcp));
	int r = dhcp ? 0 : -ENOMEM;

	if (r == 0) {
		dhcp->config = *config;
		snprintf(dhcp->bridge, sizeof(dhcp->bridge), "%s", config->bridge);
		dhcp->config.bridge = dhcp->bridge;
		dhcp->domain = config->domain ? strdup(config->domain) : NULL;
		dhcp->config.domain = dhcp->domain;
		dhcp->config.run_dir = NULL;
		r = config->domain && !dhcp->domain ? -ENOMEM : 0;
	}
	if (r == 0)
		r = file_path(
			dhcp->dir, sizeof(dhcp->dir), "%s/%s", config->run_dir, config->bridge);
	if (r < 0) {
		dhcp_close(dhcp);
		return err_errno(err, r, "cannot prepare DHCP");
	}
	dhcp->files = (struct dhcp_files){.dir = dhcp->dir, .domain = dhcp->domain};
	*ret = dhcp;
	return 0;
}

struct dhcp *dhcp_close(struct dhcp *dhcp)
{
	if (!dhcp)
		return NULL;
	free(dhcp->domain);
	free(dhcp);
	return NULL;
}

static void path_of(const struct dhcp *dhcp, char path[static PATH_MAX], const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", dhcp->dir, name);
}

/* Whether that process is the dnsmasq on our configuration: its command line names the file. */
static bool runs_our_config(const struct dhcp *dhcp, pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64], wanted[PATH_MAX];
	const char *argument;
	size_t size = 0;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	if (file_read(path, DHCP_FILE_MAX, &text, &size) < 0)
		return false;
	snprintf(wanted, sizeof(wanted), "--conf-file=%s/dnsmasq.conf", dhcp->dir);
	for (argument = text; argument < text + size; argument += strlen(argument) + 1)
		if (strcmp(argument, wanted) == 0)
			return true;
	return false;
}

/* A pidfd of that process if it is our dnsmasq, or -ESRCH. The pidfd is taken first: what is found
 * out about the pid afterwards is then about that process. */
static int check_server(const struct dhcp *dhcp, const char *text)
{
	AUTOCLOSE int fd = -1;
	uint64_t pid = 0;

	if (parse_u64(text, INT_MAX, &pid) < 0 || pid == 0)
		return -ESRCH;
	fd = process_pidfd((pid_t)pid);
	if (fd < 0 || !runs_our_config(dhcp, (pid_t)pid))
		return -ESRCH;
	return TAKE_FD(fd);
}

/* The pid file may be gone, or not written yet, while the server holds its port. */
static int search_server(const struct dhcp *dhcp)
{
	CLEANUP(closedirp) DIR *dir = opendir("/proc");
	struct dirent *entry;
	int fd = -ESRCH;

	while (fd < 0 && dir && (entry = readdir(dir)))
		fd = check_server(dhcp, entry->d_name);
	return fd;
}

/* A pidfd of our dnsmasq, or -ESRCH. */
static int find_server(const struct dhcp *dhcp)
{
	AUTOFREE char *text = NULL;
	int fd = -ESRCH;

	if (dhcp_files_read(&dhcp->files, "pid", &text) == 0) {
		text[strcspn(text, "\n")] = '\0';
		fd = check_server(dhcp, text);
	}
	return fd < 0 ? search_server(dhcp) : fd;
}

static bool wait_end(int pidfd, int timeout_ms)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int64_t deadline = clock_monotonic_ns() + (int64_t)timeout_ms * 1000000;
	int n;

	do
		n = poll(&p, 1, (int)((deadline - clock_monotonic_ns()) / 1000000));
	while (n < 0 && errno == EINTR);
	return n > 0;
}

static int stop_server(const struct dhcp *dhcp, struct err *err)
{
	AUTOCLOSE int pidfd = find_server(dhcp);

	if (pidfd < 0)
		return 0;
	process_signal(pidfd, SIGTERM);
	if (wait_end(pidfd, STOP_MS))
		return 0;
	process_signal(pidfd, SIGKILL);
	return wait_end(pidfd, STOP_MS) ? 0
					: err_set(err, ERR_TIMEOUT, NULL,
						  "dnsmasq for %s does not end", dhcp->bridge);
}

struct guest_list {
	const struct net_guest *guests;
	size_t count;
};

static bool lease_is_theirs(void *data, const struct lease *lease)
{
	const struct guest_list *list = data;

	for (size_t i = 0; i < list->count; i++)
		if (list->guests[i].address == lease->address)
			return memcmp(list->guests[i].mac, lease->mac, sizeof(lease->mac)) == 0;
	return false;
}

/* Without a server: its file is ours to change. */
static int prune_leases(const struct dhcp *dhcp, struct guest_list *list)
{
	AUTOFREE char *text = NULL;
	AUTOFREE char *kept = NULL;
	char path[PATH_MAX];
	int r = dhcp_files_read(&dhcp->files, "leases", &text);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	kept = lease_filter(text, lease_is_theirs, list);
	if (!kept)
		return -ENOMEM;
	path_of(dhcp, path, "leases");
	return strcmp(kept, text) == 0 ? 0 : file_replace(path, kept, DHCP_FILE_MODE, false);
}

static int start_server(const struct dhcp *dhcp, const char *config, struct err *err)
{
	char path[PATH_MAX], argument[PATH_MAX + 16];
	const char *const argv[] = {"dnsmasq", argument, NULL};
	const struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = START_MS};
	int r;

	path_of(dhcp, path, "dnsmasq.conf");
	r = file_replace(path, config, DHCP_FILE_MODE, false);
	if (r < 0)
		return err_errno(err, r, "cannot write %s", path);
	fault_point("net.dhcp.start");
	/* It returns when its child, which goes on by itself, is ready to serve. One that was
	 * killed a moment ago may hold its port until it is quite gone. */
	snprintf(argument, sizeof(argument), "--conf-file=%s", path);
	r = process_run(&options, err);
	for (int i = 0; i < START_TRIES && r < 0; i++) {
		poll(NULL, 0, START_PAUSE_MS);
		r = process_run(&options, err);
	}
	return r;
}

static char *wanted_config(const struct dhcp *dhcp)
{
	const char *user = getpwnam("dnsmasq") ? "dnsmasq" : "nobody";

	return dhcp_render_config(&dhcp->config, dhcp->dir, user, if_nametoindex(dhcp->bridge));
}

static bool config_is(const struct dhcp *dhcp, const char *config)
{
	AUTOFREE char *now = NULL;

	return dhcp_files_read(&dhcp->files, "dnsmasq.conf", &now) == 0 && strcmp(now, config) == 0;
}

/* The lease on an address, unless it is that guest's own. */
static bool find_other_lease(
	const struct dhcp *dhcp, const struct net_guest *guest, struct lease *ret)
{
	AUTOFREE char *text = NULL;
	AUTOFREE struct lease *leases = NULL;
	size_t count = 0;

	if (dhcp_files_read(&dhcp->files, "leases", &text) < 0 ||
		lease_parse(text, &leases, &count) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (leases[i].address != guest->address ||
			memcmp(leases[i].mac, guest->mac, sizeof(guest->mac)) == 0)
			continue;
		*ret = leases[i];
		return true;
	}
	return false;
}

static bool lease_listed(const struct dhcp *dhcp, const struct lease *lease)
{
	const struct net_guest nobody = {.address = lease->address};
	struct lease found;

	return find_other_lease(dhcp, &nobody, &found) &&
	       memcmp(found.mac, lease->mac, sizeof(found.mac)) == 0;
}

/* Waits until dnsmasq has struck the lease out of its file, which it does at once. */
static bool wait_released(const struct dhcp *dhcp, const struct lease *lease, int inotify)
{
	int64_t deadline = clock_monotonic_ns() + INT64_C(1000000) * RELEASE_MS;

	while (lease_listed(dhcp, lease)) {
		struct pollfd p = {.fd = inotify, .events = POLLIN};
		int64_t left = deadline - clock_monotonic_ns();
		char events[4096];

		if (left <= 0)
			return false;
		if (poll(&p, 1, (int)(left / 1000000) + 1) > 0 &&
			read(inotify, events, sizeof(events)) < 0)
			return false;
	}
	return true;
}

static int release(const struct dhcp *dhcp, const struct lease *lease, struct err *err)
{
	AUTOCLOSE int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[PATH_MAX];
	int r;

	path_of(dhcp, path, "leases");
	if (inotify < 0 || inotify_add_watch(inotify, path, IN_MODIFY) < 0)
		return err_errno(err, errno, "cannot watch %s", path);
	r = lease_release(dhcp->bridge, dhcp->config.gateway, lease);
	if (r < 0)
		return err_errno(
			err, r, "cannot give back the lease of %s", FMT_IPV4(lease->address));
	if (!wait_released(dhcp, lease, inotify))
		return err_set(err, ERR_TIMEOUT, NULL, "dnsmasq keeps the lease of %s for %s",
			FMT_IPV4(lease->address), FMT_MAC(lease->mac));
	return 0;
}

/* Gives back all leases that are none of these guests'. */
static int release_others(
	const struct dhcp *dhcp, struct guest_list *list, unsigned *changes, struct err *err)
{
	AUTOFREE char *text = NULL;
	AUTOFREE struct lease *leases = NULL;
	size_t count = 0;

	if (dhcp_files_read(&dhcp->files, "leases", &text) < 0 ||
		lease_parse(text, &leases, &count) < 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		int r;

		if (lease_is_theirs(list, &leases[i]))
			continue;
		r = release(dhcp, &leases[i], err);
		if (r < 0)
			return r;
		*changes += 1;
	}
	return 0;
}

static int restart(const struct dhcp *dhcp, const char *config, struct guest_list *list,
	unsigned *changes, struct err *err)
{
	int r = stop_server(dhcp, err);

	if (r < 0)
		return r;
	r = prune_leases(dhcp, list);
	if (r < 0)
		return err_errno(err, r, "cannot prune the leases of %s", dhcp->bridge);
	*changes += 1;
	return start_server(dhcp, config, err);
}

int dhcp_apply(struct dhcp *dhcp, const struct net_guest *guests, size_t count, unsigned *changes,
	struct err *err)
{
	struct guest_list list = {guests, count};
	AUTOFREE char *config = wanted_config(dhcp);
	AUTOCLOSE int pidfd = find_server(dhcp);
	struct dhcp_files_changes done = {0};
	int r = config ? dhcp_files_sync(&dhcp->files, guests, count, &done) : -ENOMEM;

	if (r < 0)
		return err_errno(err, r, "cannot write DHCP reservations below %s", dhcp->dir);
	*changes += done.placed + done.removed;
	fault_point("net.dhcp.files");
	if (pidfd < 0 || !config_is(dhcp, config))
		return restart(dhcp, config, &list, changes, err);
	/* Once in any case: an agent that died between changing a file and telling is made up for.
	 */
	if (done.removed || done.local || !dhcp->told)
		process_signal(pidfd, SIGHUP);
	dhcp->told = true;
	return release_others(dhcp, &list, changes, err);
}

int dhcp_add(struct dhcp *dhcp, const struct net_guest *guest, struct err *err)
{
	AUTOCLOSE int pidfd = find_server(dhcp);
	struct dhcp_files_changes done = {0};
	struct lease other;
	int r = dhcp_files_add(&dhcp->files, guest, &done);

	if (r < 0)
		return err_errno(err, r, "cannot write a DHCP reservation below %s", dhcp->dir);
	if (done.local && pidfd >= 0)
		process_signal(pidfd, SIGHUP);
	if (find_other_lease(dhcp, guest, &other))
		return release(dhcp, &other, err);
	return 0;
}

int dhcp_remove(struct dhcp *dhcp, const struct net_guest *guest, struct err *err)
{
	AUTOCLOSE int pidfd = find_server(dhcp);
	struct lease lease = {.address = guest->address};
	struct dhcp_files_changes done = {0};
	int r = dhcp_files_remove(&dhcp->files, guest, &done);

	if (r < 0)
		return err_errno(err, r, "cannot remove a DHCP reservation below %s", dhcp->dir);
	if (pidfd < 0)
		return 0; /* the lease goes when the server is started again */
	if (done.removed || done.local)
		process_signal(pidfd, SIGHUP);
	memcpy(lease.mac, guest->mac, sizeof(lease.mac));
	return lease_listed(dhcp, &lease) ? release(dhcp, &lease, err) : 0;
}

int dhcp_stop(struct dhcp *dhcp, struct err *err)
{
	int r = stop_server(dhcp, err);

	if (r < 0)
		return r;
	r = file_remove_tree(dhcp->dir);
	return r < 0 ? err_errno(err, r, "cannot remove %s", dhcp->dir) : 0;
}
