/* Making containers: at first, and anew when what is fixed in one has changed, with the layer that
 * it has; used inside drivers/docker only. */
#pragma once

#include "drivers/docker/guest.h"

struct err;

/* What a container is to be made by; with CLEANUP(make_finish) on a zeroed one. */
struct make {
	struct docker_guest *g;		  /* connected */
	const struct driver_guest *guest; /* the facts */
	json_t *additions;
	char *gate; /* path of corpus-gate */
	char definition[17];
};

void make_finish(struct make *make);
/* Reads what is added by hand, and refuses what cannot be. Says nothing to dockerd. */
int make_begin(struct docker_guest *g, const struct driver_guest *guest, struct make *ret,
	struct err *err);

/* Sees to it that there is a container of these facts and no other but one that is aside; g->info
 * is it then. One that runs stays as it is. */
int make_settle(struct make *make, struct err *err);

/* Makes one from an image or a layer; g->info is it then. ERR_NOT_FOUND when there is no such
 * image. When the name is somebody else's it gets another. */
int make_from(struct make *make, const char *from, enum define_name which, struct err *err);

/* Sees to it that its container, which never ran, lies on one layer; that this cannot be is only
 * told to the log. */
int make_flat(struct make *make, struct err *err);

/* Names and removals; absent is success. */
int make_rename(struct docker_guest *g, const char *container, const struct driver_guest *guest,
	enum define_name which, struct err *err);
int make_remove(struct docker_guest *g, const char *container, struct err *err);
/* With the layer that it was made of, when that is ours and nobody else needs it. */
int make_remove_container(struct docker_guest *g, const char *container, struct err *err);

/* What was found out of dockerd by trying: it may be another one now. */
void make_forget(const struct docker *docker);
