/* What people add to the guests' configuration: files that ops write by hand in
 * driver_config.additions_dir, which are as good as root's own commands and read only when nobody
 * else may have written them, and driver_guest.raw. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct driver_guest;
struct err;

#define ADDITIONS 3 /* the file of all guests, the guest's own, raw */

struct addition {
	const char *text;
	const char *origin; /* "/etc/corpus/kvm/all.xml", "raw": for messages */
	bool by_line;	    /* its lines are fields of their own, "raw[0]" */
};

struct additions {
	struct addition list[ADDITIONS]; /* in the order in which they are added */
	size_t count;
	char *texts[ADDITIONS], *origins[ADDITIONS]; /* what of it was allocated */
};

/* ERR_INVALID for what stands in that line, from 1: with the field "all.xml:7" or "raw[6]". */
int addition_refuse(const struct addition *addition, int line, const char *why, struct err *err);

/* With CLEANUP on a zeroed one. */
void additions_finish(struct additions *additions);

/* Reads DIR/all.SUFFIX and DIR/NAME.SUFFIX where they are; `dir` may be NULL. ERR_INVALID for a
 * file that others may write, or that is not text. */
int additions_read_files(struct additions *additions, const char *dir, const char *name,
	const char *suffix, struct err *err);

/* Adds the guest's raw lines as one text; NULL and none of them add nothing. */
int additions_add_raw(struct additions *additions, const char *const *lines, struct err *err);
