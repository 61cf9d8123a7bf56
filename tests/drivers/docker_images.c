/* Words for images. */
#include "docker_images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "docker_node.h"

struct driver *g_driver;

const char *file_of(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", node_dir(), name);
	return p;
}

int work(const struct driver_image_work *work, struct driver_image *ret, struct err *err)
{
	AUTOFREE struct driver_image *images = NULL;
	size_t count = 0;
	int r;

	*err = (struct err){0};
	r = g_driver->ops->image(g_driver, work, &images, &count, err);
	if (r == 0 && count == 1)
		*ret = images[0];
	return r;
}

int find(const char *name, struct driver_image *ret, struct err *err)
{
	return work(&(struct driver_image_work){.op = DRIVER_IMAGE_FIND, .name = name}, ret, err);
}

void assert_removed(const char *name)
{
	struct driver_image image = {0};
	struct err err;

	if (work(&(struct driver_image_work){.op = DRIVER_IMAGE_REMOVE, .name = name}, &image,
		    &err) < 0)
		fail_msg("%s", err.message);
}

int load(const char *file, const char *name, struct driver_image_work more,
	struct driver_image *ret, struct err *err)
{
	AUTOCLOSE int fd = open(file_of(file), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	more.op = DRIVER_IMAGE_LOAD;
	more.name = name;
	more.fd = fd;
	if (more.whole_fd == 0)
		more.whole_fd = -1;
	if (more.progress_fd == 0)
		more.progress_fd = -1;
	return work(&more, ret, err);
}

void assert_loaded(const char *file, const char *name, struct driver_image *ret)
{
	struct err err;

	if (load(file, name, (struct driver_image_work){0}, ret, &err) < 0)
		fail_msg("%s: %s", file, err.message);
	assert_string_equal(ret->name, name);
}

char *names(void)
{
	const char *all = DOCKER("images", "--all", "--format={{.Repository}}:{{.Tag}}");

	assert_non_null(all);
	return strdup(all);
}

void assert_unchanged(char *before)
{
	AUTOFREE char *owned = before, *now = names();

	assert_string_equal(owned, now);
}
