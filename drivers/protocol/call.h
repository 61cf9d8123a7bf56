/* The calls of the driver contract as values: what is asked of a driver, and what it answers. Both
 * ends of the boundary (drivers/host and drivers/client) use these, and drivers/protocol puts them
 * on the wire. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "drivers/driver.h"

enum driver_call {
	DRIVER_CALL_PROBE,
	DRIVER_CALL_CREATE,
	DRIVER_CALL_START,
	DRIVER_CALL_STOP,
	DRIVER_CALL_KILL,
	DRIVER_CALL_DESTROY,
	DRIVER_CALL_STATUS,
	DRIVER_CALL_LIST,
	DRIVER_CALL_UPDATE,
	DRIVER_CALL_FREEZE,
	DRIVER_CALL_EXEC,
	DRIVER_CALL_CONSOLE,
	DRIVER_CALL_FILE,
	DRIVER_CALL_STATS,
	DRIVER_CALL_DISK,
	DRIVER_CALL_SAVE,
	DRIVER_CALL_IMAGE,
	DRIVER_CALL_LAYER,
	DRIVER_CALL_MAX_,
};

#define DRIVER_CALL_FDS_MAX 4

/* Arguments of a call; only those that the call knows are read. Descriptors are duplicated. */
struct driver_request {
	enum driver_call call;
	/* All but probe, create, update, list, image; stats: NULL for all that run. */
	const char *id;
	const struct driver_guest *guest;      /* create, update */
	const struct driver_exec *exec;	       /* exec */
	const struct driver_console *console;  /* console */
	const struct driver_file *file;	       /* file */
	const struct driver_disk_work *disk;   /* disk */
	const struct driver_image_work *image; /* image */
	const struct driver_layer_work *layer; /* layer */
	bool frozen;			       /* freeze */
	uint64_t timeout_ms;		       /* stop: how long to ask before killing */
	uint64_t deadline_ms;		       /* 0: the contract's own; file and image then have
					  none */
};

/* Result of a call. */
struct driver_reply {
	int result;			      /* 0 or a negative errno */
	struct err error;		      /* when result < 0 */
	const struct driver_info *info;	      /* probe */
	const struct driver_status *statuses; /* start, status: one; list: all */
	size_t statuses_count;
	const struct driver_stats *stats; /* stats */
	size_t stats_count;
	pid_t pid;			   /* exec */
	struct driver_file_info file;	   /* file: stat and read; else its type is empty */
	struct driver_disk_result disk;	   /* disk */
	const struct driver_image *images; /* image */
	size_t images_count;
	struct driver_layer_result layer; /* layer */
};

const char *driver_call_to_string(enum driver_call call);	      /* "create", … */
int driver_call_from_string(const char *text, enum driver_call *ret); /* -EINVAL */

/* Whether it is about one guest, named by its id. */
bool driver_call_takes_id(enum driver_call call);

/* The guest that the request is about; NULL when it is about none, or all. */
const char *driver_request_guest(const struct driver_request *request);

/* The descriptors that go with the request, in their order; returns how many. */
size_t driver_request_fds(
	const struct driver_request *request, int ret[static DRIVER_CALL_FDS_MAX]);

/* Whether it may begin, end or change the state of a guest. */
bool driver_call_changes(enum driver_call call);

/* How long this call may take: what the request says, else the contract; 0: for ever. */
uint64_t driver_call_deadline_ms(const struct driver_request *request);

/* Runs the call on a driver in this process. `info` must be given for probe. A function that the
 * driver lacks is ERR_UNSUPPORTED. */
void driver_call_run(struct driver *driver, const struct driver_request *request,
	struct driver_info *info, struct driver_reply *ret);

/* Frees what driver_call_run has allocated. */
void driver_reply_finish(struct driver_reply *reply);
