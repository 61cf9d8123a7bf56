/* A guest: what it should be (the specification that users write), what the node decided for it
 * (id, address, MAC, host ports: kept for its whole life), and what it is (its state). Data only:
 * validation, JSON and copies; nothing here touches the host. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/guest_container.h"
#include "model/image.h"
#include "model/name.h"
#include "model/port.h"

struct err;
struct guest;

enum guest_state {
	GUEST_ABSENT,
	GUEST_CREATING,
	GUEST_STOPPED,
	GUEST_STARTING,
	GUEST_RUNNING,
	GUEST_FREEZING,
	GUEST_FROZEN,
	GUEST_STOPPING,
	GUEST_DESTROYING,
	GUEST_ERROR,
	GUEST_UNKNOWN, /* its driver cannot tell just now */
	GUEST_STATE_MAX_,
};

const char *guest_state_to_string(enum guest_state value);
int guest_state_from_string(const char *text, enum guest_state *ret); /* -EINVAL */

/* What a guest may take of the node. Zero is "no limit". */
struct guest_limits {
	uint32_t cpu_milli;   /* thousandths of a CPU: 1500 is "1.5" */
	uint64_t memory;      /* bytes */
	uint64_t swap;	      /* bytes beyond memory */
	uint32_t pids;	      /* processes and threads */
	uint32_t io_weight;   /* 1-10000, 100 is the usual share (cgroup v2 io.weight) */
	uint64_t io_read;     /* bytes a second from the pool's disk */
	uint64_t io_write;    /* bytes a second to it */
	uint64_t net_ingress; /* bytes a second towards the guest */
	uint64_t net_egress;  /* bytes a second from the guest */
};

bool guest_limits_equal(const struct guest_limits *a, const struct guest_limits *b);

#define GUEST_STORAGE_DEFAULT (UINT64_C(5) << 30) /* 5 GiB: the platform's "5 GB" */
#define GUEST_STORAGE_MIN     (UINT64_C(1) << 20)
#define GUEST_SIZE_MAX	      (UINT64_C(1) << 50) /* 1 PiB: beyond it a size is a mistake */
#define GUEST_MEMORY_MIN      (UINT64_C(4) << 20)
#define GUEST_SSH_PORT	      22 /* inside the guest; the port with purpose "ssh" */

#define GUEST_IO_MIN (UINT64_C(64) << 10) /* a second: below it a guest hangs, not slows */

#define GUEST_SLOTS_MAX	 4096
#define GUEST_PORTS_MAX	 64
#define GUEST_LABELS_MAX 64
#define GUEST_LABEL_MAX	 255

struct guest_label {
	char *key;
	char *value;
};

/* What is done when a guest ends without having been asked to. */
enum guest_restart {
	GUEST_RESTART_NEVER,
	GUEST_RESTART_ON_FAILURE, /* unless its init ended with status 0 (it was shut down inside)
				   */
	GUEST_RESTART_ALWAYS,
	GUEST_RESTART_MAX_,
};

const char *guest_restart_to_string(enum guest_restart policy); /* "never", "on-failure", … */

#define GUEST_ORDER_MAX 1000000

#define GUEST_RESTARTS_DEFAULT 10

/* How to find out whether what is in a running guest works. */
enum guest_check { GUEST_CHECK_NONE, GUEST_CHECK_HTTP, GUEST_CHECK_TCP, GUEST_CHECK_EXEC };

const char *guest_check_to_string(enum guest_check check); /* "none", "http", … */

#define GUEST_HEALTH_GRACE_DEFAULT UINT32_MAX /* grace_s: see guest_health_grace */

#define GUEST_HEALTH_PATH_MAX	 1024
#define GUEST_HEALTH_COMMAND_MAX 64   /* words */
#define GUEST_HEALTH_WORD_MAX	 4096 /* bytes of one */

