/* Files that ops write by hand to add to the guests' configuration, in driver_config.additions_dir:
 * they are as good as root's own commands, and read only when nobody else may have written them. */
#pragma once

struct err;

/* Reads DIR/NAME.SUFFIX. *ret_text stays NULL where there is none, also when `dir` is NULL; else
 * *ret_text and *ret_path are allocated. ERR_INVALID for a file that others may write, or that is
 * not text. */
int addition_read(const char *dir, const char *name, const char *suffix, char **ret_path,
	char **ret_text, struct err *err);
