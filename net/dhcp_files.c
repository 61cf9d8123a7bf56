/* The files that tell dnsmasq about guests. */
#include "net/dhcp_files.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "net/dhcp.h"

#define DIR_MODE 0755
#define LOCAL	 "local"

/* A folder with a file for each guest. */
static char *render_reservation(const struct net_guest *guest, const char *domain)
{
	(void)domain;
	return dhcp_render_reservation(guest);
}

static const struct {
	const char *name;
	char *(*render)(const struct net_guest *guest, const char *domain);
} g_folders[] = {
	{"names", dhcp_render_names},
	{"dhcp", render_reservation},
};

int dhcp_files_read(const struct dhcp_files *files, const char *name, char **ret)
{
	char path[PATH_MAX];
	int r = file_path(path, sizeof(path), "%s/%s", files->dir, name);

	return r < 0 ? r : file_read(path, DHCP_FILE_MAX, ret, NULL);
}

/* Writes the list of names that are answered here only. */
static int write_local(const struct dhcp_files *files, char *text, struct dhcp_files_changes *ret)
{
	AUTOFREE char *owned = text;
	AUTOFREE char *now = NULL;
	char path[PATH_MAX];
	int r;

	if (!owned)
		return -ENOMEM;
	if (dhcp_files_read(files, LOCAL, &now) == 0 && strcmp(now, owned) == 0)
		return 0;
	r = file_path(path, sizeof(path), "%s/" LOCAL, files->dir);
	if (r == 0)
		r = file_replace(path, owned, DHCP_FILE_MODE, false);
	ret->local += r == 0;
	return r;
}

static void add_local(struct strbuf *buf, const char *line)
{
	strbuf_add(buf, line ? line : "");
	buf->failed |= !line;
}

static int sync_local(const struct dhcp_files *files, const struct net_guest *guests, size_t count,
	struct dhcp_files_changes *ret)
{
	struct strbuf buf = {0};

	strbuf_add(&buf, "");
	for (size_t i = 0; i < count; i++) {
		AUTOFREE char *line = dhcp_render_local(&guests[i], files->domain);

		add_local(&buf, line);
	}
	return write_local(files, strbuf_take(&buf), ret);
}

/* Copies all lines but one. */
static void copy_without(struct strbuf *buf, const char *text, const char *line)
{
	while (*text) {
		size_t size = strcspn(text, "\n");

		size += text[size] == '\n';
		if (size != strlen(line) || strncmp(text, line, size) != 0)
			strbuf_add_bytes(buf, text, size);
		text += size;
	}
}

/* Takes one guest's name out of the list, and puts it in again with `add`. */
static int change_local(const struct dhcp_files *files, const struct net_guest *guest, bool add,
	struct dhcp_files_changes *ret)
{
	AUTOFREE char *now = NULL;
	AUTOFREE char *line = dhcp_render_local(guest, files->domain);
	struct strbuf buf = {0};

	if (!line)
		return -ENOMEM;
	strbuf_add(&buf, "");
	if (dhcp_files_read(files, LOCAL, &now) == 0)
		copy_without(&buf, now, line);
	if (add)
		strbuf_add(&buf, line);
	return write_local(files, strbuf_take(&buf), ret);
}

/* Puts a file where dnsmasq looks, whole: it is made outside, for dnsmasq reads every file that
 * appears there, and then moved in. */
static int place(const struct dhcp_files *files, const char *folder, const char *id,
	const char *text, struct dhcp_files_changes *ret)
{
	AUTOFREE char *now = NULL;
	char path[PATH_MAX], staged[PATH_MAX];
	int r;

	if (!text)
		return -ENOMEM;
	if (file_path(path, sizeof(path), "%s/%s/%s", files->dir, folder, id) < 0 ||
		file_path(staged, sizeof(staged), "%s/staged-%s", files->dir, id) < 0)
		return -ENAMETOOLONG;
	if (file_read(path, DHCP_FILE_MAX, &now, NULL) == 0 && strcmp(now, text) == 0)
		return 0;
	r = file_replace(staged, text, DHCP_FILE_MODE, false);
	if (r == 0 && rename(staged, path) < 0)
		r = -errno;
	ret->placed += r == 0;
	return r;
}

