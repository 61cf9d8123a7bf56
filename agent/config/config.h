/* corpusd's configuration: YAML, every key optional, unknown keys refused with their line. Every
 * key is described in dist/corpusd.yaml, the example that is installed. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"
#include "model/role.h"

struct err;

/* One grant: a uid or a gid gets a role. */
struct access_grant {
	bool is_group;
	uint32_t id;
	enum role role;
};

/* A verb that needs a higher role here than its route. */
struct verb_role {
	char verb[32]; /* "guest.destroy" */
	enum role role;
};

#define CONFIG_PARALLEL 8

struct driver_settings {
	char *name;	   /* "lxc" */
	char *program;	   /* path; default: LIBEXEC/corpus-driver-NAME */
	char *endpoint;	   /* NULL: default */
	char *registries;  /* file of credentials; NULL: none */
	char **data_paths; /* of its containers that do not say theirs; ends with NULL */
	unsigned parallel; /* operations of this driver side by side; CONFIG_PARALLEL */
};

struct config {
	char *state_dir;      /* /var/lib/corpus */
	char *run_dir;	      /* /run/corpus */
	char *log_dir;	      /* /var/log/corpus */
	char *additions_dir;  /* /etc/corpus/guests.d */
	char *socket;	      /* RUN_DIR/agent.sock */
	uint32_t socket_mode; /* 0666: who may do what is decided by peer credentials */
	enum log_level log_level;
	unsigned workers;      /* threads for what blocks; default 4 */
	char *environment;     /* of the node: dev (default), staging, preprod, prod */
	char *node_name;       /* default: the host name */
	uint32_t node_address; /* shown to users as ssh host; 0: none */

	uint32_t slots; /* 0: from the node's resources: one for each 512 MiB of memory */

	struct {
		char *path;	 /* STATE_DIR/pool */
		char *loop_file; /* STATE_DIR/pool.img; empty: path is on btrfs already */
		uint64_t loop_size, loop_max; /* bytes: 20 GiB, 200 GiB; max 0: never grows */
		bool classic_quota;	      /* quota: classic; else auto, see storage/storage.h */
		uint64_t image_max_size, image_max_entries; /* 20 GiB, 1000000 */
	} storage;

	struct {
		char *bridge;	  /* lxcbr1 */
		uint32_t gateway; /* 10.5.0.1 */
		unsigned prefix;  /* 16 */
		char *domain;	  /* NULL: none */
		bool dhcp;
		bool docker_user; /* auto: true; off: false */
		uint16_t port_first, port_last;
	} net;

	struct {
		uint32_t base, count; /* 0: from /etc/subuid, root's first range */
	} idmap;

	struct driver_settings *drivers;
	size_t drivers_count;

	struct access_grant *grants; /* root is always admin */
	size_t grants_count;

	struct verb_role *verbs;
	size_t verbs_count;

	struct {
		uint64_t size;	/* bytes of a file, 16 MiB */
		unsigned files; /* older ones that are kept, 8 */
	} audit;

	uint64_t reconcile_ms;	     /* how often what is is compared with what should be; 60 s */
	uint64_t operations_kept_ms; /* finished operations are forgotten after it; 7 d */
	uint64_t events_kept;	     /* 10000 */
	uint64_t stats_interval_ms;  /* how often use is sampled without being asked for; 10 s;
					0: never */
	uint64_t session_keep_ms;    /* an ended session waits so long to be read; 60 s */
	uint32_t sessions_per_guest; /* 128 */
	uint32_t sessions_max;	     /* of the node; 1024 */
	uint64_t stop_timeout_ms;    /* how long a guest may take to shut down; 30 s */

	unsigned health_parallel; /* checks of guests' health side by side; 16 */

	struct restart_settings {
		uint64_t delay_ms;     /* before the first restart, doubled by each further one; 1 s
					*/
		uint64_t delay_max_ms; /* at most; 5 min */
		uint64_t reset_ms;     /* a guest that ran so long begins anew; 10 min */
	} restart;
};

/* Reads and checks a file; a path of NULL gives the defaults. ERR_INVALID names key and line. */
int config_load(const char *path, struct config **ret, struct err *err);

/* Accepts NULL, returns NULL. */
struct config *config_free(struct config *config);

/* The role of a peer: the highest that a grant gives to its uid or one of its groups. */
enum role config_role(const struct config *config, uid_t uid, const gid_t *gids, size_t gids_count);

/* The role that the configuration asks for that verb; ROLE_NONE when it says nothing of it. */
enum role config_verb_role(const struct config *config, const char *verb);
