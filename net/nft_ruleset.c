/* The rules of the nft backend, as text. Each chain says why it is there; docs/network.md tells
 * the whole story. No anonymous sets: the kernel numbers their names, and the fingerprint of the
 * loaded rules has to be the same each time (see firewall_nft.c). */
#include "net/nft_ruleset.h"

#include "base/strbuf.h"
#include "net/link.h"

/* Sizes, so that the kernel takes a hash table that it never resizes: lookups are quicker, and a
 * dump that meets a table being resized shows some elements twice and others not at all. */
static const char g_sets[] = "table ip " NFT_TABLE " {\n"
			     "	set " NFT_SET_BRIDGES " {\n"
			     "		type ifname\n"
			     "	}\n"
			     "	set " NFT_SET_ADDRESSES " {\n"
			     "		type ipv4_addr\n"
			     "		size 16384\n"
			     "	}\n"
			     "	map " NFT_MAP_PORTS " {\n"
			     "		type inet_proto . inet_service : ipv4_addr . inet_service\n"
			     "		size 65535\n"
			     "	}\n"
			     "}\n"
			     "table bridge " NFT_TABLE " {\n"
			     "	set " NFT_SET_LINKS " {\n"
			     "		type ifname . ether_addr\n"
			     "		size 16384\n"
			     "	}\n"
			     "	set " NFT_SET_GUESTS " {\n"
			     "		type ifname . ether_addr . ipv4_addr\n"
			     "		size 16384\n"
			     "	}\n"
			     "}\n";

struct chain {
	const char *family, *name;
	const char *hook; /* NULL: not a base chain */
	const char *rules[10];
};

/* What leads a connection to a guest, the same for what comes in and for the node's own. */
#define DNAT "fib daddr type local dnat ip to meta l4proto . th dport map @" NFT_MAP_PORTS

static const struct chain g_chains[] = {
	/* With route_localnet a guest could address the node's loopback: never from a link. */
	{"ip", "raw", "type filter hook prerouting priority -300",
		{"iifname @" NFT_SET_BRIDGES " ip daddr 127.0.0.0/8 drop"}},
	{"ip", "prerouting", "type nat hook prerouting priority -100", {DNAT}},
	{"ip", "output", "type nat hook output priority -100", {DNAT}},
	/* Outwards; then a guest that comes back to a guest through the node, and the node's own
	 * loopback: answers have to pass the node again. By address, not by iifname: where bridged
	 * frames are shown to this hook (br_netfilter) it is not told where they came in. */
	{"ip", "postrouting", "type nat hook postrouting priority 100",
		{"ip saddr @" NFT_SET_ADDRESSES " oifname != @" NFT_SET_BRIDGES " masquerade",
			"ip saddr @" NFT_SET_ADDRESSES " oifname @" NFT_SET_BRIDGES
			" ct status dnat masquerade",
			"ip saddr 127.0.0.0/8 oifname @" NFT_SET_BRIDGES
			" ct status dnat masquerade"}},
	/* A guest that reaches another through the node comes in and goes out by the same bridge.
	 * The kernel would tell it of a shorter way, past the address translation. */
	{"ip", "redirects", "type filter hook output priority 0",
		{"oifname @" NFT_SET_BRIDGES " icmp type redirect drop"}},
	/* From outside to a guest: through a published port or as an answer, else not at all. */
	{"ip", "forward", "type filter hook forward priority 0",
		{"oifname != @" NFT_SET_BRIDGES " accept", "ct state established,related accept",
			"ct status dnat accept", "iifname @" NFT_SET_BRIDGES " accept", "drop"}},
	{"bridge", "prerouting", "type filter hook prerouting priority -200",
		{"iifname \"" LINK_PREFIX "*\" goto guest"}},
	/* A DHCP request is for the node, and floods to no other guest. */
	{"bridge", "forward", "type filter hook forward priority -200",
		{"iifname \"" LINK_PREFIX "*\" udp dport 67-68 drop"}},
	/* A tagged frame would show what it carries to the matches below; a guest is no DHCP
	 * server; then what is its own, an ARP probe for an address, a request for a lease. */
	{"bridge", "guest", NULL,
		{"ether type 8021q drop", "ether type 8021ad drop", "udp sport 67 drop",
			"iifname . ether saddr . ip saddr @" NFT_SET_GUESTS " accept",
			"iifname . ether saddr != @" NFT_SET_LINKS " drop",
			"arp htype 1 arp ptype ip arp operation 1-2 "
			"iifname . arp saddr ether . arp saddr ip @" NFT_SET_GUESTS " accept",
			"arp htype 1 arp ptype ip arp operation request "
			"iifname . arp saddr ether @" NFT_SET_LINKS " arp saddr ip 0.0.0.0 accept",
			"ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 "
			"accept",
			"drop"}},
};

static void render_chain(struct strbuf *buf, const struct chain *chain)
{
	strbuf_addf(buf, "add chain %s " NFT_TABLE " %s", chain->family, chain->name);
	if (chain->hook)
		strbuf_addf(buf, " { %s; policy accept; }", chain->hook);
	strbuf_add(buf, "\n");
}

static void render_rules(struct strbuf *buf, const struct chain *chain)
{
	for (const char *const *rule = chain->rules; *rule; rule++)
		strbuf_addf(buf, "add rule %s " NFT_TABLE " %s %s\n", chain->family, chain->name,
			*rule);
}

char *nft_ruleset_render(void)
{
	const size_t count = sizeof(g_chains) / sizeof(g_chains[0]);
	struct strbuf buf = {0};

	strbuf_add(&buf, g_sets);
	for (size_t i = 0; i < count; i++)
		render_chain(&buf, &g_chains[i]);
	/* Without a chain's name: all rules of the table go, also those that somebody added. */
	strbuf_add(&buf, "flush table ip " NFT_TABLE "\nflush table bridge " NFT_TABLE "\n");
	for (size_t i = 0; i < count; i++)
		render_rules(&buf, &g_chains[i]);
	return strbuf_take(&buf);
}
