/* nfnetlink transport for the firewall and for conntrack: one socket, batches that the kernel
 * carries out as one transaction, dumps. Built on libmnl; messages are written straight into one
 * buffer, since an element of a set is three attributes and the hot path should not allocate. */
#pragma once

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

struct nfnl {
	struct mnl_socket *socket;
	unsigned portid;
	uint32_t seq;
};

int nfnl_open(struct nfnl *nfnl, struct err *err);

/* The same transport to rtnetlink, for requests of its own: links and traffic control. */
int nfnl_open_route(struct nfnl *nfnl, struct err *err);

void nfnl_close(struct nfnl *nfnl);

/* Starts a message of `type` (subsystem << 8 | message) at buf. */
struct nlmsghdr *nfnl_message(
	struct nfnl *nfnl, void *buf, uint16_t type, uint16_t flags, uint8_t family);

/* Sends one request, a dump or one with NLM_F_ACK, and feeds the answers to `cb` until the last.
 * Negative errno; -EINTR when a change has overtaken a dump. */
int nfnl_request(struct nfnl *nfnl, const struct nlmsghdr *request, mnl_cb_t cb, void *data);

/* Several messages that are carried out together or not at all. */
struct nfnl_batch {
	struct nfnl *nfnl;
	char *buf;
	size_t used, room;
	size_t last; /* where the last message begins */
	uint32_t first_seq;
	bool failed; /* memory ran out */
};

/* `generation` of 0 means any; else the batch fails with -ERESTART when the ruleset has changed
 * since that generation. */
void nfnl_batch_begin(struct nfnl_batch *batch, struct nfnl *nfnl, uint32_t generation);

/* A message with at least `room` bytes behind it; finished by the next call of a batch function.
 * NULL when memory ran out, which nfnl_batch_commit reports. */
struct nlmsghdr *nfnl_batch_message(
	struct nfnl_batch *batch, uint16_t type, uint16_t flags, uint8_t family, size_t room);
void nfnl_batch_keep(struct nfnl_batch *batch, const struct nlmsghdr *message);

/* Sends it and waits for the verdict: 0 or the first negative errno. Frees the batch. */
int nfnl_batch_commit(struct nfnl_batch *batch);

/* Frees it unsent. */
void nfnl_batch_cancel(struct nfnl_batch *batch);
