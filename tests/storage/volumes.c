/* Two guests' volumes. */
#include "volumes.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "storage/btrfs.h"

const char *in_volume(const char *id, enum volume_part part, const char *name)
{
	static char paths[8][256];
	static unsigned turn;
	char *path = paths[turn++ % ARRAY_SIZE(paths)], root[160];

	assert_int_equal(volume_path(g_f.storage, id, part, root, sizeof(root)), 0);
	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

void make_volume(uint64_t size)
{
	fixture_import(&g_f, "little");
	assert_ok(volume_create(g_f.storage, ID, IMAGE_TREE, "little", size, NULL, &g_err));
}

void make_nested(const char *path)
{
	char parent[256];
	int fd;

	strcpy(parent, path);
	*strrchr(parent, '/') = '\0';
	fd = open(parent, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	assert_int_equal(btrfs_subvolume_create(fd, strrchr(path, '/') + 1), 0);
	close(fd);
}

void say(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(file_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

void assert_says(const char *path, const char *text)
{
	AUTOFREE char *found = NULL;

	assert_int_equal(file_read(path, 100, &found, NULL), 0);
	assert_string_equal(found, text);
}

bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

void assert_snapshots(const char *id, const char *wanted)
{
	char joined[256] = "", **names;

	assert_ok(snapshot_list(g_f.storage, id, &names, &g_err));
	for (char **name = names; *name; name++) {
		strcat(strcat(joined, joined[0] ? " " : ""), *name);
		free(*name);
	}
	free(names);
	assert_string_equal(joined, wanted);
}