struct guest_health {
	enum guest_check check;
	uint16_t port;	/* http, tcp: inside the guest */
	char *path;	/* http: "/health"; any status from 200 to 399 is good */
	char **command; /* exec: ends with NULL; status 0 is good */
	uint32_t interval_s, timeout_s;
	uint32_t retries; /* failures in a row until it is unhealthy */
	uint32_t grace_s; /* after a start, in which failures do not count; or: */
	bool restart;	  /* an unhealthy guest is restarted, as its restart policy allows */
};

void guest_health_finish(struct guest_health *health);
/* False when memory ran out; to be finished all the same. */
bool guest_health_copy(struct guest_health *ret, const struct guest_health *health);
bool guest_health_equal(const struct guest_health *a, const struct guest_health *b);

/* The seconds after a start in which failures do not count, given or by default: half a minute, or
 * for a machine, which may boot under software emulation together with others, five. */
uint32_t guest_health_grace(const struct guest *guest);

enum guest_health_state {
	GUEST_HEALTH_NONE, /* not checked: no check, or it does not run */
	GUEST_HEALTH_STARTING,
	GUEST_HEALTH_HEALTHY,
	GUEST_HEALTH_UNHEALTHY,
};

const char *guest_health_to_string(enum guest_health_state state);

#define GUEST_SNAPSHOTS_MAX	256
#define GUEST_SNAPSHOT_NAME_MAX SNAPSHOT_NAME_MAX
#define GUEST_SSH_KEYS_MAX	64
#define GUEST_SSH_KEY_MAX	16384
#define GUEST_USER_DATA_MAX	65536
#define GUEST_RAW_MAX		64 /* lines */
#define GUEST_RAW_LINE_MAX	1024
#define GUEST_PASSWORD_LEN	24

/* What a snapshot's files are like, for whoever goes on from them. */
enum snapshot_consistency {
	SNAPSHOT_CRASH,	      /* as a power cut at that moment would have left them */
	SNAPSHOT_FILE_SYSTEM, /* its file systems were at rest */
	SNAPSHOT_STOPPED,     /* the guest did not run */
	SNAPSHOT_CONSISTENCY_MAX_,
};

const char *snapshot_consistency_to_string(enum snapshot_consistency consistency); /* "crash", … */

struct guest_snapshot {
	char name[GUEST_SNAPSHOT_NAME_MAX + 1];
	int64_t created_ms;
	enum snapshot_consistency consistency;
	bool memory;   /* what the guest had in memory is in it: it can go on from there */
	uint64_t size; /* of the guest's storage then; 0: not known */
};

/* As the API shows it; a new reference. */
json_t *guest_snapshot_to_json(const struct guest_snapshot *snapshot);

/* What of its seed a machine or a container does not have yet, or is not known to have
 * (docs/first-boot.md). */
enum guest_seed {
	GUEST_SEED_NAME = 1 << 0,
	GUEST_SEED_KEYS = 1 << 1,
	GUEST_SEED_USER_DATA = 1 << 2, /* handed over, and how they ended is not known */
};

const char *guest_seed_to_string(enum guest_seed part); /* "name", "ssh_keys", "user_data" */
json_t *guest_seeds_to_json(uint32_t parts);		/* the names of several */

struct guest {
	/* Decided by the node, once. */
	char id[GUEST_ID_LEN + 1];
	uint32_t address; /* IPv4, host byte order; 0 while none is leased */
	uint8_t mac[6];
	int64_t created_ms; /* since the epoch */
	/* Owned; what its volume was made with. NULL: its root is a tree of files, or its volume is
	 * still to be made. */
	struct image_disk *disk;

