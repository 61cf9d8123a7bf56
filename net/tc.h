/* Traffic control over rtnetlink (libmnl): the messages that net/rate.c is made of, one kernel
 * object each. All functions return 0 or the kernel's negative errno; what is to be removed and is
 * not there, and what is to be made and is there just so, is success. A link that is gone is
 * -ENODEV.
 *
 * Written out here and not built by libnl-route, whose rates end at 2 GB/s and whose tables of
 * times for each size of a packet no kernel since 3.9 reads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/nfnetlink.h"

/* A class of the shaper (HTB). */
struct tc_class {
	uint32_t id, parent;
	uint64_t rate, ceil; /* bytes a second: what it always gets, and what it gets at most */
	uint32_t burst;	     /* bytes that may pass at once */
	uint32_t quantum;    /* bytes, when it borrows in turn with others */
	uint32_t prio;	     /* lower ones borrow first */
	uint32_t leaf;	     /* handle of the queue below it, when it is read; 0: none */
};

/* A filter that puts packets into a class. */
struct tc_match {
	uint32_t parent;      /* queue whose filter it is */
	uint16_t prio;	      /* its place, and what it is removed by */
	uint16_t protocol;    /* ETH_P_*, host byte order */
	uint32_t value, mask; /* of the word at `offset` of the network header, host byte order */
	int offset;
	uint32_t class;
};

/* --- Links --- */

/* Index of the link of that name; 0: none. */
int tc_link_index(struct nfnl *nl, const char *name, int *ret);

/* Makes an ifb link that is up, with that MAC. */
int tc_ifb_add(struct nfnl *nl, const char *name, const uint8_t mac[static 6]);
int tc_link_remove(struct nfnl *nl, int ifindex);

/* --- Queues, classes, filters --- */

/* A shaper as the link's root, in place of whatever is there; what no filter puts elsewhere goes to
 * class `def` of it. */
int tc_shaper_add(struct nfnl *nl, int ifindex, uint32_t handle, uint32_t def);

/* The link's root, if it bears that handle. */
int tc_root_remove(struct nfnl *nl, int ifindex, uint32_t handle);

/* Adds the class, or changes it where it is: packets that wait in it stay. */
int tc_class_set(struct nfnl *nl, int ifindex, const struct tc_class *class);

/* A queue of so many bytes below a class; the same. */
int tc_queue_set(struct nfnl *nl, int ifindex, uint32_t parent, uint32_t handle, uint32_t bytes);

int tc_match_add(struct nfnl *nl, int ifindex, const struct tc_match *match);
int tc_match_remove(struct nfnl *nl, int ifindex, const struct tc_match *match);

/* The hook for what a link receives; some of another's making serves as well. Removing it takes
 * every filter on it along. */
int tc_ingress_add(struct nfnl *nl, int ifindex);
int tc_ingress_remove(struct nfnl *nl, int ifindex);

/* Hands all that the link receives to another link, at that place among the hook's filters. */
int tc_redirect_add(struct nfnl *nl, int ifindex, uint16_t prio, int to);
int tc_redirect_remove(struct nfnl *nl, int ifindex, uint16_t prio);

/* --- What is there --- */

/* The kernel's answers, fed to `each` until it returns below 0. */
int tc_each_link(struct nfnl *nl,
	int (*each)(void *data, int ifindex, const char *name, const uint8_t *mac), void *data);
int tc_each_queue(struct nfnl *nl,
	int (*each)(void *data, int ifindex, uint32_t parent, uint32_t handle), void *data);
int tc_each_class(struct nfnl *nl, int ifindex,
	int (*each)(void *data, const struct tc_class *class), void *data);

/* Filters below `parent` of a link: their place, the class they put packets into (0: none) and the
 * link they hand them to (0: none). */
int tc_each_filter(struct nfnl *nl, int ifindex, uint32_t parent,
	int (*each)(void *data, uint16_t prio, uint32_t class, int to), void *data);

#define TC_INGRESS_PARENT 0xfffffff2u /* filters of what a link receives */
