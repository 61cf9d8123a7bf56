/* The ids of guests in tests: others in each run, so that several can be on one machine, whose
 * control groups and processes bear them. */
#pragma once

/* One of the guests of this run, by a hexadecimal digit: the same for all processes that it
 * starts. */
const char *guest_id(char which);

/* Its id between two texts; good until seven more were asked for. */
const char *around(const char *before, const char *id, const char *after);

#define GUEST_A guest_id('a')
#define GUEST_B guest_id('b')
