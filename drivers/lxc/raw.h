/* Lines that people add to a guest's configuration: raw of the guest, by admins through the API,
 * and files that ops keep by hand in the additions directory. Both are checked here, so that none
 * of them takes from the agent what it has to rely on; used inside drivers/lxc only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;

#define RAW_WHY_MAX 200

/* Whether liblxc's configuration may have that line, "lxc.KEY = VALUE", a comment or nothing; if
 * not, why. Pure. */
bool raw_line_allowed(const char *line, char why[static RAW_WHY_MAX]);

/* Checks all lines: ERR_INVALID with the field raw[i]. NULL is none. */
int raw_check(const char *const *lines, struct err *err);

/* The lines of all.conf and NAME.conf in `dir`, with comments that say where each comes from; ""
 * when there are none. ERR_INVALID names the file and the line. The caller frees it. */
int raw_read_additions(const char *dir, const char *name, char **ret, struct err *err);
