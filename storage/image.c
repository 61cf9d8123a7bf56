/* Images: read-only subvolumes that volumes are cloned from. image_import.c makes them. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/pool.h"

DEFINE_CLEANUP(char **, names_free)

/* Others are in the care of a driver's daemon. */
static int check_name(enum image_kind kind, const char *name, struct err *err)
{
	if (kind >= POOL_IMAGE_KINDS)
		return err_set(err, ERR_UNSUPPORTED, "kind",
			"images of the kind %s are not kept in the pool",
			image_kind_to_string(kind));
	return name_check_image(name, "image", err);
}

int image_open(const struct storage *storage, enum image_kind kind, const char *name,
	struct image *ret, struct err *err)
{
	AUTOCLOSE int fd = openat(
		storage->images[kind], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "image", "there is no image %s of the kind %s",
			name, image_kind_to_string(kind));
	if (fd < 0)
		return err_errno(err, errno, "cannot open image %s", name);
	r = image_meta_read(fd, ret, NULL, err);
	return r < 0 ? r : TAKE_FD(fd);
}

int image_get(struct storage *storage, enum image_kind kind, const char *name, struct image *ret,
	struct err *err)
{
	AUTOCLOSE int fd = -1;
	int r = check_name(kind, name, err);

	if (r < 0)
		return r;
	fd = image_open(storage, kind, name, ret, err);
	if (fd < 0)
		return fd;
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	return 0;
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

	for (enum image_kind kind = 0; r == 0 && kind < POOL_IMAGE_KINDS; kind++)
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
	int r = check_name(kind, name, err);

	if (r < 0)
		return r;
	r = pool_delete(storage, storage->images[kind], name);
	return r < 0 ? err_errno(err, r, "cannot delete image %s", name) : 0;
}
