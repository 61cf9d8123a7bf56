/* A note of each run of a guest: which process it is, and what cannot be seen of it from outside.
 * In run_dir, where it goes with the node's own run; used inside drivers/docker only. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#define NOTE_SUFFIX ".run" /* behind the id, in run_dir */

struct note {
	pid_t pid;
	uint64_t start;	    /* of the process, see process.h */
	char container[80]; /* its id */
	char disk[24];	    /* that its limits are of; "-": none */
	int gate; /* GATE_VERSION of what lets its commands in; 0: of before that was noted */
};

/* Fills in process and gate. A negative errno. */
int note_write(const char *path, pid_t pid, const char *container, const char *disk);

/* -ENOENT when there is none, or its process is no more. */
int note_read(const char *path, struct note *ret);
