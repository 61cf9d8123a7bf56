/* Docker's chain for rules of others. dockerd has the node drop all that is forwarded but what is
 * its own (FORWARD, policy DROP), and leads every packet through DOCKER-USER before that; it never
 * changes what is in there. So that is where our guests are let pass: by two rules of ours at its
 * head, which accept what comes in and what goes out by our bridge. What guests may send and get is
 * decided by our own tables, which a packet has to pass all the same (see firewall.h).
 *
 * Rules of iptables come in two kinds, which know nothing of each other: those that are kept in
 * nf_tables, and those of the older kernel interface ("legacy"). The chain may be there in either,
 * or in both. It is looked at and changed by the iptables program of its kind, as Docker itself
 * does it; nothing is run, and no table comes into being, where there is no such chain.
 *
 * Called by one thread at a time, but for the two functions of the watch. */
#pragma once

#include <stdbool.h>

#define DOCKER_USER_TABLE "filter"
#define DOCKER_USER_CHAIN "DOCKER-USER"

struct err;
struct docker_user;

/* Changes nothing yet. The name of the bridge is copied. */
int docker_user_open(const char *bridge, struct docker_user **ret, struct err *err);

/* Leaves the rules in place. Accepts NULL, returns NULL. */
struct docker_user *docker_user_close(struct docker_user *docker);

/* Makes it so, wherever there is the chain: both rules are in there, once, or with `pass` false
 * none of ours. Adds to *changes what had to be changed. */
int docker_user_apply(struct docker_user *docker, bool pass, unsigned *changes, struct err *err);

/* A descriptor that becomes readable now and then while guests are to be let pass; and whether the
 * legacy rules have changed since they were last made so. Neither blocks. Rules in nf_tables are
 * watched by nft_watch.h, without a timer. */
int docker_user_watch_fd(const struct docker_user *docker);
bool docker_user_watch_dispatch(struct docker_user *docker);
