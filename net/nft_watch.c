/* Watching nf_tables. The kernel tells of each change, with the port of the socket that asked for
 * it; our own are passed over by that port. The child that loads our text has another port, and so
 * have the programs that put rules into Docker's chain: what they do looks like somebody else's
 * work, and costs one comparison that finds nothing. */
#include "net/nft_watch.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "net/docker_user.h"
#include "net/nft_ruleset.h"

#define RECEIVE_MAX 65536

/* Tables, chains, rules, sets, elements, objects and flow tables all name their table first. */
_Static_assert(NFTA_TABLE_NAME == 1 && NFTA_CHAIN_TABLE == 1 && NFTA_RULE_TABLE == 1 &&
		       NFTA_SET_TABLE == 1 && NFTA_SET_ELEM_LIST_TABLE == 1 &&
		       NFTA_OBJ_TABLE == 1 && NFTA_FLOWTABLE_TABLE == 1,
	"the first attribute names the table");

int nft_watch_open(struct nft_watch *watch, unsigned own, struct err *err)
{
	int group = NFNLGRP_NFTABLES, r;

	watch->own = own;
	if (watch->nfnl.socket)
		return 0;
	r = nfnl_open(&watch->nfnl, err);
	if (r < 0)
		return r;
	if (mnl_socket_setsockopt(
		    watch->nfnl.socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) < 0) {
		r = err_errno(err, errno, "cannot watch the firewall");
		nft_watch_close(watch);
	}
	return r;
}

void nft_watch_close(struct nft_watch *watch)
{
	nfnl_close(&watch->nfnl);
}

int nft_watch_fd(const struct nft_watch *watch)
{
	return mnl_socket_get_fd(watch->nfnl.socket);
}

/* Whether the message has this attribute with this text. */
static bool names(const struct nlmsghdr *nlh, uint16_t type, const char *text)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(attr) == type)
			return mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0 &&
			       strcmp(mnl_attr_get_str(attr), text) == 0;
	}
	return false;
}

/* The chain's coming, and each rule's coming and going. */
static bool names_docker_user(const struct nlmsghdr *nlh)
{
	uint8_t type = nlh->nlmsg_type & 0xff;
	bool rule = type == NFT_MSG_NEWRULE || type == NFT_MSG_DELRULE;

	if (!rule && type != NFT_MSG_NEWCHAIN)
		return false;
	return names(nlh, rule ? NFTA_RULE_CHAIN : NFTA_CHAIN_NAME, DOCKER_USER_CHAIN) &&
	       names(nlh, rule ? NFTA_RULE_TABLE : NFTA_CHAIN_TABLE, DOCKER_USER_TABLE);
}

static bool is_theirs(const struct nft_watch *watch, const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES &&
	       (nlh->nlmsg_type & 0xff) != NFT_MSG_NEWGEN && nlh->nlmsg_pid != watch->own &&
	       nlh->nlmsg_len >= MNL_ALIGN(sizeof(*nlh)) + sizeof(struct nfgenmsg) &&
	       (names(nlh, NFTA_TABLE_NAME, NFT_TABLE) || names_docker_user(nlh));
}

bool nft_watch_dispatch(struct nft_watch *watch)
{
	bool theirs = false;
	char buf[RECEIVE_MAX];

	for (;;) {
		ssize_t n = recv(nft_watch_fd(watch), buf, sizeof(buf), MSG_DONTWAIT);
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)(void *)buf;
		int left = (int)n;

		if (n < 0 && errno == ENOBUFS) {
			theirs = true;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return theirs;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left))
			theirs |= is_theirs(watch, nlh);
	}
}
