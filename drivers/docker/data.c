/* The data of a container. */
#include "drivers/docker/data.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/btrfs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/strv.h"
#include "drivers/docker/define.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/driver.h"

#define FIELD "container.data"

/* --- Paths ------------------------------------------------------------------------------------ */

/* What is there, or below, is Docker's, the kernel's or ours. */
static const char *const TAKEN[] = {"/proc", "/sys", "/dev", GATE_DIR, GATE_PROGRAM, "/etc/hosts",
	"/etc/hostname", "/etc/resolv.conf"};

static bool is_taken(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(TAKEN); i++) {
		size_t n = strlen(TAKEN[i]);

		if (strncmp(path, TAKEN[i], n) == 0 && (path[n] == '\0' || path[n] == '/'))
			return true;
	}
	return false;
}

/* "//srv/./www/" is "/srv/www". NULL where it goes upwards, is / itself or is no path. */
static char *clean(const char *path)
{
	CLEANUP(strbuf_finish) struct strbuf b = {0};

	if (path[0] != '/')
		return NULL;
	for (const char *at = path; *at;) {
		size_t n;

		at += strspn(at, "/");
		n = strcspn(at, "/");
		if (n == 2 && at[0] == '.' && at[1] == '.')
			return NULL;
		if (n > 0 && !(n == 1 && at[0] == '.'))
			strbuf_addf(&b, "/%.*s", (int)n, at);
		at += n;
	}
	return strbuf_take(&b);
}

static int add(json_t *set, const char *path, const char *of, struct err *err)
{
	AUTOFREE char *cleaned = clean(path);
	char name[DATA_NAME_MAX];

	if (!cleaned || !cleaned[0] || is_taken(cleaned))
		return err_set(err, ERR_INVALID, FIELD,
			"%s, %s, cannot lie on the guest's volume: expected an absolute path other "
			"than / and what is Docker's own",
			path, of);
	if (data_name(cleaned, name, err) < 0)
		return -EINVAL;
	return json_object_set_new(set, cleaned, json_null()) < 0
		       ? err_errno(err, ENOMEM, "no memory for a container")
		       : 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list(json_t *set, char ***ret, struct err *err)
{
	CLEANUP(strv_freep) char **paths = calloc(json_object_size(set) + 1, sizeof(*paths));
	const char *path;
	json_t *value;
	size_t n = 0;

	json_object_foreach (set, path, value)
		if (paths && !(paths[n++] = strdup(path)))
			return err_errno(err, ENOMEM, "no memory for a container");
	if (!paths)
		return err_errno(err, ENOMEM, "no memory for a container");
	qsort(paths, n, sizeof(*paths), compare);
	*ret = TAKE_PTR(paths);
	return 0;
}

int data_paths(const struct driver_guest *guest, const json_t *config, char ***ret, struct err *err)
{
	json_t *set = json_object(), *value;
	const char *const *own = guest->container->data_paths;
	const char *path;
	int r = set ? 0 : err_errno(err, ENOMEM, "no memory for a container");

	for (size_t i = 0; own && own[i] && r == 0; i++)
		r = add(set, own[i], "a path of " FIELD, err);
	json_object_foreach (json_object_get(config, "Volumes"), path, value)
		if (r == 0)
			r = add(set, path, "which the image declares as a volume", err);
	if (r == 0)
		r = list(set, ret, err);
	json_decref(set);
	return r;
}

int data_name(const char *path, char ret[static DATA_NAME_MAX], struct err *err)
{
	size_t n = 0;

	for (const char *p = path + 1; *p; p++) {
		bool escaped = *p == '/' || *p == '%';

		if (n + (escaped ? 3 : 1) >= DATA_NAME_MAX)
			return err_set(
				err, ERR_INVALID, FIELD, "the path %.80s… is too long", path);
		if (escaped)
			n += (size_t)snprintf(ret + n, DATA_NAME_MAX - n, "%%%02X", *p);
		else
			ret[n++] = *p;
	}
	ret[n] = '\0';
	return 0;
}

/* --- Volumes ---------------------------------------------------------------------------------- */

static int device_of(const struct driver_guest *guest, const char *name, char path[static PATH_MAX],
	struct err *err)
{
	return file_path(path, PATH_MAX, "%s/%s", guest->container->data, name) < 0
		       ? err_set(err, ERR_INVALID, FIELD,
				 "the path of the guest's data is too long")
		       : 0;
}

/* Which subvolume of btrfs that is; 0: none that is known. After a restore another one has the
 * path. A success may be 1. */
static uint64_t subvolume_of(const char *path)
{
	struct btrfs_ioctl_get_subvol_info_args info = {0};
	AUTOCLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) >= 0 ? info.treeid : 0;
}

