/* What the files of this folder share: the open pool. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/image.h"
#include "storage/quota.h"
#include "storage/storage.h"

/* Before the name of what is not complete: in images/KIND/, in volumes/. */
#define POOL_INCOMING ".incoming-"
#define POOL_CLONING  ".cloning-"
/* What a restore put aside, in volumes/. */
#define POOL_REPLACED ".replaced-"

/* Those kinds of images before it are kept in the pool. */
#define POOL_IMAGE_KINDS IMAGE_OCI

struct storage {
	char *path;
	char *loop_file; /* NULL: the pool is a directory on somebody's btrfs */
	uint64_t loop_max;
	char *unpack_helper;
	uint64_t image_max_size, image_max_entries;
	int root, volumes, snapshots; /* directories */
	int images[POOL_IMAGE_KINDS]; /* one for each kind */
	struct quota quota;
	bool own; /* the file system is wholly ours */
};

/* Deletes a subvolume below `parent` with its quota; absent is success. */
int pool_delete(struct storage *storage, int parent, const char *name);

/* ERR_NO_ROOM unless the pool has room for something new, after growing it if that helps. */
int pool_want_room(struct storage *storage, struct err *err);

/* Bytes that the pool can ever hold. */
int pool_most(struct storage *storage, uint64_t *ret, struct err *err);

/* meta.json beside a root file system or a disk: which image it is. */
int image_meta_write(int dir, const struct image *image, uint64_t base, struct err *err);
/* The same where there is one already. No crash between may matter. */
int image_meta_rewrite(int dir, const struct image *image, uint64_t base, struct err *err);
/* Reads it; `name` is not in it. `ret_base` (may be NULL) are the bytes that classic quotas charge
 * every clone for sharing the image. */
int image_meta_read(int dir, struct image *ret, uint64_t *ret_base, struct err *err);

/* The directory of an image whose name was checked, and what it is; its name is not in *ret. */
int image_open(const struct storage *storage, enum image_kind kind, const char *name,
	struct image *ret, struct err *err);

/* Names in a directory that are `wanted`, sorted: a NULL-terminated array, each and the array to be
 * freed with free(). */
int names_read(int dir, bool (*wanted)(const char *name), char ***ret);
void names_free(char **names);

/* Runs the confined helper on what `source` yields, unpacking into the directory `target`. */
struct source;
struct unpack_result {
	uint64_t size, entries;
};
int unpacker_run(const struct storage *storage, struct source *source, int target,
	struct unpack_result *ret, struct err *err);
