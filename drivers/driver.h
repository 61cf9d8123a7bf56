/* The driver contract: what a kind of guest (LXC, KVM, Docker, …) has to be able to do.
 *
 * A driver is a struct of functions. It knows nothing of the agent, of storage or of the network:
 * it gets resolved facts (this root file system, this bridge and link, these limits) and does one
 * thing to one guest. The same struct is used in process by tests and, through drivers/host, as a
 * process of its own by corpusd. docs/WRITING-A-DRIVER.md leads through making one;
 * tests/drivers/conformance is what every driver must pass.
 *
 * Rules for all functions
 *  - Repeatable. Any call may come again with the same arguments after a crash at any point,
 *    including after it succeeded; it then finishes what was begun or finds it done, and succeeds.
 *    "Already so" is success.
 *  - Errors: 0 or a negative errno, with *err filled exactly on failure: ERR_NOT_FOUND for a guest
 *    the driver does not know, ERR_DRIVER when what is driven failed (the message says how),
 *    ERR_TIMEOUT, ERR_UNSUPPORTED, ERR_INVALID with the field, ERR_UNAVAILABLE when its daemon is
 *    away. On failure nothing is half done that a repeat or destroy() would not clean up.
 *  - Blocking: for as long as each function states. The host kills a call at its deadline.
 *  - Ownership: arguments belong to the caller and live as long as the call. Results are written
 *    into the caller's memory or allocated as stated.
 *  - Guests outlive the driver: closing it, killing it or restarting it stops no guest.
 *  - Only what bears our mark (the driver's state directory, labels, metadata) is ever listed or
 *    touched. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/guest.h"

struct err;

#define DRIVER_PROTOCOL_VERSION 1
#define DRIVER_LINK_MAX		15

/* An instance of a driver; each driver defines its own, beginning with this. */
struct driver {
	const struct driver_ops *ops;
};

struct driver_config {
	const char *state_dir; /* durable, the driver's own: definitions of its guests live here */
	const char *run_dir;   /* gone after a reboot */
	const char *log_dir;
	const char
		*endpoint; /* where its daemon is (libvirt URI, Docker socket); NULL: the default */
	uint32_t idmap_base;  /* first subordinate uid and gid for unprivileged guests */
	uint32_t idmap_count; /* how many each guest gets */
};

/* All that a driver is told about a guest. */
struct driver_guest {
	const char *id;	    /* unique for ever; names everything the driver makes */
	const char *name;   /* host name; may change by rename */
	const char *rootfs; /* path of its root file system or disk; the driver never deletes it */
	bool privileged;
	struct guest_limits limits;
	struct {
		const char *bridge; /* existing bridge of the node */
		const char *link;   /* name the node's end of its link must get */
		uint8_t mac[6];
		uint32_t address; /* host byte order; 0: none, the guest asks by DHCP */
		unsigned prefix;
		uint32_t gateway;
	} net;
};

/* What a driver observes. */
struct driver_status {
	char id[GUEST_ID_LEN + 1];
	enum guest_state state; /* STOPPED, STARTING, RUNNING, FROZEN, STOPPING or UNKNOWN */
	pid_t pid;		/* of the guest's init as the node sees it; 0: none */
};

enum driver_capability {
	DRIVER_CAN_SET_LIMITS = 1 << 0,
	DRIVER_CAN_FREEZE = 1 << 1,
	DRIVER_CAN_EXEC = 1 << 2,
	DRIVER_CAN_UNPRIVILEGED = 1 << 3,
};

struct driver_info {
	char name[DRIVER_NAME_MAX + 1];
	char version[64];      /* of what is driven: "liblxc 5.0.2" */
	uint32_t capabilities; /* DRIVER_CAN_*; those that stand for a function follow from ops */
	bool usable;	       /* false: problem says what is missing and what to do */
	char problem[256];
};

struct driver_exec {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in the guest's PATH */
	const char *const *env;	 /* KEY=VALUE, ends with NULL; NULL: only PATH, HOME, TERM */
	uid_t uid;		 /* inside the guest */
	gid_t gid;
	const char *cwd;		    /* NULL: / */
	int stdin_fd, stdout_fd, stderr_fd; /* owned by the caller */
};

