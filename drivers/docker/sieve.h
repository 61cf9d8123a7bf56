/* An archive on its way to dockerd, through a process of its own that may do next to nothing on the
 * node: there it is unpacked from its compression, hashed, looked through and, when it holds
 * images, told anew so that dockerd loads one, by one name. Used inside drivers/docker only. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "drivers/docker/layout.h"

struct err;

struct sieve_work {
	int fd;		    /* the archive, read to its end */
	int whole_fd;	    /* as driver_image_work.whole_fd */
	const char *sha256; /* what its bytes must hash to; NULL: anything */
	struct layout_choice choice;
};

/* What comes out first. */
#define SIEVE_IMAGES 'i' /* then: an archive as docker load takes it */
#define SIEVE_FILES  'f' /* then: the files of a root file system, as docker import takes them */

struct sieve {
	pid_t pid;
	int out;    /* to read from; its end may also be that of a process that failed */
	int report; /* what became of it */
};

int sieve_start(const struct sieve_work *work, struct sieve *ret, struct err *err);
/* After the end of `out`: whether that was all, and as it should be. */
int sieve_end(struct sieve *sieve, struct err *err);
/* Ends it, whatever it does. */
void sieve_finish(struct sieve *sieve);
