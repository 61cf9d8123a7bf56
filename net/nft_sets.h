/* Elements of the nft backend's sets: fixed-size keys, read and written as the kernel lays them
 * out (each part of a concatenation padded to four bytes), and the difference between what is and
 * what should be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/firewall.h"
#include "net/nfnetlink.h"

enum nft_set { NFT_BRIDGES, NFT_ADDRESSES, NFT_PORTS, NFT_LINKS, NFT_GUESTS, NFT_SET_MAX_ };

#define NFT_KEY_MAX 28

struct nft_element {
	uint8_t key[NFT_KEY_MAX];
	uint8_t data[8];		   /* of a map: address and port */
	char owner[NET_LINK_NAME_MAX + 1]; /* of what is a guest's: the bridge, kept as a comment */
};

struct nft_elements {
	struct nft_element *list;
	size_t count, room;
};

/* Appends; -ENOMEM. */
int nft_elements_add(struct nft_elements *elements, const struct nft_element *element);
void nft_elements_finish(struct nft_elements *elements);

/* One change to a set: an element to be removed, or to be added. */
struct nft_change {
	enum nft_set set;
	bool add;
	struct nft_element element;
};

/* Elements as they should be. */
void nft_bridge_element(const struct firewall_net *net, struct nft_element *ret);
void nft_port_key(enum port_proto proto, uint16_t host, struct nft_element *ret);
void nft_port_element(const struct net_port *port, struct nft_element *ret);
void nft_address_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret);
void nft_link_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret);
void nft_guest_element(
	const struct firewall_net *net, const struct net_guest *guest, struct nft_element *ret);

/* Whether an element that was found belongs to the network: others are left alone. Pure. */
bool nft_element_belongs(
	const struct firewall_net *net, enum nft_set set, const struct nft_element *element);

/* Reads a whole set. -ENOENT when there is none, -EINTR when it changed meanwhile. */
int nft_set_dump(struct nfnl *nfnl, enum nft_set set, struct nft_elements *ret);

/* Looks one element up by its key and fills in the rest: 1 when it is there, 0 when not. Also 0
 * when there is no such set. */
int nft_set_get(struct nfnl *nfnl, enum nft_set set, struct nft_element *element);

/* Drops from `have` what belongs to other networks, unless it stands where something is wanted (a
 * port that leads elsewhere). Sorts `want`. Pure. */
void nft_keep_own(const struct firewall_net *net, enum nft_set set, struct nft_elements *have,
	struct nft_elements *want);

/* Calls `change` for what has to be removed from `have`, then for what has to be added, to make it
 * `want`; an element with other data is removed and added. Sorts both. Pure. */
void nft_diff(struct nft_elements *have, struct nft_elements *want, enum nft_set set,
	void (*change)(void *data, const struct nft_change *change), void *data);

/* Adds a change to a batch. */
void nft_batch_change(struct nfnl_batch *batch, const struct nft_change *change);
