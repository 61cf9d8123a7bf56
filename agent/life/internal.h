/* What the files of agent/life share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "agent/life/life.h"
#include "agent/node/agent.h"
#include "agent/node/registry.h"
#include "agent/ops/verbs.h"

struct walk_kind;

/* A walk through the guests, group after group: starting them, or bringing them to rest. */
struct walk {
	struct life *life;
	const struct walk_kind *kind;
	bool walking;
	unsigned under_way;	/* of the group */
	unsigned moved, failed; /* of the walk */
	uint32_t delay_s;	/* after the group */
	sd_event_source *pause;
};

/* What is remembered of one guest: nothing that would be missed after a restart of the agent. */
struct life_guest {
	struct life *life;
	struct guest_entry *entry;
	bool noted; /* is to be looked at */
	struct life_guest *next, *prev;

	struct walk *walk;	  /* whose group it is in, under way; NULL: none */
	const struct walk *tried; /* it had its turn in this one */

	int64_t ran_since_ms; /* 0: it does not run */
	int64_t ran_ms;	      /* how long it ran, when it has ended; see restart_facts */
	sd_event_source *restart;
	struct health *health;	    /* NULL: not checked */
	struct command *first_boot; /* NULL: its user data are not being run */
	struct push *push;	    /* NULL: nothing is to be given to it */
	bool unhealthy;		    /* and to be restarted for it */
	bool given_up;		    /* restarted too often */
	bool not_started;	    /* with the node, or after maintenance, though it should have */
};

struct life {
	struct agent *agent;
	bool started;
	struct life_guest *noted;
	bool retell; /* problems of the node may have changed */
	sd_event_source *look;
	struct walk wake, rest;
	struct health *checks_due;
	unsigned checks_under_way;
};

/* What is remembered of that guest, made when need be; NULL without memory. */
struct life_guest *life_guest(struct life *life, struct guest_entry *entry);

/* Has it looked at soon. */
void life_note(struct life *life, struct guest_entry *entry);
void life_note_all(struct life *life);

/* A problem of the node about some guests may have changed. */
void life_retell(struct life *life);

/* --- walk.c: in order ------------------------------------------------------------------------ */

void walks_init(struct life *life);
void walks_finish(struct life *life);

/* Goes on where something is to be done. */
void walks_go_on(struct life *life);

/* Everybody gets a turn again, by what the mode says now. */
void walks_begin_anew(struct life *life);

/* Nothing is under way with the guest: its group may have ended. */
void walk_look(struct life_guest *guest);

/* It leaves the table. */
void walk_forget(struct life_guest *guest);

/* --- restart.c: restart policies ------------------------------------------------------------- */

/* Nothing is under way with the guest: it may have ended by itself. */
void restart_look(struct life_guest *guest);
void restart_forget(struct life_guest *guest);

/* --- health.c: health checks ----------------------------------------------------------------- */

/* Nothing is under way with the guest: whether and how it is checked may have changed. */
void health_look(struct life_guest *guest);
void health_forget(struct life_guest *guest);

/* --- first_boot.c: user data ----------------------------------------------------------------- */

/* Nothing is under way with the guest: it may run for the first time. */
void first_boot_look(struct life_guest *guest);
void first_boot_forget(struct life_guest *guest);

/* The event guest.user_data: with those fields, which are taken over; or with how they ended, a
 * wait status. */
void first_boot_tell(struct life_guest *guest, json_t *how);
void first_boot_tell_end(struct life_guest *guest, int status);

/* --- push.c: changes inside of machines ------------------------------------------------------ */

/* Nothing is under way with the guest: it may have yet to be given something. */
void push_look(struct life_guest *guest);
void push_forget(struct life_guest *guest);

/* All machines have yet to be given the node's ssh key when that is another than it was. */
void push_note_node_key(struct agent *agent);
