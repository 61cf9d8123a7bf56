/* What the two halves of files in machines share; used inside drivers/kvm only. */
#pragma once

#include "drivers/driver.h"
#include "drivers/kvm/way.h"

struct err;

/* As words of a script; empty: not asked for. */
struct file_attributes {
	char mode[24], uid[24], gid[24];
};

void file_attributes(const struct driver_file *file, struct file_attributes *ret);

/* Runs one step; that it fails is an error about the path, by what it says. */
int file_script(struct way *way, const char *path, const struct way_run *run,
	struct way_result *ret, struct err *err);
int file_fail(const char *words, const char *path, struct err *err);

/* DRIVER_FILE_WRITE. */
int file_put(struct way *way, const struct driver_file *file, struct err *err);
