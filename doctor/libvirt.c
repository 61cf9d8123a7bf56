/* libvirt, for the machines that it runs for us: whether its daemons answer, where they are, and
 * what of their own gets in the way. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "doctor/checks.h"

/* --- Where it is ----------------------------------------------------------------------------- */

/* By scheme of a URI; each of the monolithic daemon and the one for this kind. */
static const struct {
	const char *scheme, *daemon;
} DAEMONS[] = {{"qemu", "virtqemud"}, {"xen", "virtxend"}};

#define RUN "/run/libvirt/"

/* Copies the parameter `socket` of a URI's query, if it has one. */
static bool take_parameter(const char *uri, char *ret, size_t size)
{
	const char *query = strchr(uri, '?');
	const char *at = query ? strstr(query, "socket=") : NULL;

	if (!at || (at[-1] != '?' && at[-1] != '&'))
		return false;
	at += strlen("socket=");
	snprintf(ret, size, "%.*s", (int)strcspn(at, "&"), at);
	return true;
}

/* SCHEME[+TRANSPORT]://[HOST]/PATH: of this machine when there is no host, and nothing but a local
 * socket between. */
static bool is_local(const char *uri, size_t scheme)
{
	const char *rest = uri + scheme;

	if (strncmp(rest, "+unix", 5) == 0)
		rest += 5;
	return strncmp(rest, ":///", 4) == 0;
}

void libvirt_sockets(const char *uri, char ret[static LIBVIRT_SOCKETS][108])
{
	for (size_t i = 0; i < LIBVIRT_SOCKETS; i++)
		ret[i][0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(DAEMONS); i++) {
		size_t length = strlen(DAEMONS[i].scheme);

		if (strncmp(uri, DAEMONS[i].scheme, length) != 0 || !is_local(uri, length))
			continue;
		if (take_parameter(uri, ret[0], sizeof(ret[0])))
			return;
		snprintf(ret[0], sizeof(ret[0]), RUN "libvirt-sock");
		snprintf(ret[1], sizeof(ret[1]), RUN "%s-sock", DAEMONS[i].daemon);
	}
}

/* --- Whether it answers ---------------------------------------------------------------------- */

static void tell_unreachable(struct report *report, const struct libvirtd_facts *facts)
{
	switch (facts->connected) {
	case ENOENT:
		report_add(report, "libvirt", VERDICT_BAD,
			"Install the package libvirt-daemon-system; `systemctl enable --now "
			"libvirtd.socket`.",
			"libvirtd is not there: there is no %s", facts->socket);
		return;
	case ECONNREFUSED:
		report_add(report, "libvirt", VERDICT_BAD,
			"`systemctl restart libvirtd.socket libvirtd`; `journalctl -u libvirtd` "
			"tells why it ended.",
			"libvirtd does not run: nobody listens at %s", facts->socket);
		return;
	case EAGAIN:
		report_add(report, "libvirt", VERDICT_BAD,
			"`systemctl restart libvirtd`: guests run on.",
			"libvirtd hangs: it takes no more connections at %s", facts->socket);
		return;
	default:
		report_add(report, "libvirt", VERDICT_BAD,
			"Run `sudo corpus doctor`; look at the socket's owner and mode.",
			"libvirtd cannot be reached at %s: %s", facts->socket,
			strerror(facts->connected));
	}
}

void check_libvirtd(struct report *report, const struct libvirtd_facts *facts)
{
	if (!facts->socket) {
		report_add(report, "libvirt", VERDICT_GOOD, NULL,
			"libvirt is asked at %s, of which nothing more can be seen here",
			facts->uri);
		return;
	}
	if (facts->connected)
		tell_unreachable(report, facts);
	else
		report_add(report, "libvirt", VERDICT_GOOD, NULL,
			"libvirtd takes connections at %s", facts->socket);
	if (facts->elsewhere)
		report_add(report, "libvirt", VERDICT_BAD,
			"Run both in the same one: look for PrivateNetwork= and "
			"NetworkNamespacePath= in `systemctl cat libvirtd corpusd`.",
			"libvirtd is in another network namespace, and cannot put machines on %s",
			facts->bridge);
}

/* --- virtlogd -------------------------------------------------------------------------------- */

/* The value of a key of qemu.conf, without its quotes; false when no line sets it. */
static bool take_setting(const char *conf, const char *key, char *ret, size_t size)
{
	size_t length = strlen(key);
	bool found = false;

	for (const char *line = conf; line; line = strchr(line, '\n')) {
		line += strspn(line, "\n \t");
		if (strncmp(line, key, length) != 0)
			continue;
		const char *value = line + length + strspn(line + length, " \t");

		if (*value != '=')
			continue;
		value += 1 + strspn(value + 1, " \t\"");
		snprintf(ret, size, "%.*s", (int)strcspn(value, "\"\n \t#"), value);
		found = true;
	}
	return found;
}

void qemu_user(const char *qemu_conf, char ret[static 64])
{
	if (!take_setting(qemu_conf, "user", ret, 64))
		snprintf(ret, 64, "libvirt-qemu");
}

