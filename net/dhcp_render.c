/* dnsmasq's files as text. Options are described in dnsmasq(8). */
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "net/dhcp.h"

char *dhcp_render_config(
	const struct net_config *config, const char *dir, const char *user, unsigned ifindex)
{
	uint32_t mask = ~UINT32_C(0) << (32 - config->prefix);
	struct strbuf buf = {0};

	strbuf_addf(&buf, "# Written by corpus for %s (interface index %u); do not edit.\n",
		config->bridge, ifindex);
	/* Nobody but the bridge's guests is served: not even the node's loopback. */
	strbuf_addf(&buf, "interface=%s\nexcept-interface=lo\nbind-dynamic\n", config->bridge);
	strbuf_addf(&buf, "user=%s\npid-file=%s/pid\n", user, dir);
	strbuf_addf(&buf, "no-hosts\nhostsdir=%s/names\n", dir);
	/* What is asked about the guests themselves is answered here or not at all: neither waits
	 * for, nor tells, another server. domain-needed covers short names, the file the full
	 * ones (a question for AAAA would be passed on else). */
	strbuf_addf(&buf, "domain-needed\nrev-server=%s/%u\nservers-file=%s/local\n",
		FMT_IPV4(config->gateway & mask), config->prefix, dir);
	strbuf_add(&buf, "cache-size=1000\n");
	if (config->domain)
		strbuf_addf(&buf, "domain=%s\n", config->domain);
	/* Reservations only, for ever: a guest keeps its address even when nobody is there to
	 * renew it. What names a guest bears is ours to say, not its DHCP client's. */
	strbuf_addf(&buf, "dhcp-range=%s,static,%s,infinite\n", FMT_IPV4(config->gateway & mask),
		FMT_IPV4(mask));
	strbuf_addf(&buf, "dhcp-hostsdir=%s/dhcp\ndhcp-leasefile=%s/leases\n", dir, dir);
	strbuf_addf(&buf, "dhcp-option=option:router,%s\n", FMT_IPV4(config->gateway));
	strbuf_addf(&buf, "dhcp-option=option:dns-server,%s\n", FMT_IPV4(config->gateway));
	strbuf_add(&buf, "dhcp-authoritative\ndhcp-rapid-commit\ndhcp-ignore-names\nno-ping\n"
			 "quiet-dhcp\n");
	return strbuf_take(&buf);
}

char *dhcp_render_reservation(const struct net_guest *guest)
{
	struct strbuf buf = {0};

	/* id:* makes the MAC alone name the client: a guest that changes its system, and with it
	 * the client id, keeps its lease, and we can give it back knowing no more than the MAC. */
	strbuf_addf(&buf, "%s,id:*,%s,infinite\n", FMT_MAC(guest->mac), FMT_IPV4(guest->address));
	return strbuf_take(&buf);
}

/* The name with its domain, which is its own or else the bridge's, if that has one. */
static char *full_name(const struct net_guest *guest, const char *domain)
{
	struct strbuf buf = {0};

	strbuf_add(&buf, guest->name);
	if (!strchr(guest->name, '.') && domain)
		strbuf_addf(&buf, ".%s", domain);
	return strbuf_take(&buf);
}

char *dhcp_render_local(const struct net_guest *guest, const char *domain)
{
	AUTOFREE char *name = full_name(guest, domain);
	struct strbuf buf = {0};

	strbuf_add(&buf, "");
	if (name && strchr(name, '.')) /* a bare name would be a top-level domain here */
		strbuf_addf(&buf, "server=/%s/\n", name);
	return name ? strbuf_take(&buf) : NULL;
}

char *dhcp_render_names(const struct net_guest *guest, const char *domain)
{
	AUTOFREE char *name = full_name(guest, domain);
	size_t label = strcspn(guest->name, ".");
	struct strbuf buf = {0};

	if (!name)
		return NULL;
	/* The full name first: it is what an address resolves back to. */
	strbuf_addf(&buf, "%s %s", FMT_IPV4(guest->address), name);
	if (name[label])
		strbuf_addf(&buf, " %.*s", (int)label, name);
	strbuf_add(&buf, "\n");
	return strbuf_take(&buf);
}