	/* The specification. */
	/* Owned; of a guest made of an image of the kind oci. NULL: it is of another kind, or a
	 * request does not say. */
	struct guest_container *container;
	char *name;
	char driver[DRIVER_NAME_MAX + 1];
	char *image;
	uint32_t slots;
	struct guest_limits limits;
	uint64_t storage_size; /* bytes */
	char environment[16];  /* dev, staging, preprod, prod */
	struct {
		bool on;	  /* start with the node when it was running */
		uint32_t order;	  /* lower ones first; those of one number side by side */
		uint32_t delay_s; /* after its start, before those of the next number */
	} autostart;
	struct {
		enum guest_restart policy;
		uint32_t max; /* in a row, until it is left alone; 0: no end */
	} restart;
	struct guest_health health;
	char **ssh_keys; /* owned, ends with NULL; NULL: none. Those that may log in as root */
	char *user_data; /* owned; NULL: none */
	char **raw;	 /* owned, ends with NULL; NULL: none. Lines for the driver: admins only */
	bool privileged; /* root inside is root outside: admins only */
	struct port *ports; /* owned array; the entry with purpose "ssh" is always there */
	size_t ports_count;
	struct guest_label *labels; /* owned array, sorted by key */
	size_t labels_count;

	/* What is kept with it. */
	char password[GUEST_PASSWORD_LEN + 1]; /* of root, made at creation; admins only */
	bool first_boot_done;		       /* its user data have been run, or handed over */
	uint32_t seed_pending;		       /* enum guest_seed; not of trees */
	struct guest_snapshot *snapshots;      /* owned array, oldest first */
	size_t snapshots_count;

	/* What it should be doing, and what it is. */
	bool want_running; /* until somebody stops it, or it shuts itself down for good */
	enum guest_state state;
	int64_t since_ms; /* of the state */
	pid_t pid;	  /* of its init on the node; 0 when it has none */
	/* Owned: settings that were changed since its start and count from its next one, by their
	 * paths, with the values that it runs with. NULL: none. */
	json_t *runs_with;
	enum guest_health_state health_state;
	uint32_t restarts;	  /* by its policy, since somebody started it last */
	uint32_t restarts_in_row; /* of those: without running for long in between */
	bool resting;  /* its turn to start will come: after a boot, or when maintenance ends */
	char *problem; /* why it is in GUEST_ERROR or GUEST_UNKNOWN; NULL otherwise */
	uint64_t generation; /* counts every change of specification or state: the ETag */
};

/* What its volume is: of that kind of image it was made. */
enum image_kind guest_image_kind(const struct guest *guest);

/* Parts that a machine or a container which ran already has yet to be given; nothing for other
 * guests. */
void guest_note_seed(struct guest *guest, uint32_t parts);

/* Its settings that count from its start only, as an object of their paths ("container.command")
 * and values; a new reference. */
json_t *guest_start_settings(const struct guest *guest);

/* What such settings were and are, as objects like that: one that runs goes on with what was. A
 * change that is taken back is none. */
void guest_note_changes(struct guest *guest, const json_t *was, const json_t *now);

/* Nothing runs without them any more; returns whether there were such. */
bool guest_drop_changes(struct guest *guest);

/* Releases everything; accepts NULL; returns NULL. */
struct guest *guest_free(struct guest *guest);
void guest_freep(struct guest **guest);

/* A guest with the defaults of the API, without name, image and ports; NULL when memory ran out. */
struct guest *guest_create(void);

/* Deep copy, NULL when memory ran out. */
struct guest *guest_copy(const struct guest *guest);

/* --- JSON ------------------------------------------------------------------------------------ */

/* A guest from a creation request (API: POST and PUT /v1/guests). Unknown fields are refused by
 * their full path; read-only ones (id, state, ...) are refused with a hint. Fields that are absent
 * get the defaults of the API: driver "lxc", slots 1, storage 5 GB, environment "dev", autostart
 * on, restart never (10 times in a row where a policy is given without max), no health check, state
 * wanted running. `start: false` creates it stopped. ports[].host 0, null or absent means
 * "any free one"; the port with purpose "ssh" is added when it is not given. network.address and
 * network.mac may ask for an address. A field that is null counts as absent. */
int guest_from_request(const json_t *json, struct guest **ret, struct err *err);

