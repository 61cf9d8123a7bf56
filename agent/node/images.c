/* The table of images. */
#include "agent/node/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/node/agent.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"

static int compare(const void *a, const void *b)
{
	const struct image *one = a, *other = b;
	int order = strcmp(one->name, other->name);

	if (order == 0)
		order = (int)one->kind - (int)other->kind;
	return order ? order : strcmp(one->driver, other->driver);
}

/* Those of that driver ("": of the pool) make room for the new ones. */
static void replace(
	struct agent *agent, const char *driver, const struct image *images, size_t count)
{
	struct image *all = calloc(agent->images_count + count + 1, sizeof(*all));
	size_t kept = 0;

	if (!all)
		return; /* told again later */
	for (size_t i = 0; i < agent->images_count; i++)
		if (strcmp(agent->images[i].driver, driver) != 0)
			all[kept++] = agent->images[i];
	if (count > 0)
		memcpy(&all[kept], images, count * sizeof(*all));
	free(agent->images);
	agent->images = all;
	agent->images_count = kept + count;
	qsort(all, agent->images_count, sizeof(*all), compare);
}

void images_adopt(struct agent *agent, struct image *images, size_t count)
{
	AUTOFREE struct image *owned = images;

	replace(agent, "", owned, count);
}

void images_remove(struct agent *agent, enum image_kind kind, const char *driver, const char *name)
{
	for (size_t i = 0; i < agent->images_count; i++) {
		struct image *image = &agent->images[i];

		if (image->kind != kind || strcmp(image->driver, driver) != 0 ||
			strcmp(image->name, name) != 0)
			continue;
		agent->images_count--;
		memmove(image, image + 1, (agent->images_count - i) * sizeof(*image));
		return;
	}
}

void images_put(struct agent *agent, const struct image *image)
{
	struct image *grown;

	images_remove(agent, image->kind, image->driver, image->name);
	grown = reallocarray(agent->images, agent->images_count + 1, sizeof(*grown));
	if (!grown)
		return; /* found again at the next start */
	agent->images = grown;
	agent->images[agent->images_count++] = *image;
	qsort(agent->images, agent->images_count, sizeof(*grown), compare);
}

/* --- Of drivers ------------------------------------------------------------------------------ */

struct image image_of_driver(const struct agent_driver *driver, const struct driver_image *told)
{
	struct image image = {
		.kind = IMAGE_OCI, .size = told->size, .created_ms = told->created_ms};

	memcpy(image.name, told->name, sizeof(image.name));
	memcpy(image.id, told->id, sizeof(image.id));
	snprintf(image.driver, sizeof(image.driver), "%s", driver->settings->name);
	return image;
}

static void listed(void *data, const struct driver_reply *reply)
{
	struct agent_driver *driver = data;
	AUTOFREE struct image *images = NULL;

	driver->images_asked = false;
	if (driver->images_again) {
		images_ask(driver);
		return;
	}
	if (reply->result < 0) {
		log_warning("driver.images_failed", "driver=%s error=%s", driver->settings->name,
			LOG_Q(reply->error.message));
		return;
	}
	images = calloc(reply->images_count + 1, sizeof(*images));
	for (size_t i = 0; images && i < reply->images_count; i++)
		images[i] = image_of_driver(driver, &reply->images[i]);
	if (images)
		replace(driver->agent, driver->settings->name, images, reply->images_count);
}

void images_ask(struct agent_driver *driver)
{
	const struct driver_image_work work = {
		.op = DRIVER_IMAGE_LIST, .fd = -1, .whole_fd = -1, .progress_fd = -1};
	const struct driver_request request = {
		.call = DRIVER_CALL_IMAGE, .image = &work, .deadline_ms = 60000};
	struct err err;

	/* What is under way may tell of before. */
	driver->images_again = driver->images_asked;
	if (driver->images_asked || driver->image_kind != IMAGE_OCI)
		return;
	driver->images_asked = true;
	if (driver_client_call(driver->client, &request, listed, driver, &err) < 0) {
		driver->images_asked = false;
		log_warning("driver.images_failed", "driver=%s error=%s", driver->settings->name,
			LOG_Q(err.message));
	}
}