void check_virtlogd(struct report *report, const char *qemu_conf, int connected)
{
	char handler[16];

	if (take_setting(qemu_conf, "stdio_handler", handler, sizeof(handler)) &&
		strcmp(handler, "file") == 0)
		return;
	if (connected)
		report_add(report, "libvirt", VERDICT_BAD,
			"`systemctl enable --now virtlogd.socket`.",
			"virtlogd, which libvirt leads QEMU's output to, cannot be reached: %s",
			strerror(connected));
	else
		report_add(report, "libvirt", VERDICT_GOOD, NULL, "virtlogd takes connections");
}

/* --- Networks of its own --------------------------------------------------------------------- */

/* The value of an attribute of the first element of that name behind `xml`, as libvirt writes it;
 * returns where the element begins, NULL: there is none with it. */
static const char *take_attribute(
	const char *xml, const char *element, const char *attribute, char *ret, size_t size)
{
	char start[32], name[32];

	snprintf(start, sizeof(start), "<%s ", element);
	snprintf(name, sizeof(name), " %s='", attribute);
	for (const char *at = strstr(xml, start); at; at = strstr(at + 1, start)) {
		const char *end = strchrnul(at, '>'), *value = strstr(at, name);

		if (!value || value > end)
			continue;
		value += strlen(name);
		snprintf(ret, size, "%.*s", (int)strcspn(value, "'"), value);
		return at;
	}
	return NULL;
}

static void take_name(const char *xml, char *ret, size_t size)
{
	const char *at = strstr(xml, "<name>");

	at = at ? at + strlen("<name>") : "";
	snprintf(ret, size, "%.*s", (int)strcspn(at, "<"), at);
}

static uint32_t mask_of(unsigned prefix)
{
	return prefix ? UINT32_MAX << (32 - prefix) : 0;
}

/* The prefix of an <ip> element, which may be a mask; 32 when it says neither. */
static unsigned prefix_of(const char *ip)
{
	char text[32];
	uint32_t mask;
	const char *end = strchrnul(ip, '>');
	const char *at = take_attribute(ip, "ip", "netmask", text, sizeof(text));

	if (at && at < end && parse_ipv4(text, &mask) == 0)
		return (unsigned)__builtin_popcount(mask);
	at = take_attribute(ip, "ip", "prefix", text, sizeof(text));
	return at && at < end && atoi(text) >= 0 && atoi(text) <= 32 ? (unsigned)atoi(text) : 32;
}

static bool overlaps(const char *ip, uint32_t address, uint32_t gateway, unsigned prefix)
{
	unsigned theirs = prefix_of(ip);
	uint32_t mask = mask_of(theirs < prefix ? theirs : prefix);

	return (address & mask) == (gateway & mask);
}

void check_libvirt_network(struct report *report, const char *xml, const char *bridge,
	uint32_t gateway, unsigned prefix)
{
	char name[64], text[64];
	AUTOFREE char *advice = NULL;
	bool clashes = false;
	uint32_t address;

	take_name(xml, name, sizeof(name));
	if (asprintf(&advice,
		    "If nobody needs it: `virsh net-destroy %s; virsh net-undefine %s`. Else "
		    "choose others for net.bridge, net.gateway and net.prefix in corpusd.yaml, on "
		    "a node without guests.",
		    name, name) < 0)
		advice = NULL;
	if (take_attribute(xml, "bridge", "name", text, sizeof(text)) &&
		strcmp(text, bridge) == 0) {
		report_add(report, "libvirt", VERDICT_BAD, advice,
			"libvirt's network %s has the bridge %s, which is corpusd's", name, bridge);
		clashes = true;
	}
	for (const char *at = xml; (at = take_attribute(at, "ip", "address", text, sizeof(text)));
		at++)
		if (parse_ipv4(text, &address) == 0 && overlaps(at, address, gateway, prefix)) {
			report_add(report, "libvirt", VERDICT_BAD, advice,
				"libvirt's network %s has the address %s, in the network of our "
				"guests (%s/%u)",
				name, text, FMT_IPV4(gateway), prefix);
			clashes = true;
		}
	if (!clashes)
		report_add(report, "libvirt", VERDICT_GOOD, NULL,
			"libvirt's network %s does not clash with ours", name);
}

/* --- AppArmor -------------------------------------------------------------------------------- */

void check_apparmor(struct report *report, const struct apparmor_facts *facts)
{
	bool confined = facts->confined && strncmp(facts->confined, "unconfined", 10) != 0;

	if (!facts->enabled || *facts->enabled != 'Y' || !facts->confined)
		return;
	if (!confined)
		report_add(report, "libvirt", VERDICT_WARNING,
			"Install the packages apparmor and libvirt-daemon-system, and load the "
			"profile: `apparmor_parser -r /etc/apparmor.d/usr.sbin.libvirtd; systemctl "
			"restart libvirtd`.",
			"AppArmor is on, but libvirtd has no profile: neither have its machines");
	else if (!facts->template || !facts->parser)
		report_add(report, "libvirt", VERDICT_BAD,
			"Install the packages apparmor and libvirt-daemon-system again.",
			"libvirt cannot make AppArmor's profiles for machines: %s is missing",
			facts->parser ? "/etc/apparmor.d/libvirt/TEMPLATE.qemu"
				      : "apparmor_parser");
	else
		report_add(report, "libvirt", VERDICT_GOOD, NULL,
			"AppArmor confines machines to their own files");
}
