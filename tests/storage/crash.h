/* Death on demand: what a test does to the pool, done in a process of its own that is killed. */
#pragma once

#include <sys/types.h>

#include "fixture.h"

struct crash_verb {
	const char *name;
	int (*run)(struct storage **storage); /* opens the pool itself; fills g_err on failure */
};

/* The main of such a process, which `crash_start` runs with five arguments: does the verb in a
 * process that has not yet read its faults. */
int crash_main(struct fixture *f, const struct crash_verb *verbs, char **argv);

/* Starts it, with faults as base/fault.h writes them; yields its process, or its status. */
pid_t crash_start(const struct fixture *f, const char *verb, const char *fault);
int crash_end(pid_t pid);

/* The same to its end, which must be success. */
void crash_run(const struct fixture *f, const char *verb);

/* The same, which must be killed at the point: "storage.deleted" or "storage.deleted=kill@2". */
void crash_at(const struct fixture *f, const char *verb, const char *point);

/* The same, which is killed at some instant of so many milliseconds, from the first on. */
void crash_at_some_instant(const struct fixture *f, const char *verb, int first_ms, int ms);

/* For verbs: opens the pool and imports the image; closes its descriptor. */
int crash_import(struct fixture *f, struct storage **storage, const char *name,
	const struct image_source *source);

/* Whether the pool has the image, or none: whole in `folder` or not at all. */
bool crash_has_image(struct fixture *f, const char *folder);

/* The pool of both sides: small, and growing. */
void crash_configure(struct fixture *f);
