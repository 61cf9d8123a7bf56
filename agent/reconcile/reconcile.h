/* The reconciler: what is, made what should be. It opens storage and network when the agent starts
 * (and again and again while they cannot be opened), and then compares, now and then, what state.db
 * says with what drivers, kernel and pool say. It repairs what bears our mark and needs no
 * decision: rules, reservations, links. Data that nobody knows (a volume without a guest) is told
 * as a problem of the node and left alone. */
#pragma once

struct agent;
struct err;
struct reconciler;

/* Opens storage and network, blocking: before the loop runs. A part that cannot be opened becomes a
 * problem of the node, not a failure of the agent. */
void reconcile_open(struct agent *agent);

int reconciler_create(struct agent *agent, struct reconciler **ret, struct err *err);

/* Accepts NULL, returns NULL. */
struct reconciler *reconciler_destroy(struct reconciler *reconciler);