/* Called by watch for each change of a guest's state that the driver sees. */
typedef void (*driver_event_fn)(void *data, const struct driver_status *status);

struct driver_ops {
	const char *name;
	/* How the host runs calls: in a forked child each, for libraries that are unsafe in a
	 * threaded or long-lived process; or one after the other in the host itself. */
	enum { DRIVER_CALL_FORK, DRIVER_CALL_INLINE } call_mode;

	/* --- mandatory --- */

	/* Makes an instance. Does not talk to a daemon: a driver opens even when that is away. */
	int (*open)(const struct driver_config *config, struct driver **ret, struct err *err);

	/* Releases it; never NULL. Guests run on. */
	void (*close)(struct driver *driver);

	/* Finds out whether and how well it works here. At most 5 s. Fails only by ERR_INTERNAL. */
	int (*probe)(struct driver *driver, struct driver_info *ret, struct err *err);

	/* Defines a guest without starting it: its configuration is written under its id. That need
	 * not survive a power cut: the agent defines a guest again before each start. A repeat with
	 * other facts redefines it (a running guest takes them up at its next start). At most
	 * 10 s. */
	int (*create)(struct driver *driver, const struct driver_guest *guest, struct err *err);

	/* Starts a defined guest and returns when it runs: its init has been executed, its link is
	 * on the bridge. Running already is success. When it fails nothing of the guest is left
	 * running. At most 30 s. */
	int (*start)(
		struct driver *driver, const char *id, struct driver_status *ret, struct err *err);

	/* Asks the guest to shut down and waits up to timeout_ms for it; then kills it. Returns
	 * when nothing of it runs and its link is gone. Stopped already is success. */
	int (*stop)(struct driver *driver, const char *id, uint64_t timeout_ms, struct err *err);

	/* Ends a guest at once; otherwise as stop. At most 10 s. */
	int (*kill)(struct driver *driver, const char *id, struct err *err);

	/* Kills it if it runs and removes all that the driver keeps about it; not its root file
	 * system. An unknown id is success. At most 15 s. */
	int (*destroy)(struct driver *driver, const char *id, struct err *err);

	/* What one guest is. At most 1 s. ERR_NOT_FOUND when it is not defined. */
	int (*status)(
		struct driver *driver, const char *id, struct driver_status *ret, struct err *err);

	/* All guests defined: allocates an array that the caller frees with free(). At most 5 s. */
	int (*list)(struct driver *driver, struct driver_status **ret, size_t *ret_count,
		struct err *err);

	/* --- events: both or neither; without them the agent polls by list --- */

	/* A descriptor that becomes readable when dispatch has something to do. Opened by the first
	 * call, which also begins to watch all guests defined; owned by the driver. It works in the
	 * host itself, never in a forked child. */
	int (*watch_fd)(struct driver *driver, struct err *err);

	/* Reports changes. Also called by the host, with the id of the guest, after each call that
	 * may have begun or ended one (NULL when the descriptor is readable). Does not block. */
	void (*watch_dispatch)(
		struct driver *driver, const char *id, driver_event_fn event, void *data);

	/* --- optional: NULL is ERR_UNSUPPORTED to the caller --- */

	/* Changes limits, of a running guest at once and in its definition for later starts.
	 * Refuses a memory limit below what is used (ERR_INVALID, limits.memory). At most 5 s. */
	int (*set_limits)(struct driver *driver, const char *id, const struct guest_limits *limits,
		struct err *err);

	/* Stops all its processes where they are, and lets them go on. At most 10 s. */
	int (*freeze)(struct driver *driver, const char *id, struct err *err);
	int (*thaw)(struct driver *driver, const char *id, struct err *err);

	/* Runs a command inside a running guest and waits for its end: *ret_status is its wait
	 * status. Deadline by the caller. */
	int (*exec)(struct driver *driver, const char *id, const struct driver_exec *exec,
		int *ret_status, struct err *err);
};

/* The capabilities that follow from which functions are there. */
uint32_t driver_capabilities(const struct driver_ops *ops);
const char *driver_capability_to_string(enum driver_capability capability); /* "set_limits", … */

/* Checks that the mandatory functions are there; what drivers/host and the tests call first. */
int driver_ops_check(const struct driver_ops *ops, struct err *err);
