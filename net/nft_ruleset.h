/* The rules of the nft backend, which never change while it runs: all that does is in sets. */
#pragma once

#define NFT_TABLE	  "corpus"
#define NFT_SET_BRIDGES	  "bridges"   /* table ip: ifname */
#define NFT_SET_ADDRESSES "addresses" /* table ip: address of each guest */
#define NFT_MAP_PORTS	  "ports"     /* table ip: protocol . port : address . port */
#define NFT_SET_LINKS	  "links"     /* table bridge: link . MAC */
#define NFT_SET_GUESTS	  "guests"    /* table bridge: link . MAC . address */

/* The ruleset as text for nft. Loading it adds what is missing and replaces the rules in one
 * transaction, and leaves the elements of the sets alone. The caller frees it; NULL when memory
 * ran out. Pure. */
char *nft_ruleset_render(void);
