/* What the fake driver does, without the faults around it; used inside drivers/fake only. Each does
 * what the function of the contract with its name does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "drivers/dirs.h"
#include "drivers/driver.h"

struct err;
struct watch;

#define FAKE_TITLE "fake"

struct fake {
	struct driver driver; /* first */
	struct dirs dirs;
	bool disks;	 /* it was told to make machines */
	bool containers; /* it was told to make those */
	pid_t host;
	struct watch *watch;
};

int work_create(struct fake *f, const struct driver_guest *guest, struct err *err);
int work_start(struct fake *f, const char *id, struct driver_status *ret, struct err *err);
/* Stop and kill. */
int work_end(struct fake *f, const char *id, int signal, uint64_t timeout_ms, struct err *err);
int work_destroy(struct fake *f, const char *id, struct err *err);
int work_list(struct fake *f, struct driver_status **ret, size_t *ret_count, struct err *err);
int work_update(struct fake *f, const struct driver_guest *guest, struct err *err);
/* Freezes or thaws. */
int work_signal(struct fake *f, const char *id, bool freeze, struct err *err);
int work_exec(struct fake *f, const char *id, const struct driver_exec *exec, pid_t *ret_pid,
	struct err *err);
int work_console(
	struct fake *f, const char *id, const struct driver_console *wanted, struct err *err);
int work_file(struct fake *f, const char *id, const struct driver_file *asked,
	struct driver_file_info *ret, struct err *err);
int work_stats(struct fake *f, const char *id, struct driver_stats **ret, size_t *ret_count,
	struct err *err);
int work_disk(struct fake *f, const char *id, const struct driver_disk_work *wanted,
	struct driver_disk_result *ret, struct err *err);
int work_image(struct fake *f, const struct driver_image_work *wanted, struct driver_image **ret,
	size_t *ret_count, struct err *err);
int work_layer(struct fake *f, const char *id, const struct driver_layer_work *wanted,
	struct driver_layer_result *ret, struct err *err);
int work_save(struct fake *f, const char *id, struct err *err);
/* The status. */
int work_look(struct fake *f, const char *id, struct driver_status *ret, struct err *err);
