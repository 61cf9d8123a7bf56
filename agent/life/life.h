/* Life without hands: what happens to guests without anybody asking. They start with the node, in
 * order; they start again when they end by themselves, as their policy says; what is in them is
 * checked; and maintenance brings them to rest and back. docs/life.md tells all of it to people.
 *
 * Nothing here remembers what must not be lost: what is to be done follows at any time from the
 * table of guests (want_running, resting, restarts_in_row, all in state.db) and the node's mode. So
 * it is looked at again and again (after each operation, each sight of a guest, each start of the
 * agent), and goes on after a crash where it was. All that is done is done by ordinary operations.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/node.h"

struct agent;
struct db_txn;
struct err;
struct life;

/* When the guests and unfinished operations are loaded, and before anything is seen of them. After
 * a boot of the machine it notes, in state.db too, which guests are to start. */
int life_create(struct agent *agent, struct life **ret, struct err *err);

/* Begins, once the engine runs. */
void life_start(struct life *life);

/* Accepts NULL, returns NULL. */
struct life *life_destroy(struct life *life);

/* The node's mode was changed, and is on disk; or the machine goes down (agent->node_ends): then
 * guests are brought to rest, and the loop ends. When it is up again they are guests that ran. */
void life_mode_changed(struct life *life);

/* How far coming to rest, or back, is. */
struct node_rest life_rest(const struct agent *agent);

/* The names of the guests that this mode would stop, and start, each in order; new references. */
void life_foresee(const struct agent *agent, enum node_mode mode, bool rest, json_t **ret_stop,
	json_t **ret_start);