/* dockerd may hold on to a mount of what was at the path before. */
const char *data_volume(
	const struct driver_guest *guest, const char *name, char buf[static DATA_VOLUME_MAX])
{
	char path[PATH_MAX], identity[PATH_MAX + 32];

	if (device_of(guest, name, path, NULL) < 0)
		path[0] = '\0';
	snprintf(identity, sizeof(identity), "%" PRIu64 " %s",
		guest->container->data ? subvolume_of(guest->container->data) : 0, path);
	snprintf(buf, DATA_VOLUME_MAX, "corpus-%s-%016" PRIx64, guest->id, define_hash(identity));
	return buf;
}

static int add_mount(const struct driver_guest *guest, const char *path, json_t *labels,
	json_t *mounts, struct err *err)
{
	char name[DATA_NAME_MAX], device[PATH_MAX], volume[DATA_VOLUME_MAX];
	json_t *mount;
	int r = data_name(path, name, err);

	if (r == 0)
		r = device_of(guest, name, device, err);
	if (r < 0)
		return r;
	mount = json_pack("{s:s, s:s, s:s, s:{s:O, s:{s:s, s:{s:s, s:s, s:s}}}}", "Type", "volume",
		"Source", data_volume(guest, name, volume), "Target", path, "VolumeOptions",
		"Labels", labels, "DriverConfig", "Name", "local", "Options", "type", "none", "o",
		"bind", "device", device);
	return json_array_append_new(mounts, mount) < 0
		       ? err_set(err, ERR_INVALID, FIELD, "%s cannot be told to Docker", path)
		       : 0;
}

int data_mounts(const struct driver_guest *guest, char *const *paths, json_t *labels, json_t **ret,
	struct err *err)
{
	json_t *mounts = json_array();
	int r = mounts ? 0 : err_errno(err, ENOMEM, "no memory for a container");

	for (size_t i = 0; paths && paths[i] && r == 0; i++)
		r = add_mount(guest, paths[i], labels, mounts, err);
	if (r < 0) {
		json_decref(mounts);
		return r;
	}
	*ret = mounts;
	return 0;
}

/* --- Directories ------------------------------------------------------------------------------ */

static int open_data(const struct driver_guest *guest, struct err *err)
{
	const char *data = guest->container->data;
	int fd = open(data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? err_errno(err, errno, "cannot open %s", data) : fd;
}

int data_prepare(const struct driver_guest *guest, char *const *paths, struct err *err)
{
	char name[DATA_NAME_MAX];

	if (!paths || !paths[0])
		return 0;

	AUTOCLOSE int data = open_data(guest, err);

	if (data < 0)
		return data;
	for (size_t i = 0; paths[i]; i++) {
		int r = data_name(paths[i], name, err);

		if (r < 0)
			return r;
		if (mkdirat(data, name, 0755) < 0 && errno != EEXIST)
			return err_errno(
				err, errno, "cannot make %s/%s", guest->container->data, name);
	}
	return 0;
}

#define MAP_MAX 4096

/* Whom the node takes the container's root for: the first line of what user_namespaces(7) tells. */
static uint32_t root_of(pid_t pid, const char *map)
{
	AUTOFREE char *text = NULL;
	char path[64];
	unsigned inside = 0, outside = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, map);
	if (file_read(path, MAP_MAX, &text, NULL) < 0 ||
		sscanf(text, "%u %u", &inside, &outside) != 2 || inside != 0)
		return 0;
	return outside;
}

/* What the guest has given to somebody itself stays so. */
static int give(int data, const char *name, uid_t uid, gid_t gid, struct err *err)
{
	AUTOCLOSE int fd = openat(data, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != 0)
		return 0;
	return fchown(fd, uid, gid) < 0
		       ? err_errno(err, errno, "cannot give the guest its data %s", name)
		       : 0;
}

int data_give(const struct driver_guest *guest, pid_t pid, struct err *err)
{
	uint32_t uid = root_of(pid, "uid_map"), gid = root_of(pid, "gid_map");
	const struct dirent *e;
	int r = 0;

	if (uid == 0 || !guest->container->data)
		return 0;

	CLEANUP(closedirp) DIR *dir = opendir(guest->container->data);

	if (!dir)
		return err_errno(err, errno, "cannot open %s", guest->container->data);
	while (r == 0 && (e = readdir(dir)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			r = give(dirfd(dir), e->d_name, uid, gid, err);
	return r;
}
