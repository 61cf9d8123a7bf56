/* Guests of the fake driver that have a disk: what pretends to be a machine; used inside
 * drivers/fake only. The disk is a real one, and is really made larger; what would need a machine
 * (memory, blocks that are not used) is made up. */
#pragma once

#include <stdbool.h>

#include "drivers/driver.h"

struct err;
struct fake;

/* What a guest that helps is said to return to the pool. */
#define FAKE_DISCARDED (1024 * 1024)

/* Words of a kernel's command line that make such a guest special. */
#define FAKE_IGNORES_SHUTDOWN "ignore-shutdown"
#define FAKE_HELPS_NOT	      "no-help" /* as one without a guest agent */

bool fake_disk_has_word(const struct driver_disk *disk, const char *word);

/* Whether all that it boots from can be read. */
int fake_disk_check(const struct driver_disk *disk, struct err *err);

/* A guest was started: with saved memory it is the one that was saved, else a new one. `text` gets
 * what it says on its console. ERR_DRIVER when the memory is damaged. */
int fake_disk_wake(const struct fake *f, const struct driver_guest *guest, char text[static 64],
	struct err *err);

/* It runs: what it went on from is of no more use. */
void fake_disk_woken(const struct driver_guest *guest);

/* Writes its memory. */
int fake_disk_save(const struct fake *f, const struct driver_guest *guest, struct err *err);

int fake_disk_work(const struct fake *f, const struct driver_guest *guest,
	const struct driver_disk_work *work, struct driver_disk_result *ret, struct err *err);

/* Removes what was kept about it. */
void fake_disk_forget(const struct fake *f, const char *id);
