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
#include "model/image.h"

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
	const char *additions_dir; /* lines that ops add by hand to the guests' configuration, in
				      files that no program writes: all.SUFFIX and
				      GUEST-NAME.SUFFIX */
	const char
		*endpoint; /* where its daemon is (libvirt URI, Docker socket); NULL: the default */
	const char *registries; /* file in Docker's config.json format: credentials for registries
				   of images, read at each pull. NULL: none */
	const char *ssh_key; /* private key, in OpenSSH's format: machines let root in by its public
				half; it may be made anew while the driver runs. NULL: none */
	uint32_t idmap_base; /* first subordinate uid and gid for unprivileged guests */
	uint32_t idmap_count; /* how many each guest gets */
};

/* What a guest boots from when that is a disk. All paths lie in its volume; the driver deletes none
 * of them but `memory`. */
struct driver_disk {
	const char *path; /* qcow2, an overlay on `base`: what the guest writes */
	const char *base; /* never written */
	enum disk_format base_format;
	const char *kernel;	      /* started directly; NULL: the firmware boots from the disk */
	const char *initrd, *cmdline; /* with `kernel`; NULL: none */
	bool uefi;		      /* the firmware is UEFI, else BIOS */
	const char *nvram;	      /* UEFI's variables; made by the driver at first need */
	const char *seed;	      /* ISO 9660, shown to the guest read-only; NULL: none */
	const char *memory;	      /* what save writes, and the next start goes on from */
};

/* What a guest is made from when that is an image of programs and their environment (IMAGE_OCI),
 * whose files the driver's daemon keeps. What is NULL is as the image says. */
struct driver_container {
	const char *image; /* driver_image.id: it means the same for ever */
	/* Instead, what the layer of guest `layer_of` was kept as, see DRIVER_LAYER_KEEP; looked at
	 * only while the guest has no layer of its own. NULL: the image's. */
	const char *layer_of, *layer;
	const char *const
		*entrypoint;	    /* ends with NULL; given, the image's command counts no more */
	const char *const *command; /* arguments of the entry point, or the program itself */
	const char *const *env;	    /* KEY=VALUE, ends with NULL: beside the image's */
	const char *user, *working_dir;
	const char *stop_signal; /* "SIGTERM": what asks it to end */
	bool terminal;		 /* its console is a terminal */
	const char *data;	 /* directory of its volume, for the files below data_paths */
	/* Absolute paths in the guest, ends with NULL; those that the image declares as its volumes
	 * lie there, too. All else is in its layer. */
	const char *const *data_paths;
	uint64_t layer_size; /* bytes that the layer may hold, where the daemon can do that; 0: any
			      */
};

/* All that a driver is told about a guest. */
struct driver_guest {
	const char *id;	  /* unique for ever; names everything the driver makes */
	const char *name; /* host name; may change by rename */
	/* One of these three is given, by driver_info.image_kind. The driver never deletes it. */
	const char *rootfs; /* path of its root file system */
	const struct driver_disk *disk;
	const struct driver_container *container;
	bool privileged;
	struct guest_limits limits; /* net_ingress and net_egress are the network's to apply */
	const char *block_device;   /* below rootfs, "7:0", for limits of io; NULL: not known */
	const char *const *raw;	    /* further lines of configuration, ends with NULL; NULL: none */
	struct {
		const char *bridge; /* existing bridge of the node */
		const char *link;   /* name the node's end of its link must get */
		uint8_t mac[6];
		uint32_t address; /* host byte order; 0: none, the guest asks by DHCP */
		unsigned prefix;
		uint32_t gateway;   /* serves names, too */
		const char *domain; /* where short names are looked up; NULL: none */
	} net;
};

/* What a driver observes. */
struct driver_status {
	char id[GUEST_ID_LEN + 1];
	enum guest_state state; /* STOPPED, STARTING, RUNNING, FROZEN, STOPPING or UNKNOWN */
	pid_t pid;		/* of the guest's init as the node sees it; 0: none */
	/* STOPPED: the wait status of init when it ended by itself since its last start; -1: not
	 * known, or it was ended by stop, kill or destroy. */
	int exit_status;
};

/* What a running guest has used since its start, and uses now. */
struct driver_stats {
	char id[GUEST_ID_LEN + 1];
	uint64_t cpu_ns;
	uint64_t cpu_periods, cpu_throttled; /* scheduling periods, those it was held back in */
	uint64_t cpu_throttled_ns;
	uint64_t memory, memory_peak, memory_cache, swap; /* bytes */
	uint64_t oom_kills; /* processes that the kernel killed for its limit of memory */
	uint64_t pids, pids_refused;
	uint64_t io_read_bytes, io_write_bytes, io_reads, io_writes;
};

