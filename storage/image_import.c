/* Imports: an image comes to be under a hidden name, and gets its own when it is whole. */
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
#include "storage/image_disk.h"
#include "storage/pool.h"
#include "storage/source.h"

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
	fault_point("storage.image.begun");
	return r < 0 ? err_errno(err, r, "cannot begin the import") : 0;
}

/* A compressed archive is not larger than what it unpacks to, but for the headers of its entries.
 */
#define SLACK (1ULL << 30)

static int fill_tree(
	struct incoming *in, struct source *source, struct image *image, struct err *err)
{
	AUTOCLOSE int target = -1;
	struct unpack_result result;
	int r;

	if (mkdirat(in->fd, "rootfs", 0755) == 0)
		target = openat(in->fd, "rootfs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (target < 0)
		return err_errno(err, errno, "cannot begin the import");
	r = unpacker_run(in->storage, source, target, &result, err);
	if (r == 0)
		r = source_end(source, image->sha256, err);
	if (r < 0)
		return r;
	image->size = result.size;
	image->entries = result.entries;
	return 0;
}

static int fill(
	struct incoming *in, const struct image_source *from, struct image *image, struct err *err)
{
	AUTOFREE struct source *source = malloc(sizeof(*source));
	int r;

	if (!source)
		return err_errno(err, ENOMEM, "cannot begin the import");
	source_init(source, from, in->storage->image_max_size + SLACK);
	r = image->kind == IMAGE_DISK ? image_disk_fill(in->storage, in->fd, source, image, err)
				      : fill_tree(in, source, image, err);
	image->created_ms = clock_realtime_ms();
	return r;
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
		r = fill(&in, source, &image, err);
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
