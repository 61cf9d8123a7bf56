/* Images that the fake driver pretends to keep, in STATE_DIR/images.json; used inside drivers/fake
 * only. All names can be pulled, but for those that hold one of these words: */
#pragma once

#include <stddef.h>

#include "drivers/driver.h"

struct err;
struct fake;

#define FAKE_ABSENT  "absent"  /* its registry does not know it */
#define FAKE_DENIED  "denied"  /* its registry refuses it */
#define FAKE_STALLED "stalled" /* it never comes to its end */

/* What is made of an image whose id ends so cannot be started, or ignores that it shall end. */
#define FAKE_BROKEN   "broken"
#define FAKE_STUBBORN "stubborn"

int images_work(const struct fake *f, const struct driver_image_work *work,
	struct driver_image **ret, size_t *ret_count, struct err *err);