enum driver_capability {
	DRIVER_CAN_UPDATE = 1 << 0,
	DRIVER_CAN_FREEZE = 1 << 1,
	DRIVER_CAN_EXEC = 1 << 2,
	DRIVER_CAN_UNPRIVILEGED = 1 << 3,
	DRIVER_CAN_CONSOLE = 1 << 4,
	DRIVER_CAN_FILE = 1 << 5,
	DRIVER_CAN_STATS = 1 << 6,
	DRIVER_CAN_DISK = 1 << 7,
	DRIVER_CAN_SAVE = 1 << 8,
	DRIVER_CAN_IMAGE = 1 << 9,
	DRIVER_CAN_LAYER = 1 << 10,
};

struct driver_info {
	char name[DRIVER_NAME_MAX + 1];
	char version[64];      /* of what is driven: "liblxc 5.0.2" */
	uint32_t capabilities; /* DRIVER_CAN_*; those that stand for a function follow from ops */
	enum image_kind image_kind; /* what its guests are made of */
	char acceleration[16];	    /* of machines: "kvm", "tcg"; empty: its guests need none */
	bool usable;		    /* false: problem says what is missing and what to do */
	char problem[256];
	char notice[256]; /* usable, but somebody should know this; empty: nothing */
};

/* A command to run in a guest. */
struct driver_exec {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in the guest's PATH */
	const char *const *env;	 /* KEY=VALUE, ends with NULL: beside PATH, HOME, TERM, which it may
				    replace; NULL: none */
	const char *user; /* "www-data", "33", "33:33": looked up inside the guest; NULL: root */
	const char *cwd;  /* NULL: the user's home, or / */
	bool terminal;	  /* stdin is a terminal, and becomes its controlling one */
	int stdin_fd, stdout_fd, stderr_fd; /* owned by the caller */
	/* Gets the command's wait status, an int, at its end, and is then closed; closed without
	 * one: its end was not seen. Owned by the caller, kept by the driver as a duplicate. */
	int status_fd;
};

/* A guest's console: what it wrote so far, and what it writes and reads. */
struct driver_console {
	int fd;	       /* a socket or pipe; owned by the caller */
	uint64_t tail; /* first at most so many bytes of its history */
	bool follow;   /* go on with what it writes */
	bool input;    /* and give it what is read from fd, a socket; implies follow */
};

enum driver_file_op {
	/* About the path itself; a link is not followed. */
	DRIVER_FILE_STAT,
	/* A directory, links followed: fd gets a line for each entry but "." and "..", in no order,
	 * a JSON object with name, type, mode, uid, gid, size, mtime_ms, and of a link target. */
	DRIVER_FILE_LIST,
	/* A regular file, links followed: fd gets its bytes. Without fd: only what it is. */
	DRIVER_FILE_READ,
	/* A regular file, made or replaced by a rename, from what fd gives. A link in its place is
	 * replaced, not followed; a directory in its place is ERR_INVALID. What was cut short (see
	 * whole_fd) replaces nothing: ERR_CANCELLED. */
	DRIVER_FILE_WRITE,
	DRIVER_FILE_MKDIR,  /* one directory, not those above; is there already: success */
	DRIVER_FILE_REMOVE, /* a file, link or empty directory; absent: success */
};

/* Something done to a file inside a guest. */
struct driver_file {
	enum driver_file_op op;
	const char *path; /* absolute, as the guest sees it */
	int fd; /* list, read: to write to; write: to read from; owned by the caller. Else -1 */
	/* write: a pipe that tells, behind the end of fd, whether that was all: by a byte. Closed
	 * without one: it was cut short. Owned by the caller; 0 or less: the end of fd is
	 * enough. */
	int whole_fd;
	int64_t mode;	  /* write, mkdir: permissions; -1: as it was, else 0644 or 0755 */
	int64_t uid, gid; /* as the guest sees them; -1: as it was, else root */
	/* write: with fewer bytes from fd the transfer was cut off: ERR_INVALID, and nothing is
	 * changed; 0: to the end, however many. */
	uint64_t size;
};

struct driver_file_info {
	char type[12];	   /* "file", "directory", "link", "other" */
	uint32_t mode;	   /* permissions */
	uint32_t uid, gid; /* as the guest sees them */
	uint64_t size;
	int64_t mtime_ms;
};

