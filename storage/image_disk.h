/* Images of disks: what is sent becomes their parts, once it is found to be what it says. */
#pragma once

#include "model/image.h"

struct err;
struct source;
struct storage;

/* The names of the parts in an image's directory. */
#define IMAGE_BASE   "base"
#define IMAGE_KERNEL "kernel"
#define IMAGE_INITRD "initrd"

/* Makes the parts of a disk in the new image's directory, from the disk itself or an archive of
 * parts, and checks them; fills image->disk, size, entries and sha256. */
int image_disk_fill(struct storage *storage, int dir, struct source *source, struct image *image,
	struct err *err);
