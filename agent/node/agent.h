/* The agent: the parts of corpusd and what they share. Owned by main; all members belong to the
 * loop's thread, except that storage and net may be called from workers. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/config/config.h"
#include "agent/engine/engine.h"
#include "drivers/client/client.h"
#include "model/guest.h"
#include "model/image.h"
#include "model/node.h"
#include "net/net.h"
#include "storage/storage.h"

struct agent;
struct counters;
struct db_txn;
struct guest_entry;
struct sampler;

/* One configured driver. */
struct agent_driver {
	struct agent *agent;
	const struct driver_settings *settings;
	struct driver_client *client;
	struct op_class op_class;
	struct driver_info info; /* of the last probe; name empty: not probed yet */
	bool probed;		 /* it was, or could not be */
	/* What its guests are made of, by the last probe there ever was. IMAGE_KIND_MAX_: it was
	 * never probed. */
	enum image_kind image_kind;
	bool surveyed;	       /* its guests were listed, or could not be */
	uint64_t accepted;     /* operations, before it was asked last */
	unsigned lists;	       /* calls under way that list its guests */
	bool list_again;       /* what they tell is not of now */
	uint64_t listed_at;    /* agent->moves when the oldest of those was made */
	uint64_t listed_tales; /* agent->tales then */
	bool images_asked;     /* its images are being listed */
	bool images_again;     /* what that tells may not be of now */
	sd_event_source *lost; /* runs from its going down until its guests count as unknown */
	sd_event_source
		*again; /* runs from its saying that it is of no use until it is asked again */
};

/* An answer that is rendered once for each change of what it tells. */
struct agent_text {
	char *text; /* owned; NULL: not yet */
	size_t size;
	uint64_t version;
	int64_t made_ns;
};

#define AGENT_PROBLEMS_MAX 64
#define AGENT_NODE_KEY	   "node_key" /* in state_dir: the node's own ssh key */

/* Something about the node that a person should know: shown in /v1/node until it is gone. */
struct agent_problem {
	char code[64]; /* "storage", "driver.lxc", "orphan.volumes": names it */
	char message[320];
	int64_t since_ms;
};

struct agent {
	sd_event *loop;
	struct config *config;
	const char *config_path; /* NULL: there is no file */
	struct workers *workers;
	struct db *db;
	struct events *events;
	struct registry *registry;
	struct ipam *ipam;
	struct engine *engine;
	struct http_server *http;
	struct audit *audit;
	char *audit_path;
	char *node_key; /* the public half of the node's own ssh key: a line with its end */
	struct reconciler *reconciler;
	struct sampler *sampler;
	struct counters *counters;
	struct life *life;

	/* What agent/life wants to know, if it is there. They come from within other work, so they
	 * only note what there is to look at. */
	struct {
		/* Nothing is under way with the guest (any more), and its state was seen. */
		void (*settled)(struct agent *agent, struct guest_entry *entry);
		/* It runs with another first process than was known, by no operation: it was
		 * started again from inside, and its link is a new one. */
		void (*rebooted)(struct agent *agent);
		/* It is about to leave the table. */
		void (*gone)(struct agent *agent, struct guest_entry *entry);
	} hooks;
	struct sessions *sessions;

	struct net *net;	    /* NULL while it cannot be opened: see problems */
	struct storage *storage;    /* the same */
	struct storage_space space; /* of the pool, as it was seen last */
	char disk[16];		    /* under the pool, "7:0"; empty: not known */

	struct agent_driver *drivers;
	size_t drivers_count;

	struct image *images; /* sorted by name and kind */
	size_t images_count;

	enum node_mode mode;
	bool guests_rest;  /* in maintenance: guests are stopped, and started when it ends */
	bool asked_to_end; /* while it did */
	bool node_ends;	   /* the machine goes down: guests are stopped, and then corpusd ends */
	char environment[16];
	int64_t started_ms;
	char boot_id[37];
	bool fresh_boot;	   /* the machine was started since corpusd ran last */
	uint64_t events_submitted; /* number of the newest event that is in a submitted transaction
				    */

	uint64_t moves; /* operations about guests that have ended since the start */
	uint64_t tales; /* of changes of guests that drivers saw, since the start */

	uint64_t version; /* see agent_changed */
	struct agent_text node_text, slots_text;

	struct agent_problem problems[AGENT_PROBLEMS_MAX];
	size_t problems_count;
};

/* Commits a transaction and releases its events to listeners; engine_hooks.commit. */
void agent_commit(void *data, struct db_txn *txn, bool durable,
	void (*done)(void *data, int r, const struct err *err), void *done_data);

/* An operation changed its state or step: adds the event; engine_hooks.changed. */
void agent_operation_changed(void *data, const struct op *op, struct db_txn *txn);

/* Adds the rows of the guests that an operation is about, as they are now; engine_hooks.rows. */
void agent_operation_rows(void *data, const struct op *op, struct db_txn *txn);

/* Something that /v1/node or /v1/node/slots show was changed, guests aside: those tell themselves.
 */
void agent_changed(struct agent *agent);

/* Whether what was rendered is still so, and not older than that. */
bool agent_text_is_fresh(
	const struct agent *agent, const struct agent_text *text, int64_t max_age_ns);

/* Renders anew; takes `json` over (NULL: out of memory). -ENOMEM leaves the old text. */
int agent_text_set(const struct agent *agent, struct agent_text *text, json_t *json);

/* States a problem of that code, or states it anew. */
void agent_problem(struct agent *agent, const char *code, const char *message);
void agent_problem_gone(struct agent *agent, const char *code);

/* Sets a guest's observed state, with its event and row, in a transaction of its own. `problem` may
 * be NULL. Does nothing when it is so already. */
void agent_observe_guest(struct agent *agent, struct guest_entry *entry, enum guest_state state,
	pid_t pid, const char *problem);

/* The same inside a transaction. */
void agent_set_guest_state(struct agent *agent, struct guest_entry *entry, enum guest_state state,
	const char *problem, struct db_txn *txn);

/* Changes why a guest is as it is; NULL: no reason. With its row, but no event. */
void agent_set_guest_problem(
	struct agent *agent, struct guest_entry *entry, const char *problem, struct db_txn *txn);

/* To be called when no operation of the guest is under way and its state was seen. */
void agent_guest_settled(struct agent *agent, struct guest_entry *entry);

/* Adds a record to the audit log; takes it over. A log that cannot be written is a problem of the
 * node. */
void agent_audit(struct agent *agent, json_t *record);

/* NULL and ERR_INVALID (field driver) when none of that name is configured. */
struct agent_driver *agent_driver(struct agent *agent, const char *name, struct err *err);

/* What it makes its guests of; ERR_UNAVAILABLE (driver) until it has answered once. */
int agent_driver_kind(const struct agent_driver *driver, enum image_kind *ret, struct err *err);

/* What the network is told about a guest; borrows its strings. */
struct net_guest agent_net_guest(const struct guest *guest);

/* The image of that kind and name, or NULL. One of the kind oci is also found without ":latest". */
struct image *agent_image(struct agent *agent, enum image_kind kind, const char *name);

/* The driver that keeps images of the kind oci: that of the name, or where that is NULL the only
 * one. ERR_INVALID (driver), or ERR_UNSUPPORTED (kind) where there is none; ERR_UNAVAILABLE
 * (driver) while that is not known. */
struct agent_driver *agent_image_driver(struct agent *agent, const char *name, struct err *err);

/* Slots of the node in all, from the configuration or the node's memory. */
uint32_t agent_slots_total(const struct agent *agent);