enum driver_disk_op {
	/* The volume of a running guest has room for a disk of `size` bytes now: makes it so large
	 * and tells the guest, whose file system is grown where that can be done. */
	DRIVER_DISK_RESIZE,
	/* Has a running guest say which blocks it does not use: they are returned to the pool. */
	DRIVER_DISK_DISCARD,
	/* All that a running guest has written is in its files, and nothing is written, until it is
	 * released: so they can be copied. Its file systems are brought to rest where the guest
	 * helps. For 30 s at most: then the driver releases it by itself, whatever became of the
	 * agent. */
	DRIVER_DISK_HOLD,
	DRIVER_DISK_RELEASE, /* not held is success */
};

/* Something done about the disk of a guest. */
struct driver_disk_work {
	enum driver_disk_op op;
	uint64_t size; /* resize */
};

struct driver_disk_result {
	bool file_system; /* resize: was grown, too; hold: is at rest */
	uint64_t freed;	  /* discard: bytes */
};

/* An image that the driver's daemon has. */
struct driver_image {
	char name[IMAGE_NAME_MAX + 1]; /* a reference: "debian:12", "registry.example.org/a/b:1" */
	char id[IMAGE_ID_MAX + 1];     /* "sha256:…": never means anything else */
	uint64_t size;		       /* bytes unpacked */
	int64_t created_ms;	       /* since the epoch, as it says */
};

enum driver_image_op {
	/* What that name means here; ERR_NOT_FOUND (image). Answers with one. */
	DRIVER_IMAGE_FIND,
	/* All that have a name, but for what the driver keeps of its guests; one with several
	 * names comes with each of them. */
	DRIVER_IMAGE_LIST,
	/* From an archive: as `docker save` writes it, an OCI image layout, or the files of a root
	 * file system, plain or compressed. It gets that name, and no other. Answers with one. */
	DRIVER_IMAGE_LOAD,
	/* From its registry, with the credentials of driver_config.registries. Answers with one. A
	 * daemon that goes away in the middle is waited for, and goes on with what it has. */
	DRIVER_IMAGE_PULL,
	/* The name, and what no other name and no guest needs; absent: success. ERR_CONFLICT while
	 * a guest, of whomever, is made of it. */
	DRIVER_IMAGE_REMOVE,
};

/* Something done about images, which are the daemon's and not any guest's. */
struct driver_image_work {
	enum driver_image_op op;
	const char *name; /* all but list */
	/* Load: read to its end; owned by the caller. Else -1. */
	int fd;
	/* Load: tells by a byte that all of it came, see driver_file.whole_fd. Else -1. */
	int whole_fd;
	const char
		*sha256; /* load: what its bytes must hash to, else ERR_INVALID; NULL: anything */
	bool replace;	 /* load: the name may mean another image already, else ERR_EXISTS */
	/* Load, pull: gets lines that tell how far it is, JSON objects: {"done": bytes, "total":
	 * bytes or 0, "what": "a few words"}. Closed at its other end: the work is given up,
	 * ERR_CANCELLED. Owned by the caller; -1: nobody wants to know. */
	int progress_fd;
};

/* The layer of a guest (driver_container): all that it wrote outside of its data. */
enum driver_layer_op {
	/* As it is now is kept as `name`, beside what is kept already; the guest may run, and is
	 * held meanwhile. Done already is success. */
	DRIVER_LAYER_KEEP,
	DRIVER_LAYER_DROP, /* what was kept as `name`; absent is success */
	/* A guest that does not run goes on from what was kept as `name`; what it had until now is
	 * put aside, and comes back, or goes for good, by one of the other two. All three may be
	 * repeated; with nothing aside those succeed. */
	DRIVER_LAYER_RESTORE,
	DRIVER_LAYER_RESTORE_UNDO,
	DRIVER_LAYER_RESTORE_FINISH,
	DRIVER_LAYER_USAGE,
	DRIVER_LAYER_BOUND, /* as usage, but at once: `used` is not looked for */
};

struct driver_layer_work {
	enum driver_layer_op op;
	const char *name; /* keep, drop, restore: as name_check_snapshot has it */
};

struct driver_layer_result { /* usage, bound */
	bool bounded;	     /* the daemon lets it hold no more than: */
	uint64_t size;	     /* bytes */
	uint64_t used;
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
	 * 10 s; of a container whose layer has to be copied for it up to 300 s, when the caller
	 * gives it that. */
	int (*create)(struct driver *driver, const struct driver_guest *guest, struct err *err);

	/* Starts a defined guest and returns when it runs: its init has been executed, its link is
	 * on the bridge. Running already is success. When it fails nothing of the guest is left
	 * running. At most 30 s. */
	int (*start)(
		struct driver *driver, const char *id, struct driver_status *ret, struct err *err);

	/* Asks the guest to shut down, as soon as it can hear that, and waits up to timeout_ms for
	 * it; then kills it. Returns when nothing of it runs and its link is gone. Stopped already
	 * is success. */
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

