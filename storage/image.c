/* Images: read-only subvolumes that volumes are cloned from. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/random.h"
#include "storage/btrfs.h"
#include "storage/pool.h"

DEFINE_CLEANUP(char **, names_free)

#define MIB (1ULL << 20)

/* What a file system's trees may take beside the files: a bound for archives of many small things,
 * enforced by the quota whatever the helper does. */
#define TREES_LEAST (64 * MIB)

/* --- An import under way --------------------------------------------------------------------- */

struct incoming {
	struct storage *storage;
	int dir;			       /* of images of its kind */
	char name[sizeof(POOL_INCOMING) + 16]; /* empty: none (any more) */
	int fd;				       /* of the subvolume */
};

static void incoming_finish(struct incoming *in)
{
	in->fd = fd_close(in->fd);
	if (!in->name[0])
		return;
	/* Should it fail, the next storage_open removes it. */
	int r = pool_delete(in->storage, in->dir, in->name);

	if (r < 0)
		log_warning(
			"storage.incoming.kept", "name=%s error=%s", in->name, LOG_Q(strerror(-r)));
}

static int limit_incoming(struct incoming *in)
{
	const struct storage *s = in->storage;
	uint64_t subvolume;
	int r = btrfs_subvolume_id(in->fd, &subvolume);

	if (r < 0)
		return r;
	return quota_set_limit(
		&s->quota, subvolume, s->image_max_size + s->image_max_size / 8 + TREES_LEAST);
}