static int place_guest(const struct dhcp_files *files, const struct net_guest *guest,
	struct dhcp_files_changes *ret)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(g_folders) && r == 0; i++) {
		AUTOFREE char *text = g_folders[i].render(guest, files->domain);

		r = place(files, g_folders[i].name, guest->id, text, ret);
	}
	return r;
}

static int remove_file(const struct dhcp_files *files, const char *folder, const char *id,
	struct dhcp_files_changes *ret)
{
	char path[PATH_MAX];
	int r = file_path(path, sizeof(path), "%s/%s/%s", files->dir, folder, id);

	if (r == 0 && unlink(path) < 0)
		return errno == ENOENT ? 0 : -errno;
	ret->removed += r == 0;
	return r;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char **sorted_ids(const struct net_guest *guests, size_t count)
{
	const char **ids = calloc(count + 1, sizeof(*ids));

	if (!ids)
		return NULL;
	for (size_t i = 0; i < count; i++)
		ids[i] = guests[i].id;
	qsort(ids, count, sizeof(*ids), compare_ids);
	return ids;
}

/* Removes the files of all but these guests. */
static int remove_others(const struct dhcp_files *files, const char *folder, const char **ids,
	size_t count, struct dhcp_files_changes *ret)
{
	CLEANUP(closedirp) DIR *dir = NULL;
	char path[PATH_MAX];
	struct dirent *entry;
	int r = file_path(path, sizeof(path), "%s/%s", files->dir, folder);

	dir = r < 0 ? NULL : opendir(path);
	if (!dir)
		return r < 0 ? r : -errno;
	while (r == 0 && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (name[0] != '.' && !bsearch(&name, ids, count, sizeof(*ids), compare_ids))
			r = remove_file(files, folder, name, ret);
	}
	return r;
}

/* Whatever the umask is. */
static int make_folder(const char *path)
{
	int r = file_mkdirs(path, DIR_MODE);

	return r < 0 ? r : chmod(path, DIR_MODE) < 0 ? -errno : 0;
}

static int make_folders(const struct dhcp_files *files)
{
	int r = make_folder(files->dir);

	for (size_t i = 0; i < ARRAY_SIZE(g_folders) && r == 0; i++) {
		char path[PATH_MAX];

		r = file_path(path, sizeof(path), "%s/%s", files->dir, g_folders[i].name);
		if (r == 0)
			r = make_folder(path);
	}
	return r;
}

int dhcp_files_sync(const struct dhcp_files *files, const struct net_guest *guests, size_t count,
	struct dhcp_files_changes *ret)
{
	AUTOFREE const char **ids = sorted_ids(guests, count);
	int r = ids ? make_folders(files) : -ENOMEM;

	for (size_t i = 0; i < ARRAY_SIZE(g_folders) && r == 0; i++)
		r = remove_others(files, g_folders[i].name, ids, count, ret);
	for (size_t i = 0; i < count && r == 0; i++)
		r = place_guest(files, &guests[i], ret);
	return r < 0 ? r : sync_local(files, guests, count, ret);
}

int dhcp_files_add(const struct dhcp_files *files, const struct net_guest *guest,
	struct dhcp_files_changes *ret)
{
	int r = place_guest(files, guest, ret);

	return r < 0 ? r : change_local(files, guest, true, ret);
}

int dhcp_files_remove(const struct dhcp_files *files, const struct net_guest *guest,
	struct dhcp_files_changes *ret)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(g_folders) && r == 0; i++)
		r = remove_file(files, g_folders[i].name, guest->id, ret);
	return r < 0 ? r : change_local(files, guest, false, ret);
}
