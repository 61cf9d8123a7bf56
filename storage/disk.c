/* The block device under the pool, as cgroups want it named. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "storage/btrfs.h"
#include "storage/pool.h"

DEFINE_CLEANUP(char **, names_free)

static bool is_device(const char *name)
{
	return name[0] != '.';
}

/* The disk that a device of the file system is, or is a partition of: the kernel limits whole disks
 * only. */
static int read_number(int devices, const char *name, char *buf, size_t size)
{
	char path[NAME_MAX + 16];
	AUTOFREE char *text = NULL;
	int r;

	snprintf(path, sizeof(path), "%s/partition", name);
	snprintf(path, sizeof(path),
		faccessat(devices, path, F_OK, 0) == 0 ? "%s/../dev" : "%s/dev", name);
	r = file_read_at(devices, path, size, &text, NULL);
	if (r < 0)
		return r;
	text[strcspn(text, "\n")] = '\0';
	return file_path(buf, size, "%s", text);
}

static int find(const struct storage *s, char *buf, size_t size)
{
	CLEANUP(names_freep) char **names = NULL;
	AUTOCLOSE int devices = -1;
	uint8_t fsid[BTRFS_FSID_SIZE_];
	char text[BTRFS_FSID_TEXT], path[96];
	int r = btrfs_fsid(s->root, fsid);

	if (r < 0)
		return r;
	btrfs_fsid_format(fsid, text);
	snprintf(path, sizeof(path), "/sys/fs/btrfs/%s/devices", text);
	devices = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (devices < 0)
		return -errno;
	r = names_read(devices, is_device, &names);
	if (r < 0)
		return r;
	return names[0] ? read_number(devices, names[0], buf, size) : -ENODEV;
}

int storage_disk(struct storage *storage, char *buf, size_t size, struct err *err)
{
	int r = find(storage, buf, size);

	return r < 0 ? err_errno(err, r, "cannot find the disk under %s", storage->path) : 0;
}