/* A new guest after the model of another one: the request is a merge patch (RFC 7396) of what would
 * create the other again, without its name (which has to be given), its network and its host ports.
 * Driver, image and privileged stay. */
int guest_from_clone_request(
	const struct guest *from, const json_t *request, struct guest **ret, struct err *err);

/* Applies a JSON merge patch (RFC 7396) of the changeable fields (limits, slots, environment,
 * autostart, restart, health, labels, ssh_keys, raw, user_data, container) to a guest; null resets
 * a field to its default. On failure the guest is as it was. Fields that cannot be changed after
 * creation are ERR_INVALID, with the way to do it instead (storage: enlarge and trim; ports: the
 * ports resource); user data after the first boot are ERR_CONFLICT. */
int guest_patch(struct guest *guest, const json_t *patch, struct err *err);

/* The guest as the API shows it; `node_address` fills ssh.host; a new reference. Neither password
 * nor user data (only their size) are in it. */
json_t *guest_to_json(const struct guest *guest, const char *node_address);

/* The specification, the node's decisions and the last known state as state.db keeps them, and
 * back. All but the pid, which means nothing after a reboot, comes back exactly. */
json_t *guest_to_record(const struct guest *guest);
int guest_from_record(const json_t *json, struct guest **ret, struct err *err);

/* Whether two guests ask for the same: the comparison behind PUT. On a difference that can be
 * changed in place `ret_patch` gets the merge patch from `have` to `want` (a new reference, an
 * empty object when they are the same); one that cannot be changed is ERR_CONFLICT with its field.
 * What `want` leaves to the node (address, MAC, host ports) is never a difference, nor is whether
 * it should be running, nor user data that it does not give: what the API shows can be sent back.
 */
int guest_diff(
	const struct guest *have, const struct guest *want, json_t **ret_patch, struct err *err);

/* The port with that purpose, or NULL. */
const struct port *guest_port_by_purpose(const struct guest *guest, const char *purpose);

/* Removes all labels. */
void guest_clear_labels(struct guest *guest);

#define GUEST_ETAG_MAX (GUEST_ID_LEN + 24)

/* "ID-GENERATION", without the quotes of the header: a guest that is made again under an old name
 * never has an old tag. Returns buf. */
const char *guest_etag(char buf[static GUEST_ETAG_MAX], const struct guest *guest);

/* --- Verbs and states ------------------------------------------------------------------------ */

enum guest_verb {
	VERB_CREATE,
	VERB_START,
	VERB_STOP,
	VERB_RESTART,
	VERB_KILL,
	VERB_DESTROY,
	VERB_UPDATE,
	VERB_ENLARGE,
	VERB_TRIM,
	VERB_PUBLISH,
	VERB_UNPUBLISH,
	VERB_SWITCH,
	VERB_FREEZE,
	VERB_THAW,
	VERB_RENAME,
	VERB_CLONE, /* of the guest that is copied */
	VERB_SNAPSHOT,
	VERB_SNAPSHOT_DELETE,
	VERB_RESTORE,
	VERB_MAX_,
};

const char *guest_verb_to_string(enum guest_verb verb); /* "start", ... */
int guest_verb_from_string(const char *text, enum guest_verb *ret);

/* Whether the verb is legal in that state; the table is in verb.c. ERR_ILLEGAL_STATE names the
 * states in which it is; creating what is there is ERR_EXISTS, all else with a guest that is absent
 * ERR_NOT_FOUND. To be asked when a request comes and again when its turn has come. */
int guest_verb_check(
	enum guest_verb verb, enum guest_state state, const char *guest_name, struct err *err);

/* The state shown while the verb runs, and the one after it succeeded. GUEST_STATE_MAX_: as before.
 * A create ends in GUEST_STOPPED: what starts the new guest goes on from there. */
enum guest_state guest_verb_during(enum guest_verb verb);
enum guest_state guest_verb_after(enum guest_verb verb);
