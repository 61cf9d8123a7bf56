/* The directories that a driver was given, as an instance of it keeps them. */
#pragma once

struct driver_config;
struct err;

struct dirs {
	char *state;	 /* what survives a boot */
	char *run;	 /* what belongs to a run */
	char *log;	 /* what guests and their keepers say */
	char *additions; /* what ops write by hand; NULL: none */
};

/* Copies of those of the configuration; they must be absolute paths. `title` is the driver's, for
 * people. */
int dirs_take(
	struct dirs *dirs, const struct driver_config *config, const char *title, struct err *err);

/* Makes them, but for additions. Through `run` others than root may pass: what runs for a guest
 * opens what lies there. */
int dirs_make(const struct dirs *dirs, struct err *err);

/* Also of a zeroed one, or one that dirs_take has failed with. */
void dirs_finish(struct dirs *dirs);