	/* Takes up changed facts of a defined guest (its name, limits, raw lines), what can be at
	 * once in a running one, and all at its next start. Refuses a memory limit below what is
	 * used (ERR_INVALID, limits.memory), and then changes nothing. At most 15 s. */
	int (*update)(struct driver *driver, const struct driver_guest *guest, struct err *err);

	/* Stops all its processes where they are (frozen), or lets them go on. At most 10 s. */
	int (*freeze)(struct driver *driver, const char *id, bool frozen, struct err *err);

	/* Starts a command inside a running guest and returns when it has been executed, with its
	 * pid as the node sees it. ERR_NOT_FOUND (command): there is none of that name; ERR_INVALID
	 * (command, user, cwd). The command, and what waits for its end, outlive driver and agent;
	 * they end with the guest. Of a machine, whose processes the node does not see, the pid is
	 * that of what carries the command's streams, and takes its place in all of this.
	 * ERR_UNSUPPORTED when there is no way into this guest, with what it would need;
	 * ERR_UNAVAILABLE when it may still be booting. At most 10 s. */
	int (*exec)(struct driver *driver, const char *id, const struct driver_exec *exec,
		pid_t *ret_pid, struct err *err);

	/* Connects a descriptor with the guest's console. Without follow it returns when the
	 * history is written; else what carries the bytes outlives driver and agent, ends when
	 * either side closes or the guest ends, and this returns once it is at work. A reader that
	 * is slow never holds up the guest. Of a guest that does not run the history is all there
	 * is, and input is ERR_ILLEGAL_STATE; where it is taken by one at a time, the second gets
	 * ERR_CONFLICT. At most 10 s. */
	int (*console)(struct driver *driver, const char *id, const struct driver_console *console,
		struct err *err);

	/* Does something to a file of a guest, running or not (of a machine only while it runs:
	 * ERR_ILLEGAL_STATE; with errors as exec where there is no way into it). Whatever links,
	 * mounts or races the guest prepares, nothing outside its root is touched or shown.
	 * ERR_NOT_FOUND, ERR_INVALID or ERR_ILLEGAL_STATE (path), ERR_NO_ROOM. Deadline by the
	 * caller. `ret` is filled for stat and read, of a file as it was when it was opened; may be
	 * NULL. A file that grows meanwhile is read up to the size that it had. */
	int (*file)(struct driver *driver, const char *id, const struct driver_file *file,
		struct driver_file_info *ret, struct err *err);

	/* What one running guest, or with `id` NULL each that runs, has used: allocates an array
	 * that the caller frees with free(). ERR_ILLEGAL_STATE when that one does not run. At most
	 * 5 s. */
	int (*stats)(struct driver *driver, const char *id, struct driver_stats **ret,
		size_t *ret_count, struct err *err);

	/* For guests with a disk, while they run (else ERR_ILLEGAL_STATE); of a container hold and
	 * release. ERR_UNSUPPORTED, with the reason, for what this guest does not help with. `ret`
	 * may be NULL. At most 60 s. */
	int (*disk)(struct driver *driver, const char *id, const struct driver_disk_work *work,
		struct driver_disk_result *ret, struct err *err);

	/* Writes the memory of a running guest to driver_disk.memory and ends it, in one step: it
	 * fails and the guest runs on, or it is there and the guest does not run. Done already is
	 * success. What starts a guest goes on from that file when it is there, and removes it once
	 * the guest runs. At most 300 s, and so may a start from it. */
	int (*save)(struct driver *driver, const char *id, struct err *err);

	/* For drivers whose images are kept by their daemon: both or neither. `ret` is an array
	 * that the caller frees with free(): one image, or of list all, sorted by name. What a
	 * registry refuses is ERR_DRIVER, ERR_NOT_FOUND or ERR_DENIED (image) with its words; one
	 * that says nothing for two minutes ERR_TIMEOUT. Deadline by the caller. */
	int (*image)(struct driver *driver, const struct driver_image_work *work,
		struct driver_image **ret, size_t *ret_count, struct err *err);

	/* destroy() removes all that was kept or is aside. `ret` may be NULL. At most 300 s. */
	int (*layer)(struct driver *driver, const char *id, const struct driver_layer_work *work,
		struct driver_layer_result *ret, struct err *err);
};

/* The capabilities that follow from which functions are there. */
uint32_t driver_capabilities(const struct driver_ops *ops);
const char *driver_capability_to_string(enum driver_capability capability); /* "update", … */

/* Checks that the mandatory functions are there; what drivers/host and the tests call first. */
int driver_ops_check(const struct driver_ops *ops, struct err *err);
