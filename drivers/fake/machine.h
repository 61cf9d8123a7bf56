/* Which of a fake driver's guests are machines, and what is inside of those; used inside
 * drivers/fake only. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "drivers/driver.h"

struct err;
struct fake;

/* Its guests are machines when it was told so, or when STATE_DIR/machine is a tree: then with a
 * copy of that inside. */
enum image_kind machine_image_kind(const struct fake *f);

/* Whether there is something inside of its guests: files, and what runs commands. */
bool machine_has_inside(const struct fake *f);

/* Where that guest has its files; a machine's are in a place of ours. NULL: it has none. */
const char *machine_inside(
	const struct fake *f, const struct driver_guest *guest, char buf[static PATH_MAX]);

/* Makes what is inside of a machine, unless it is there; and removes it. */
int machine_make(const struct fake *f, const char *id, struct err *err);
int machine_remove(const struct fake *f, const char *id, struct err *err);
