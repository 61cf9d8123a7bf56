/* The node as the API shows it: facts that the agent gathers, and their JSON. Texts and arrays are
 * borrowed for as long as a call takes. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "model/guest.h"

enum node_mode {
	NODE_ACTIVE,
	NODE_DRAIN,	  /* takes no new guest; those it has run on */
	NODE_MAINTENANCE, /* nor changes of guests, except to stop, kill and destroy */
	NODE_MODE_MAX_,
};

const char *node_mode_to_string(enum node_mode value); /* "active", "drain", "maintenance" */
int node_mode_from_string(const char *text, enum node_mode *ret); /* -EINVAL */

/* PATCH /v1/node: {mode: …, guests: "keep" or "stop"}. Guests rest in maintenance only. */
struct node_change {
	enum node_mode mode;
	enum node_guests { NODE_GUESTS_AS_THEY_ARE, NODE_GUESTS_KEEP, NODE_GUESTS_STOP } guests;
};

int node_change_from_request(const json_t *json, struct node_change *ret, struct err *err);

/* How far the guests are on their way to rest, or back. */
struct node_rest {
	enum node_rest_state { NODE_AWAKE, NODE_STOPPING, NODE_RESTING, NODE_WAKING } state;
	uint32_t guests;  /* that rest: stopped, to be started again */
	uint32_t running; /* all that run */
};

struct node_slots {
	uint32_t total;
	uint32_t used;	   /* of guests that exist */
	uint32_t reserved; /* of guests being created */
	enum node_mode mode;
};

/* Slots that a new guest could have: none unless the node is active, or when there are more guests
 * than slots (the total was lowered). */
uint32_t node_slots_free(const struct node_slots *slots);

struct node_driver {
	const char *name;
	const char *version;	  /* of what is driven; "" or NULL while not known */
	const char *problem;	  /* what is missing and what to do; "" or NULL: nothing */
	const char *notice;	  /* usable, but somebody should know this; "" or NULL: nothing */
	const char *image_kind;	  /* what its guests are made of; NULL: not known yet */
	const char *acceleration; /* of machines; "" or NULL: its guests need none */
	bool usable;
	pid_t pid;			 /* of its process; 0: none */
	char *const *data_paths;	 /* of containers that do not say theirs; NULL: none */
	const char *const *capabilities; /* names, ends with NULL */
};

struct node_problem {
	const char *code; /* a stable word: "clock_jumped" */
	const char *message;
	int64_t since_ms; /* since the epoch */
};

struct node_info {
	const char *name;
	const char *version; /* of the agent */
	const char *environment;
	const char *kernel;
	const char *boot_id; /* of the kernel, random(4): differs after a reboot; NULL: not known */
	int64_t started_ms;  /* the agent */
	uint32_t address;    /* host byte order; 0: none is configured */

	uint32_t cpus;
	uint64_t memory_total, memory_available;			      /* bytes */
	uint64_t storage_total, storage_used, storage_free, storage_growable; /* bytes */

	struct node_slots slots;
	struct node_rest rest;
	uint32_t guests[GUEST_STATE_MAX_]; /* how many are in each state */

	const struct node_driver *drivers;
	size_t drivers_count;
	const struct node_problem *problems;
	size_t problems_count;
};

/* GET /v1/node; a new reference. */
json_t *node_to_json(const struct node_info *node);

/* A guest that takes slots. */
struct node_slot {
	const struct guest *guest;
	uint32_t slots; /* with what an operation under way has reserved for it */
	bool reserved;	/* it is being created */
};

/* GET /v1/node/slots: the counts and who uses them, in the order given; a new reference. */
json_t *node_slots_to_json(
	const struct node_slots *slots, const struct node_slot *taken, size_t taken_count);
