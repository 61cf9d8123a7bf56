/* What drivers without real guests are tested in. */
#include "plain.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

static char g_dir[] = "/tmp/corpus-test-driver-XXXXXX";

void plain_enter(void)
{
	if (!mkdtemp(g_dir)) {
		perror(g_dir);
		exit(1);
	}
}

const char *plain_dir(void)
{
	return g_dir;
}

struct driver_config plain_config(void)
{
	static char state[PATH_MAX], run[PATH_MAX];

	snprintf(state, sizeof(state), "%s/state", g_dir);
	snprintf(run, sizeof(run), "%s/run", g_dir);
	return (struct driver_config){.state_dir = state, .run_dir = run, .log_dir = run};
}

const char *plain_rootfs(enum rootfs_kind kind)
{
	static char paths[ROOTFS_KINDS][PATH_MAX];
	char file[4 * PATH_MAX];

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

void plain_leave(void)
{
	file_remove_tree(g_dir);
}
