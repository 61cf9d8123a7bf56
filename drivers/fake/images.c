/* Images that the fake driver pretends to keep, see images.h. */
#include "drivers/fake/images.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/file.h"
#include "drivers/fake/work.h"
#include "drivers/protocol/value.h"

#define IMAGES_MAX (1 << 20)
#define PULL_SIZE  (4 << 20)
#define PULL_PARTS 4

/* What is known, {name: {id, size, created_ms}}, locked until it is let go. */
struct images {
	char path[PATH_MAX];
	int lock;
	json_t *all;
};

static void images_finish(struct images *images)
{
	json_decref(images->all);
	fd_close(images->lock);
}

static int images_open(const struct fake *f, struct images *ret, struct err *err)
{
	AUTOFREE char *text = NULL;

	*ret = (struct images){.lock = open(f->dirs.run, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	if (ret->lock < 0 || flock(ret->lock, LOCK_EX) < 0 ||
		file_path(ret->path, sizeof(ret->path), "%s/images.json", f->dirs.state) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "cannot lock the images");
	if (file_read(ret->path, IMAGES_MAX, &text, NULL) < 0)
		ret->all = json_object();
	else if (value_parse(text, &ret->all, err) < 0)
		return -EINVAL;
	return ret->all ? 0 : err_errno(err, ENOMEM, "no memory for images");
}

static int images_save(const struct images *images, struct err *err)
{
	AUTOFREE char *text = json_dumps(images->all, JSON_SORT_KEYS);
	int r = text ? file_replace(images->path, text, 0600, false) : -ENOMEM;

	return r < 0 ? err_errno(err, r, "cannot write %s", images->path) : 0;
}

/* As Docker completes it. */
static void whole_name(const char *name, char ret[static IMAGE_NAME_MAX + 1])
{
	const char *slash = strrchr(name, '/');
	bool tagged = strpbrk(slash ? slash : name, ":@");

	snprintf(ret, IMAGE_NAME_MAX + 1, "%s%s", name, tagged ? "" : ":latest");
}

static struct driver_image told(const char *name, const json_t *known)
{
	struct driver_image image = {
		.size = (uint64_t)json_integer_value(json_object_get(known, "size")),
		.created_ms = json_integer_value(json_object_get(known, "created_ms"))};
	const char *id = json_string_value(json_object_get(known, "id"));

	snprintf(image.name, sizeof(image.name), "%s", name);
	snprintf(image.id, sizeof(image.id), "%s", id ? id : "");
	return image;
}

static int give(const struct images *images, const char *name, struct driver_image **ret,
	size_t *ret_count, struct err *err)
{
	const json_t *known = json_object_get(images->all, name);

	if (!known)
		return err_set(err, ERR_NOT_FOUND, "image", "there is no image %s here", name);
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return err_errno(err, ENOMEM, "no memory for an image");
	**ret = told(name, known);
	*ret_count = 1;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct driver_image *one = a, *other = b;

	return strcmp(one->name, other->name);
}

static int give_all(
	const struct images *images, struct driver_image **ret, size_t *ret_count, struct err *err)
{
	struct driver_image *list = calloc(json_object_size(images->all) + 1, sizeof(*list));
	const char *name;
	json_t *known;
	size_t count = 0;

	if (!list)
		return err_errno(err, ENOMEM, "no memory for images");
	json_object_foreach (images->all, name, known)
		list[count++] = told(name, known);
	qsort(list, count, sizeof(*list), compare);
	*ret = list;
	*ret_count = count;
	return 0;
}

/* What is made of the same has the same id. */
static int put(
	struct images *images, const char *name, const char *of, uint64_t size, struct err *err)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	char id[IMAGE_ID_MAX + 1];

	for (; *of; of++)
		hash = (hash ^ (unsigned char)*of) * UINT64_C(1099511628211);
	snprintf(id, sizeof(id), "sha256:%064llx", (unsigned long long)hash);
	json_object_set_new(images->all, name,
		json_pack("{s:s, s:I, s:I}", "id", id, "size", (json_int_t)size, "created_ms",
			(json_int_t)clock_realtime_ms()));
	return images_save(images, err);
}

/* --- What takes its time --------------------------------------------------------------------- */

static int say(const struct driver_image_work *work, uint64_t done, uint64_t total, struct err *err)
{
	if (work->progress_fd < 0)
		return 0;
	if (dprintf(work->progress_fd,
		    "{\"done\": %llu, \"total\": %llu, \"what\": \"pretending\"}\n",
		    (unsigned long long)done, (unsigned long long)total) < 0 &&
		errno == EPIPE)
		return err_set(err, ERR_CANCELLED, NULL, "the image was given up");
	return 0;
}

/* Until its reader goes away. */
static int stall(const struct driver_image_work *work, struct err *err)
{
	struct pollfd reader = {.fd = work->progress_fd};

	while (poll(&reader, 1, -1) < 0 && errno == EINTR)
		;
	return err_set(err, ERR_CANCELLED, NULL, "the image was given up");
}

static int pull(const struct fake *f, const struct driver_image_work *work, const char *name,
	struct err *err)
{
	CLEANUP(images_finish) struct images images = {.lock = -1};
	int r = 0;

	if (strstr(name, FAKE_ABSENT))
		return err_set(err, ERR_NOT_FOUND, "image", "manifest for %s not found", name);
	if (strstr(name, FAKE_DENIED))
		return err_set(err, ERR_DENIED, "image", "pull access denied for %s", name);
	for (uint64_t i = 0; r == 0 && i < PULL_PARTS; i++)
		r = say(work, i * PULL_SIZE / PULL_PARTS, PULL_SIZE, err);
	if (r == 0 && strstr(name, FAKE_STALLED))
		r = stall(work, err);
	if (r == 0)
		r = images_open(f, &images, err);
	return r < 0 ? r : put(&images, name, name, PULL_SIZE, err);
}

static int read_all(
	const struct driver_image_work *work, uint64_t *ret_size, char *head, struct err *err)
{
	char bytes[65536], whole;
	uint64_t size = 0;
	ssize_t n;

	while ((n = read(work->fd, bytes, sizeof(bytes))) > 0) {
		if (size == 0)
			snprintf(head, 64, "%.*s", n < 32 ? (int)n : 32, bytes);
		size += (uint64_t)n;
		if (say(work, size, 0, err) < 0)
			return err_errnum(ERR_CANCELLED);
	}
	if (n < 0)
		return err_errno(err, errno, "cannot read the archive");
	if (work->whole_fd > 0 && read(work->whole_fd, &whole, 1) != 1)
		return err_set(err, ERR_CANCELLED, NULL, "the archive was cut short");
	if (size == 0)
		return err_set(err, ERR_INVALID, NULL, "the archive is empty");
	*ret_size = size;
	return 0;
}

static int load(const struct fake *f, const struct driver_image_work *work, const char *name,
	struct err *err)
{
	CLEANUP(images_finish) struct images images = {.lock = -1};
	char head[64] = "";
	uint64_t size = 0;
	int r = read_all(work, &size, head, err);

	if (r == 0)
		r = images_open(f, &images, err);
	if (r < 0)
		return r;
	if (!work->replace && json_object_get(images.all, name))
		return err_set(err, ERR_EXISTS, "name", "there is an image %s already", name);
	fault_point("driver.fake.image.read");
	return put(&images, name, head, size, err);
}

/* --- All of it ------------------------------------------------------------------------------- */

static int remove_image(const struct fake *f, const char *name, struct err *err)
{
	CLEANUP(images_finish) struct images images = {.lock = -1};
	int r = images_open(f, &images, err);

	if (r < 0 || json_object_del(images.all, name) < 0)
		return r;
	return images_save(&images, err);
}

int images_work(const struct fake *f, const struct driver_image_work *work,
	struct driver_image **ret, size_t *ret_count, struct err *err)
{
	CLEANUP(images_finish) struct images images = {.lock = -1};
	char name[IMAGE_NAME_MAX + 1] = "";
	int r = 0;

	signal(SIGPIPE, SIG_IGN);
	if (work->name)
		whole_name(work->name, name);
	*ret = NULL;
	*ret_count = 0;
	if (work->op == DRIVER_IMAGE_REMOVE)
		return remove_image(f, name, err);
	if (work->op == DRIVER_IMAGE_PULL)
		r = pull(f, work, name, err);
	else if (work->op == DRIVER_IMAGE_LOAD)
		r = load(f, work, name, err);
	if (r == 0)
		r = images_open(f, &images, err);
	if (r < 0)
		return r;
	return work->op == DRIVER_IMAGE_LIST ? give_all(&images, ret, ret_count, err)
					     : give(&images, name, ret, ret_count, err);
}