static int incoming_begin(struct incoming *in, struct err *err)
{
	char random[17];
	int r;

	random_hex(random, 16);
	snprintf(in->name, sizeof(in->name), POOL_INCOMING "%s", random);
	r = btrfs_subvolume_create(in->dir, in->name);
	if (r == 0) {
		in->fd = openat(in->dir, in->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = in->fd < 0 ? -errno : limit_incoming(in);
	}
	if (r == 0 && mkdirat(in->fd, "rootfs", 0755) < 0)
		r = -errno;
	fault_point("storage.image.begun");
	return r < 0 ? err_errno(err, r, "cannot begin the import") : 0;
}

static int unpack(struct incoming *in, const struct image_source *source, struct image *image,
	struct err *err)
{
	AUTOCLOSE int target = openat(in->fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct unpack_result result;
	int r;

	if (target < 0)
		return err_errno(err, errno, "cannot begin the import");
	r = unpacker_run(in->storage, source, target, &result, err);
	if (r < 0)
		return r;
	if (source->whole && !source->whole(source->whole_data))
		return err_set(err, ERR_MALFORMED, NULL,
			"the transfer was cut before its end: send the archive again");
	memcpy(image->sha256, result.sha256, sizeof(image->sha256));
	image->size = result.size;
	image->entries = result.entries;
	image->created_ms = clock_realtime_ms();
	return 0;
}

/* All of it reaches the disk before it gets its name. */
static int seal(struct incoming *in, const struct image *image, struct err *err)
{
	struct quota_figures figures = {0};
	uint64_t subvolume = 0;
	int r = syncfs(in->fd) < 0 ? -errno : btrfs_subvolume_id(in->fd, &subvolume);

	if (r == 0)
		r = quota_read(&in->storage->quota, subvolume, &figures);
	if (r < 0)
		return err_errno(err, r, "cannot write the image to disk");
	r = image_meta_write(in->fd, image, figures.used, err);
	if (r < 0)
		return r;
	r = btrfs_subvolume_set_read_only(in->fd, true);
	fault_point("storage.image.sealed");
	return r < 0 ? err_errno(err, r, "cannot make the image read-only") : 0;
}

/* After an exchange `in` stands for the image that was replaced, and deletes that at its end. */
static int give_name(struct incoming *in, const char *name, bool replace, struct err *err)
{
	int dir = in->dir, r;

	if (renameat2(dir, in->name, dir, name, RENAME_NOREPLACE) == 0)
		in->name[0] = '\0';
	else if (errno != EEXIST)
		return err_errno(err, errno, "cannot give the image its name");
	else if (!replace)
		return err_set(err, ERR_EXISTS, "name", "image %s exists", name);
	else if (renameat2(dir, in->name, dir, name, RENAME_EXCHANGE) < 0)
		return err_errno(err, errno, "cannot replace image %s", name);
	fault_point("storage.image.named");
	r = btrfs_commit(in->storage->root);
	return r < 0 ? err_errno(err, r, "cannot write image %s to disk", name) : 0;
}

static int check_import(
	struct storage *s, const char *name, const struct image_source *source, struct err *err)
{
	int r = name_check_image(name, "name", err);

	if (r < 0)
		return r;
	if (source->kind != IMAGE_TREE)
		return err_set(err, ERR_UNSUPPORTED, "kind", "images of disks are not kept here");
	if (source->sha256 && (strlen(source->sha256) != 64 ||
				      strspn(source->sha256, "0123456789abcdefABCDEF") != 64))
		return err_set(err, ERR_INVALID, "sha256", "sha256 must be 64 hexadecimal digits");
	if (!source->replace &&
		faccessat(s->images[source->kind], name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(err, ERR_EXISTS, "name", "image %s exists", name);
	return pool_want_room(s, err);
}

int image_import(struct storage *storage, const char *name, const struct image_source *source,
	struct image *ret, struct err *err)
{
	CLEANUP(incoming_finish)
	struct incoming in = {.storage = storage, .dir = storage->images[source->kind], .fd = -1};
	struct image image = {.kind = source->kind};
	int r = check_import(storage, name, source, err);

	if (r < 0)
		return r;
	snprintf(image.name, sizeof(image.name), "%s", name);
	r = incoming_begin(&in, err);
	if (r == 0)
		r = unpack(&in, source, &image, err);
	if (r == 0)
		r = seal(&in, &image, err);
	if (r == 0)
		r = give_name(&in, name, source->replace, err);
	if (r < 0)
		return r;
	if (ret)
		*ret = image;
	return 0;
}

/* --- Those that are there -------------------------------------------------------------------- */

int image_get(struct storage *storage, enum image_kind kind, const char *name, struct image *ret,
	struct err *err)
{
	AUTOCLOSE int fd = -1;
	int r = name_check_image(name, "image", err);

	if (r < 0)
		return r;
	fd = openat(storage->images[kind], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "image", "there is no image %s of the kind %s",
			name, image_kind_to_string(kind));
	if (fd < 0)
		return err_errno(err, errno, "cannot open image %s", name);
	r = image_meta_read(fd, ret, NULL, err);
	if (r == 0)
		snprintf(ret->name, sizeof(ret->name), "%s", name);
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct image *left = a, *right = b;
	int order = strcmp(left->name, right->name);

	return order ? order : (int)left->kind - (int)right->kind;
}

struct images {
	struct image *all;
	size_t count;
};

static void images_finish(struct images *images)
{
	free(images->all);
}

static int add_image(struct images *images, const struct image *image)
{
	struct image *grown = reallocarray(images->all, images->count + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	images->all = grown;
	grown[images->count++] = *image;
	return 0;
}

static bool is_image(const char *name)
{
	return name[0] != '.';
}

static int add_kind(struct storage *s, enum image_kind kind, struct images *images)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(s->images[kind], is_image, &names);

	for (char **name = names; r == 0 && *name; name++) {
		struct image image;
		struct err why;

		if (image_get(s, kind, *name, &image, &why) == 0)
			r = add_image(images, &image);
		else
			log_warning("storage.image.skipped", "name=%s error=%s", LOG_Q(*name),
				LOG_Q(why.message));
	}
	return r;
}

int image_list(struct storage *storage, struct image **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(images_finish) struct images images = {0};
	int r = 0;

	for (enum image_kind kind = 0; r == 0 && kind < IMAGE_KIND_MAX_; kind++)
		r = add_kind(storage, kind, &images);
	if (r < 0)
		return err_errno(err, r, "cannot read the images of %s", storage->path);
	if (images.count)
		qsort(images.all, images.count, sizeof(*images.all), compare);
	*ret_count = images.count;
	*ret = TAKE_PTR(images.all);
	return 0;
}

int image_delete(struct storage *storage, enum image_kind kind, const char *name, struct err *err)
{
	int r = name_check_image(name, "image", err);

	if (r < 0)
		return r;
	r = pool_delete(storage, storage->images[kind], name);
	return r < 0 ? err_errno(err, r, "cannot delete image %s", name) : 0;
}
