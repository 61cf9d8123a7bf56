/* What a guest of the driver has on the node; used inside drivers/docker only. */
#pragma once

#include <limits.h>
#include <stdint.h>

#include "drivers/docker/instance.h"

struct err;

/* Labels of all that the driver has Docker keep: ours is what has both of the first two. */
#define LABEL_GUEST	 "corpus.guest"	     /* its id */
#define LABEL_AGENT	 "corpus.agent"	     /* the driver's state_dir: nodes may share a dockerd */
#define LABEL_DEFINITION "corpus.definition" /* of what a container was made */
#define LABEL_CONFIG	 "corpus.config"     /* of layers: the Config of the image below them */

struct docker_paths {
	char definition[PATH_MAX];
	char gate[PATH_MAX];	/* directory: what the container sees as GATE_DIR */
	char note[PATH_MAX];	/* a file: see note.h */
	char hold[PATH_MAX];	/* a file: it is held still */
	char console[PATH_MAX]; /* a file: locked by who types */
	char ended[PATH_MAX];	/* a file: the run that we have ended, by its beginning */
};

/* ERR_INVALID for an id that cannot be ours. */
int docker_paths(
	const struct docker *docker, const char *id, struct docker_paths *paths, struct err *err);

/* All that can be known of its facts, but for limits, before anything is changed. */
int define_check(const struct driver_guest *guest, struct err *err);

/* Names for texts: FNV-1a, 64 bits (isthe.com/chongo/tech/comp/fnv). */
uint64_t define_hash(const char *text);

#define DEFINE_NAME_MAX 320

/* What its container is called: "corpus-NAME", or, where that is somebody else's, with its id
 * behind it; and while it is not the one. */
enum define_name { DEFINE_NAME, DEFINE_NAME_ELSE, DEFINE_NAME_NEW, DEFINE_NAME_ASIDE };

const char *define_name(
	const struct driver_guest *guest, enum define_name which, char buf[static DEFINE_NAME_MAX]);
