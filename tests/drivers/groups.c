/* Control groups of ordinary files. */
#include "groups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

#define DIR_TEMPLATE "/tmp/corpus-test-groups-XXXXXX"

static char g_dir[sizeof(DIR_TEMPLATE)];
static struct cgroups g_groups;

const struct cgroups *groups(void)
{
	return &g_groups;
}

const struct cgroup *groups_guest(void)
{
	static struct cgroup group;

	assert_int_equal(cgroup_at(&g_groups, GROUPS_GUEST, &group), 0);
	return &group;
}

static void path_of(const char *file, char path[PATH_MAX])
{
	const char *slash = strchr(file, '/');

	assert_non_null(slash);
	snprintf(path, PATH_MAX, "%s/%.*s/" GROUPS_GUEST "/%s", g_dir, (int)(slash - file), file,
		slash + 1);
}

void groups_add(const char *name, bool v2, const char *controllers)
{
	struct cgroup_hierarchy *h = &g_groups.hierarchies[g_groups.count++];
	char path[PATH_MAX];

	snprintf(h->mount, sizeof(h->mount), "%s/%s", g_dir, name);
	snprintf(h->controllers, sizeof(h->controllers), "%s", controllers);
	h->v2 = v2;
	snprintf(path, sizeof(path), "%s/" GROUPS_GUEST, h->mount);
	assert_int_equal(file_mkdirs(path, 0755), 0);
}

void groups_put(const char *file, const char *text)
{
	char path[PATH_MAX], dir[PATH_MAX];

	path_of(file, path);
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	assert_int_equal(file_mkdirs(dir, 0755), 0);
	assert_int_equal(file_replace(path, text, 0600, false), 0);
}

void groups_remove(const char *file)
{
	char path[PATH_MAX];

	path_of(file, path);
	assert_int_equal(remove(path), 0);
}

void groups_jam(const char *file)
{
	char path[PATH_MAX];

	path_of(file, path);
	remove(path);
	assert_int_equal(mkdir(path, 0700), 0);
}

const char *groups_text(const char *file)
{
	static char text[256];
	char path[PATH_MAX], *all = NULL;

	path_of(file, path);
	assert_int_equal(file_read(path, sizeof(text) - 1, &all, NULL), 0);
	snprintf(text, sizeof(text), "%s", all);
	free(all);
	return text;
}

int groups_begin(void **state)
{
	(void)state;
	g_groups = (struct cgroups){0};
	strcpy(g_dir, DIR_TEMPLATE);
	return mkdtemp(g_dir) ? 0 : -1;
}

int groups_end(void **state)
{
	(void)state;
	return file_remove_tree(g_dir);
}
