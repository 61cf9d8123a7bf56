/* The fake driver passes the conformance suite, in process and across the boundary. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "conformance/conformance.h"
#include "drivers/fake/fake.h"
#include "drivers/fake/process.h"

static char g_dir[] = "/tmp/corpus-test-fake-XXXXXX";

static const char *rootfs(enum rootfs_kind kind)
{
	static char paths[3][PATH_MAX];
	char file[sizeof(paths) + 32];

	snprintf(paths[kind], PATH_MAX, "%s/rootfs-%d", g_dir, kind);
	snprintf(file, sizeof(file), "%s/sbin", paths[kind]);
	file_mkdirs(file, 0755);
	snprintf(file, sizeof(file), "%s/etc", paths[kind]);
	file_mkdirs(file, 0755);
	snprintf(file, sizeof(file), "%s/sbin/init", paths[kind]);
	if (kind != ROOTFS_NO_INIT)
		file_replace(file, "", 0755, false);
	snprintf(file, sizeof(file), "%s/etc/ignore-shutdown", paths[kind]);
	if (kind == ROOTFS_STUBBORN)
		file_replace(file, "", 0644, false);
	return paths[kind];
}

static const char *leftovers(const char *id, bool defined)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/run/%s.pid", g_dir, id);
	if (defined ? fake_process_pid(path) > 0 : access(path, F_OK) == 0)
		return path;
	snprintf(path, sizeof(path), "%s/state/%s.json", g_dir, id);
	return !defined && access(path, F_OK) == 0 ? path : NULL;
}

int main(void)
{
	static const struct crash_point points[] = {
		{CRASH_DESTROY, "driver.fake.destroy.killed"},
		{0, NULL},
	};
	char state[PATH_MAX], run[PATH_MAX];
	struct environment e = {.rootfs = rootfs, .leftovers = leftovers, .crash_points = points};
	int failed;

	if (!mkdtemp(g_dir))
		return 1;
	snprintf(state, sizeof(state), "%s/state", g_dir);
	snprintf(run, sizeof(run), "%s/run", g_dir);
	e.config = (struct driver_config){.state_dir = state, .run_dir = run, .log_dir = run};
	e.ops = &fake_driver_ops;
	failed = conformance_run("fake in process", &e);
	e.ops = NULL;
	e.program = FAKE_PROGRAM;
	failed += conformance_run("fake across the boundary", &e);
	file_remove_tree(g_dir);
	return failed;
}
