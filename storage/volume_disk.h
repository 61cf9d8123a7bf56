/* Disks of volumes: an overlay that the guest writes, on the base that came with its image. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/image.h"

struct confined;
struct err;
struct volume_usage;

/* Of a volume, a snapshot or a copy, open in `dir`. */
bool volume_disk_is(int dir);

/* ERR_INVALID (storage.size) for a size that no disk on that base can have. Pure. */
int volume_disk_check(const struct image_disk *base, uint64_t size, struct err *err);

/* Makes the overlay where there is none; one that is there is fitted. */
int volume_disk_make(int dir, const struct image_disk *base, uint64_t size, struct err *err);

/* Makes a disk of a guest that does not run `size` bytes large; ERR_INVALID (storage.size), with
 * the least possible, when it is larger. */
int volume_disk_fit(int dir, uint64_t size, struct err *err);

/* Removes copies that a crash left. */
int volume_disk_settle(int dir);

/* ERR_CONFLICT while a machine has the disk open: what it writes would be lost. */
int volume_disk_want_idle(int dir, struct err *err);

/* Its size as the guest sees it, and what the overlay holds. */
int volume_disk_usage(int dir, struct volume_usage *ret);

/* What a volume may hold that has a disk of that size: tables of the overlay, extents of which only
 * a part is in use, nvram and seed; and the memory that is kept beside it now. */
uint64_t volume_disk_room(int dir, uint64_t size);

typedef int (*volume_disk_fn)(int dir, int copy, void *data, struct err *err);

/* Changes the overlay by what `change` does to a copy of it, which then takes its place: all or
 * nothing. */
int volume_disk_change(int dir, volume_disk_fn change, void *data, struct err *err);

/* Lets `look` read, or spoil, a copy that is gone afterwards; also while the guest runs. */
int volume_disk_look(int dir, volume_disk_fn look, void *data, struct err *err);

/* Runs a confined program on the disk and its base, as "disk.qcow2" and "base". */
int volume_disk_run(int dir, int disk, struct confined *program, struct err *err);

/* The same for qemu-img, with its arguments. */
int volume_disk_qemu_img(int dir, int disk, const char *const *argv, struct err *err);
