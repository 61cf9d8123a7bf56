/* btrfs, as far as the pool needs it: subvolumes by descriptor and name, commits, identity. Thin
 * calls of libbtrfsutil and of the ioctls it lacks; all return 0 or a negative errno. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define BTRFS_FSID_SIZE_ 16
#define BTRFS_FSID_TEXT	 37

/* Whether fd lies on btrfs. */
bool btrfs_is(int fd);

/* The file system's id, as bytes and as sysfs writes it. */
int btrfs_fsid(int fd, uint8_t ret[static BTRFS_FSID_SIZE_]);
void btrfs_fsid_format(
	const uint8_t fsid[static BTRFS_FSID_SIZE_], char buf[static BTRFS_FSID_TEXT]);

/* Number of the subvolume that fd lies in. */
int btrfs_subvolume_id(int fd, uint64_t *ret);

/* Makes an empty subvolume, or a snapshot of the subvolume `source`. -EEXIST. */
int btrfs_subvolume_create(int parent, const char *name);
int btrfs_subvolume_snapshot(int source, int parent, const char *name, bool read_only);

int btrfs_subvolume_set_read_only(int fd, bool read_only);

/* Deletes a subvolume and those nested in it, without waiting for the disk; its blocks are freed in
 * the background. `deleted` is told the number of each. -ENOENT when there is none. */
int btrfs_subvolume_delete(
	int parent, const char *name, void (*deleted)(void *data, uint64_t subvolume), void *data);

/* The transaction that made the subvolume that fd lies in; the last one committed that changed it.
 */
int btrfs_subvolume_made(int fd, uint64_t *ret);
int btrfs_subvolume_changed(int fd, uint64_t *ret);

/* 1 while blocks of deleted subvolumes are still being freed, 0 when they are. */
int btrfs_is_cleaning(int fd);

/* Commits the running transaction without writing out what is dirty in memory. */
int btrfs_commit(int fd);

/* Makes the file system as large as its one device has become. */
int btrfs_grow(int fd);
