/* Fixture of the tests of real LXC guests. */
#include "lxc_guests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "node.h"

struct driver *g_driver;
struct groups g_groups;
char g_additions[PATH_MAX];

void check(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s (%s)", err->message, err->field);
}

struct driver_guest facts(const char *id)
{
	static char links[2][16];
	bool first = strcmp(id, GUEST_A) == 0;
	char *link = links[first];

	/* As node_leftovers expects it. */
	snprintf(link, 16, "cvt%.8s", id + 4);
	return (struct driver_guest){.id = id,
		.name = first ? "a.example.org" : "b.example.org",
		.rootfs = node_rootfs(ROOTFS_PLAIN),
		.net = {.bridge = NODE_BRIDGE,
			.link = link,
			.mac = {0x00, 0x16, 0x3e, 0, 0, first ? 0xa : 0xb},
			.address = first ? 0x0a630071U : 0x0a630072U,
			.prefix = 24}};
}

pid_t run_guest(const struct driver_guest *guest)
{
	struct driver_status status;
	struct err err = {0};

	check(lxc_driver_ops.create(g_driver, guest, &err), &err);
	check(lxc_driver_ops.start(g_driver, guest->id, &status, &err), &err);
	assert_int_equal(status.state, GUEST_RUNNING);
	assert_int_equal(status.exit_status, -1);
	return status.pid;
}

struct driver_status guest_status(const char *id)
{
	struct driver_status status = {0};
	struct err err = {0};

	check(lxc_driver_ops.status(g_driver, id, &status, &err), &err);
	return status;
}

struct driver_stats stats_of(const char *id)
{
	struct driver_stats *list = NULL, one;
	struct err err = {0};
	size_t count = 0;

	check(lxc_driver_ops.stats(g_driver, id, &list, &count, &err), &err);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].id, id);
	one = list[0];
	free(list);
	return one;
}

/* Begins a command in the guest; returns what its wait status comes from, or -1. */
static int try_begin(const char *id, const char *script, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	AUTOCLOSE int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pair[2], r;
	pid_t pid;

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	r = lxc_driver_ops.exec(g_driver, id,
		&(struct driver_exec){.argv = argv,
			.stdin_fd = null,
			.stdout_fd = null,
			.stderr_fd = null,
			.status_fd = pair[1]},
		&pid, err);
	close(pair[1]);
	if (r == 0)
		return pair[0];
	close(pair[0]);
	return -1;
}

int begin(const char *id, const char *script)
{
	struct err err = {0};
	int fd = try_begin(id, script, &err);

	check(fd, &err);
	return fd;
}

void begin_end(const char *id, const char *script)
{
	fd_close(try_begin(id, script, NULL));
}

int finish(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int status = -1;

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	assert_true(read(fd, &status, sizeof(status)) >= 0);
	close(fd);
	return status;
}

int run_in(const char *id, const char *script)
{
	return finish(begin(id, script));
}

void update(const struct driver_guest *guest)
{
	struct err err = {0};

	check(lxc_driver_ops.update(g_driver, guest, &err), &err);
}

void await_end(pid_t pid)
{
	AUTOCLOSE int fd = process_pidfd(pid);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (fd >= 0)
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

pid_t parent_of(pid_t pid)
{
	AUTOFREE char *text = NULL;
	char path[64];
	pid_t parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	assert_int_equal(file_read(path, 4096, &text, NULL), 0);
	assert_int_equal(sscanf(strrchr(text, ')'), ") %*c %d", &parent), 1);
	return parent;
}

bool has(const char *controller)
{
	return cgroups_with(&g_groups.cgroups, controller) != NULL;
}

bool is_v2(const char *controller)
{
	const struct cgroup_hierarchy *h = cgroups_with(&g_groups.cgroups, controller);

	return h && h->v2;
}

const char *kernel(const char *controller, const char *v1, const char *v2)
{
	static char text[4096];
	struct cgroup group;
	AUTOFREE char *all = NULL;

	if (groups_of(&g_groups, GUEST_A, &group) < 0 ||
		cgroup_read(&group, controller, is_v2(controller) ? v2 : v1, &all) < 0)
		return "";
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(all, "\n"), all);
	return text;
}

int remove_all(void **state)
{
	const char *ids[] = {GUEST_A, GUEST_B};
	const char *left = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct err err = {0};

		if (lxc_driver_ops.destroy(g_driver, ids[i], &err) < 0)
			fprintf(stderr, "%s\n", err.message);
		lxc_driver_ops.watch_dispatch(g_driver, ids[i], NULL, NULL);
		left = left ? left : node_leftovers(ids[i], false);
	}
	if (left)
		fprintf(stderr, "left: %s\n", left);
	return left ? -1 : 0;
}

int open_driver(void **state)
{
	struct driver_config config = node_config();
	struct err err = {0};

	(void)state;
	config.additions_dir = g_additions;
	snprintf(g_additions, PATH_MAX, "%s/additions", node_dir());
	check(file_mkdirs(g_additions, 0755), &err);
	check(lxc_driver_ops.open(&config, &g_driver, &err), &err);
	check(groups_find(&g_groups, &err), &err);
	return lxc_driver_ops.watch_fd(g_driver, &err) < 0;
}

int close_driver(void **state)
{
	(void)state;
	lxc_driver_ops.close(g_driver);
	return 0;
}
