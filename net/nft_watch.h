/* Watching nf_tables for what others do to our tables, and to the chain that Docker has for rules
 * of others. */
#pragma once

#include <stdbool.h>

#include "net/nfnetlink.h"

struct err;

struct nft_watch {
	struct nfnl nfnl; /* socket NULL: not watching */
	unsigned own;	  /* port of the socket whose changes are ours */
};

/* Begins to watch; `own` is nfnl.portid of the socket that makes our changes. */
int nft_watch_open(struct nft_watch *watch, unsigned own, struct err *err);
void nft_watch_close(struct nft_watch *watch);

/* Readable when something was changed. */
int nft_watch_fd(const struct nft_watch *watch);

/* Reads all that came, without blocking. True when something of that was changed by others, or may
 * have been: the kernel leaves out what nobody reads in time. */
bool nft_watch_dispatch(struct nft_watch *watch);
