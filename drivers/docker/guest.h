/* One guest for the time of a call: what is kept of it, and its container; used inside
 * drivers/docker only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "drivers/definition.h"
#include "drivers/docker/define.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/instance.h"

struct err;

#define OWN_CONTAINER "container" /* among what the driver keeps: the id of its container */

struct docker_guest {
	struct docker *docker;
	struct docker_paths paths;
	struct definition definition; /* guest.id also of one that is not defined */
	struct engine *engine;	      /* NULL until guest_connect */
	json_t *info; /* its container as dockerd describes it; NULL: there is none */
};

/* With CLEANUP(guest_finish) on a zeroed one; what follows fills it bit by bit. */
void guest_finish(struct docker_guest *guest);

/* What is kept of it. ERR_NOT_FOUND. */
int guest_load(struct driver *driver, const char *id, struct docker_guest *guest, struct err *err);
/* And a connection, for so long, and its container. */
int guest_connect(struct driver *driver, const char *id, uint64_t timeout_ms,
	struct docker_guest *guest, struct err *err);
/* And it is running, its own program, or frozen: else ERR_ILLEGAL_STATE. */
int guest_running(struct driver *driver, const char *id, uint64_t timeout_ms,
	struct docker_guest *guest, struct err *err);

/* Looks again what its container is now. */
int guest_look(struct docker_guest *guest, struct err *err);

/* Of its container. */
const char *guest_container(const struct docker_guest *guest); /* its id; NULL: none */
bool guest_is_active(const struct docker_guest *guest);	       /* there are processes in it */
/* Its first process as the node sees it, which is known to be in it; 0: none. */
pid_t guest_init(const struct docker_guest *guest);

/* Whether the process is one of that container, by its id. */
bool guest_has_process(const char *container, pid_t pid);

/* Whether its processes stand still. Their control group says so: what dockerd says of it may be of
 * before. */
bool guest_is_frozen(const struct docker_guest *guest);

/* Whether nothing of a container writes: it does not run, or is frozen. */
bool guest_is_still(const struct docker *docker, const json_t *info);

/* Whether dockerd says of a container what its control group does. If not it will soon, and no
 * event tells. */
bool guest_is_settled(const struct docker *docker, const json_t *info);

/* What a guest is, by what dockerd says of its container, NULL: it has none. */
void guest_status_of(
	const struct docker *docker, const char *id, const json_t *info, struct driver_status *ret);

/* --- Containers ------------------------------------------------------------------------------ */

/* What dockerd says of one; NULL: there is none of that id. */
int guest_inspect(struct engine *engine, const char *container, json_t **ret, struct err *err);
/* The same, and waits for dockerd no longer than that. 0: as long as the engine's calls may take.
 */
int guest_inspect_for(struct engine *engine, const char *container, uint64_t timeout_ms,
	json_t **ret, struct err *err);

/* The containers of all guests, or all of one, as dockerd lists them: those that bear our labels,
 * and a name of ours or the id that is kept. */
int guest_all_containers(
	struct engine *engine, const struct docker *docker, json_t **ret, struct err *err);
int guest_containers(struct docker_guest *guest, json_t **ret, struct err *err);
/* Of an entry of that list. */
bool guest_is_aside(const json_t *entry);
bool guest_entry_is_active(const json_t *entry);
/* Whether its storage holds a container's layer to a size, by its whole description. */
bool guest_layer_bound(const json_t *info, uint64_t *ret_size);
/* The one that the guest goes on with; `container`, the one that is kept, wins. NULL: there is
 * none.
 */
json_t *guest_choose(const json_t *list, const char *id, const char *container);

/* The condition that things are ours by, for "filters". */
json_t *guest_filters(const struct docker *docker, const char *id);
