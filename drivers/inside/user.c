/* Users as a guest knows them. */
#include "drivers/inside/user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

#define WHO_MAX	  256
#define TABLE_MAX (16 * 1024 * 1024) /* bytes; a bigger one is no table of users */

/* Opens a table; NULL when there is none. What is not a regular file is not waited for. */
static FILE *open_table(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	AUTOCLOSE int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	struct stat st;
	FILE *file;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > TABLE_MAX)
		return NULL;
	file = fdopen(fd, "r");
	if (file)
		TAKE_FD(fd);
	return file;
}

/* The number that a text is, else -1. */
static int64_t number(const char *text)
{
	uint64_t n;

	return parse_u64(text, UINT32_MAX - 1, &n) == 0 ? (int64_t)n : -1;
}

/* Fills uid, gid and home, and the name for the search of groups. */
static bool find_user(int root, const char *text, struct user *ret, char name[static WHO_MAX])
{
	CLEANUP(fclosep) FILE *table = open_table(root, "etc/passwd");
	int64_t uid = number(text);
	struct passwd *p;

	while (table && (p = fgetpwent(table))) {
		if (strcmp(p->pw_name, text) != 0 && (int64_t)p->pw_uid != uid)
			continue;
		ret->uid = p->pw_uid;
		ret->gid = p->pw_gid;
		snprintf(ret->home, sizeof(ret->home), "%s", p->pw_dir);
		snprintf(name, WHO_MAX, "%s", p->pw_name);
		return true;
	}
	return false;
}

/* Without a table of users there is still root; and numbers need no table. */
static int find_unknown(const char *text, struct user *ret, struct err *err)
{
	int64_t uid = strcmp(text, "root") == 0 ? 0 : number(text);

	if (uid < 0)
		return err_set(err, ERR_INVALID, "user", "the guest has no user \"%s\"", text);
	ret->uid = (uid_t)uid;
	ret->gid = (gid_t)uid;
	snprintf(ret->home, sizeof(ret->home), "%s", uid == 0 ? "/root" : "/");
	return 0;
}

static int find_group(int root, const char *text, gid_t *ret, struct err *err)
{
	CLEANUP(fclosep) FILE *table = open_table(root, "etc/group");
	int64_t gid = number(text);
	struct group *g;

	while (table && (g = fgetgrent(table)))
		if (strcmp(g->gr_name, text) == 0) {
			*ret = g->gr_gid;
			return 0;
		}
	if (gid < 0)
		return err_set(err, ERR_INVALID, "user", "the guest has no group \"%s\"", text);
	*ret = (gid_t)gid;
	return 0;
}

static bool has_member(const struct group *g, const char *name)
{
	for (char **m = g->gr_mem; *m; m++)
		if (strcmp(*m, name) == 0)
			return true;
	return false;
}

static void find_groups_of(int root, const char *name, struct user *ret)
{
	CLEANUP(fclosep) FILE *table = open_table(root, "etc/group");
	struct group *g;

	while (table && ret->groups_count < USER_GROUPS_MAX && (g = fgetgrent(table)))
		if (has_member(g, name))
			ret->groups[ret->groups_count++] = g->gr_gid;
}

int user_find(int root, const char *who, struct user *ret, struct err *err)
{
	char text[WHO_MAX], name[WHO_MAX] = "", *group;
	bool known;
	int r;

	*ret = (struct user){0};
	if ((size_t)snprintf(text, sizeof(text), "%s", who ? who : "root") >= sizeof(text))
		return err_set(err, ERR_INVALID, "user", "the name of the user is too long");
	group = strchr(text, ':');
	if (group)
		*group++ = '\0';
	known = find_user(root, text, ret, name);
	r = known ? 0 : find_unknown(text, ret, err);
	if (r < 0)
		return r;
	if (group)
		return find_group(root, group, &ret->gid, err);
	if (known)
		find_groups_of(root, name, ret);
	return 0;
}
