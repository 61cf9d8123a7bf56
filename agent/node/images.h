/* The table of images: those of the pool, and those that drivers' daemons keep, as they told last.
 * All on the loop's thread. */
#pragma once

#include <stddef.h>

#include "model/image.h"

struct agent;
struct agent_driver;

/* All images of the pool, in the place of those known until now; takes the array over. */
void images_adopt(struct agent *agent, struct image *images, size_t count);

/* One that was made or replaced; one that is gone. `driver` is "" for one of the pool. */
void images_put(struct agent *agent, const struct image *image);
void images_remove(struct agent *agent, enum image_kind kind, const char *driver, const char *name);

/* Asks a driver which images its daemon has, where it keeps any. What it does not tell now stays as
 * it was; the answer is waited for by nobody. */
void images_ask(struct agent_driver *driver);

/* As the table has one that a driver tells of. */
struct driver_image;
struct image image_of_driver(const struct agent_driver *driver, const struct driver_image *told);
