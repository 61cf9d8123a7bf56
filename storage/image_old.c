/* Images as agents before 0.3 kept them, in images/NAME: there was one kind only. They become
 * images/tree/NAME.
 *
 * An image may have had the name of a kind, so all are first set apart under hidden names, which
 * can be done to a read-only subvolume; only while it moves to another directory it is writable. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/log.h"
#include "storage/btrfs.h"
#include "storage/pool.h"

#define APART ".moving-"

DEFINE_CLEANUP(char **, names_free)

static bool is_candidate(const char *name)
{
	return name[0] != '.';
}

static bool is_apart(const char *name)
{
	return strncmp(name, APART, strlen(APART)) == 0;
}

static bool is_image(int images, const char *name)
{
	char path[IMAGE_NAME_MAX + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s/meta.json", name);
	return strlen(name) <= IMAGE_NAME_MAX &&
	       fstatat(images, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int set_apart(int images)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(images, is_candidate, &names);

	for (char **name = names; r == 0 && *name; name++) {
		char apart[IMAGE_NAME_MAX + sizeof(APART)];

		if (!is_image(images, *name))
			continue;
		snprintf(apart, sizeof(apart), APART "%s", *name);
		if (renameat(images, *name, images, apart) < 0)
			r = -errno;
		fault_point("storage.image.apart");
	}
	return r;
}

static int move(int images, int trees, const char *apart)
{
	const char *name = apart + strlen(APART);
	AUTOCLOSE int fd = openat(images, apart, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? -errno : btrfs_subvolume_set_read_only(fd, false);

	if (r < 0)
		return r;
	fault_point("storage.image.unsealed");
	if (renameat2(images, apart, trees, name, RENAME_NOREPLACE) < 0)
		return -errno;
	log_info("storage.image.moved", "name=%s", name);
	return btrfs_subvolume_set_read_only(fd, true);
}

static int move_apart(int images)
{
	CLEANUP(names_freep) char **names = NULL;
	AUTOCLOSE int trees = -1;
	int r = names_read(images, is_apart, &names);

	if (r < 0 || !names[0])
		return r;
	if (mkdirat(images, "tree", 0700) < 0 && errno != EEXIST)
		return -errno;
	trees = openat(images, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = trees < 0 ? -errno : 0;
	for (char **name = names; r == 0 && *name; name++)
		r = move(images, trees, *name);
	return r;
}

int image_move_old(struct storage *storage)
{
	AUTOCLOSE int images = openat(storage->root, "images", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (images < 0)
		return errno == ENOENT ? 0 : -errno;
	r = set_apart(images);
	return r < 0 ? r : move_apart(images);
}
