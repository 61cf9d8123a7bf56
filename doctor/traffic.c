/* What stops guests' traffic: forwarding that is off, and rules of others. A packet has to pass
 * every chain of its hook, whoever made it: an accept of ours does not outweigh a drop of theirs.
 *
 * Rules are looked at, not understood: a chain drops when that is its policy or its last rule
 * without a condition, and is held open when its table accepts, or leads on, what comes in and what
 * goes out by our bridge. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "doctor/checks.h"

/* --- Forwarding ------------------------------------------------------------------------------ */

void check_forwarding(struct report *report, const char *ip_forward, const char *bridge,
	const char *bridge_forwarding)
{
	if (!ip_forward || *ip_forward != '1')
		report_add(report, "forwarding", VERDICT_WARNING,
			"corpusd switches it on when it starts: something switched it off again; "
			"look in /etc/sysctl.d.",
			"net.ipv4.ip_forward is off: guests cannot be reached from elsewhere");
	else if (!bridge_forwarding)
		report_add(report, "forwarding", VERDICT_GOOD, NULL,
			"IPv4 is forwarded; the bridge %s is not there yet", bridge);
	else if (*bridge_forwarding != '1')
		report_add(report, "forwarding", VERDICT_BAD,
			"Switch it on, and look in /etc/sysctl.d for what switched it off.",
			"net.ipv4.conf.%s.forwarding is off: guests cannot reach anything", bridge);
	else
		report_add(report, "forwarding", VERDICT_GOOD, NULL,
			"IPv4 is forwarded, from %s too", bridge);
}

/* --- What a blocking chain is told as -------------------------------------------------------- */

enum hook { HOOK_NONE, HOOK_FORWARD, HOOK_INPUT };

/* Who made a table, and so what is to be done. */
enum maker { MAKER_UNKNOWN, MAKER_DOCKER, MAKER_UFW, MAKER_FIREWALLD, MAKER_MAX_ };

static const struct {
	const char *name;
	const char *mark;    /* how chains or the table begin; NULL: none */
	const char *forward; /* what to do; %1$s is the bridge */
	const char *input;
} MAKERS[] = {
	[MAKER_UNKNOWN] = {"somebody", NULL,
		"Accept there what comes in by %1$s (iifname) and what goes out by it (oifname).",
		"Accept there what comes in by %1$s for UDP ports 53 and 67 and TCP port 53."},
	[MAKER_DOCKER] = {"Docker", "DOCKER",
		"corpusd does it while it runs and net.docker_user is auto; by hand: `iptables -I "
		"DOCKER-USER -i %1$s -j ACCEPT; iptables -I DOCKER-USER "
		"-o %1$s -j ACCEPT`.",
		"Accept there what comes in by %1$s for UDP ports 53 and 67 and TCP port 53."},
	[MAKER_UFW] = {"ufw", "ufw-",
		"Let it pass: `ufw route allow in on %1$s; ufw route allow out on %1$s`.",
		"Let it pass: `ufw allow in on %1$s to any port 53; ufw allow in on %1$s to any "
		"port 67 proto udp`."},
	[MAKER_FIREWALLD] = {"firewalld", "firewalld",
		"Let it pass: `firewall-cmd --permanent --zone=trusted --add-interface=%1$s; "
		"firewall-cmd --reload`.",
		"Let it pass: `firewall-cmd --permanent --zone=trusted --add-interface=%1$s; "
		"firewall-cmd --reload`."},
};

static enum maker maker_of(const char *name)
{
	for (enum maker maker = MAKER_DOCKER; maker < MAKER_MAX_; maker++)
		if (strncmp(name, MAKERS[maker].mark, strlen(MAKERS[maker].mark)) == 0)
			return maker;
	return MAKER_UNKNOWN;
}

#define USER_CHAIN "DOCKER-USER"

/* A chain on one of the two hooks, and the table that it is in. */
struct chain {
	const char *family, *table, *name;
	enum hook hook;
	enum maker maker;
	bool user;	     /* its table has Docker's chain for rules of others */
	bool drops, in, out; /* out and in: its table lets pass what goes out and comes in by us */
};

static void tell_chain(
	struct report *report, const struct chain *chain, const struct traffic_facts *facts)
{
	bool forward = chain->hook == HOOK_FORWARD;
	const char *bridge = facts->bridge;
	AUTOFREE char *advice = NULL;

	if (!chain->drops)
		return;
	if (chain->in && (chain->out || !forward)) {
		report_add(report, "traffic", VERDICT_GOOD, NULL,
			"chain %s of table %s %s drops, but lets pass what is of %s", chain->name,
			chain->family, chain->table, bridge);
		return;
	}
	if (forward && chain->user && facts->docker_user && !facts->guests) {
		report_add(report, "traffic", VERDICT_GOOD, NULL,
			"chain %s of table %s %s drops, but corpusd lets guests pass in " USER_CHAIN
			" when there are any",
			chain->name, chain->family, chain->table);
		return;
	}
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	if (asprintf(&advice, forward ? MAKERS[chain->maker].forward : MAKERS[chain->maker].input,
		    bridge) < 0)
		advice = NULL;
#pragma GCC diagnostic pop
	if (forward)
		report_add(report, "traffic", VERDICT_BAD, advice,
			"chain %s of table %s %s (of %s) drops what guests send and get",
			chain->name, chain->family, chain->table, MAKERS[chain->maker].name);
	else
		report_add(report, "traffic", VERDICT_WARNING, advice,
			"chain %s of table %s %s (of %s) may drop guests' requests for addresses "
			"and names",
			chain->name, chain->family, chain->table, MAKERS[chain->maker].name);
}

/* --- nf_tables ------------------------------------------------------------------------------- */

static bool in_table(const json_t *thing, const char *family, const char *table)
{
	return strcmp(report_text(thing, "family"), family) == 0 &&
	       strcmp(report_text(thing, "table"), table) == 0;
}

/* Whether an expression of a rule ends a packet's way, whoever it is from. */
static bool is_refusal(const json_t *expression)
{
	return json_object_get(expression, "drop") || json_object_get(expression, "reject");
}

static bool leads_on(const json_t *expression)
{
	return json_object_get(expression, "accept") || json_object_get(expression, "goto") ||
	       json_object_get(expression, "jump");
}

/* A match of the name of an interface ("iifname" or "oifname") with ours. */
static bool matches_bridge(const json_t *expression, const char *key, const char *bridge)
{
	const json_t *match = json_object_get(expression, "match");
	const json_t *meta = json_object_get(json_object_get(match, "left"), "meta");

	return strcmp(report_text(meta, "key"), key) == 0 &&
	       strcmp(report_text(match, "op"), "==") == 0 &&
	       strcmp(report_text(match, "right"), bridge) == 0;
}

static void read_rule(const json_t *rule, const char *bridge, struct chain *chain)
{
	const json_t *expressions = json_object_get(rule, "expr"), *expression;
	bool in = false, out = false, on = false, conditional = false, refuses = false;
	size_t i;

	json_array_foreach (expressions, i, expression) {
		in |= matches_bridge(expression, "iifname", bridge) ||
		      matches_bridge(expression, "iif", bridge);
		out |= matches_bridge(expression, "oifname", bridge) ||
		       matches_bridge(expression, "oif", bridge);
		on |= leads_on(expression);
		conditional |= json_object_get(expression, "match") != NULL ||
			       json_object_get(expression, "xt") != NULL ||
			       json_object_get(expression, "limit") != NULL;
		refuses |= is_refusal(expression);
	}
	chain->in |= in && on;
	chain->out |= out && on;
	if (strcmp(report_text(rule, "chain"), chain->name) == 0 && refuses && !conditional)
		chain->drops = true;
}

/* What the other chains of its table say about it. */
static void read_table(const json_t *list, const char *bridge, struct chain *chain)
{
	const json_t *entry;
	size_t i;

	chain->maker = maker_of(chain->table);
	json_array_foreach (list, i, entry) {
		const json_t *other = json_object_get(entry, "chain");
		const json_t *rule = json_object_get(entry, "rule");

		if (other && in_table(other, chain->family, chain->table)) {
			chain->user |= strcmp(report_text(other, "name"), USER_CHAIN) == 0;
			if (chain->maker == MAKER_UNKNOWN)
				chain->maker = maker_of(report_text(other, "name"));
		}
		if (rule && in_table(rule, chain->family, chain->table))
			read_rule(rule, bridge, chain);
	}
}

static enum hook hook_of(const char *name)
{
	if (strcasecmp(name, "forward") == 0)
		return HOOK_FORWARD;
	return strcasecmp(name, "input") == 0 ? HOOK_INPUT : HOOK_NONE;
}

/* IPv4 passes these; our tables are called "corpus…". */
static bool is_of_others(const json_t *chain)
{
	const char *family = report_text(chain, "family");

	return (strcmp(family, "ip") == 0 || strcmp(family, "inet") == 0) &&
	       strncmp(report_text(chain, "table"), "corpus", 6) != 0;
}

static size_t count_traffic_lines(const struct report *report)
{
	const json_t *line;
	size_t i, count = 0;

	json_array_foreach (report->lines, i, line)
		count += strcmp(report_text(line, "check"), "traffic") == 0;
	return count;
}

void check_ruleset(struct report *report, const json_t *ruleset, const char *reason,
	const struct traffic_facts *facts)
{
	const json_t *list = json_object_get(ruleset, "nftables"), *entry;
	size_t before = count_traffic_lines(report), i;

	if (!json_is_array(list)) {
		report_add(report, "nf_tables", VERDICT_BAD,
			"The kernel needs nf_tables (modprobe nf_tables); only root can see it.",
			"the rules of the firewall cannot be listed: %s", reason);
		return;
	}
	report_add(report, "nf_tables", VERDICT_GOOD, NULL, "nf_tables can be read");
	json_array_foreach (list, i, entry) {
		const json_t *found = json_object_get(entry, "chain");
		struct chain chain = {.family = report_text(found, "family"),
			.table = report_text(found, "table"),
			.name = report_text(found, "name"),
			.hook = hook_of(report_text(found, "hook")),
			.drops = strcmp(report_text(found, "policy"), "drop") == 0};

		if (chain.hook == HOOK_NONE || !is_of_others(found))
			continue;
		read_table(list, facts->bridge, &chain);
		tell_chain(report, &chain, facts);
	}
	if (count_traffic_lines(report) == before)
		report_add(report, "traffic", VERDICT_GOOD, NULL,
			"no other firewall drops what guests send and get");
}

/* --- The older iptables ---------------------------------------------------------------------- */

/* Whether a rule has "OPTION VALUE", as iptables-save writes it. */
static bool says(const char *rule, const char *option, const char *value)
{
	char text[64];
	size_t length = (size_t)snprintf(text, sizeof(text), " %s %s", option, value);
	const char *at = strstr(rule, text);

	return at && (at[length] == ' ' || at[length] == '\0');
}

static void read_legacy_line(
	const char *line, const char *bridge, struct chain *forward, struct chain *input)
{
	enum maker maker = line[0] == ':' ? maker_of(line + 1) : MAKER_UNKNOWN;
	bool accepts = says(line, "-j", "ACCEPT");

	if (maker != MAKER_UNKNOWN)
		forward->maker = input->maker = maker;
	forward->user |= strncmp(line, ":" USER_CHAIN " ", strlen(USER_CHAIN) + 2) == 0;
	forward->drops |= strncmp(line, ":FORWARD DROP", 13) == 0;
	input->drops |= strncmp(line, ":INPUT DROP", 11) == 0;
	if (accepts && says(line, "-i", bridge))
		forward->in = input->in = true;
	if (accepts && says(line, "-o", bridge))
		forward->out = true;
}

void check_legacy(struct report *report, const char *rules, const struct traffic_facts *facts)
{
	struct chain forward = {"iptables-legacy", "filter", "FORWARD", .hook = HOOK_FORWARD};
	struct chain input = {"iptables-legacy", "filter", "INPUT", .hook = HOOK_INPUT};
	AUTOFREE char *copy = strdup(rules);
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		read_legacy_line(line, facts->bridge, &forward, &input);
	tell_chain(report, &forward, facts);
	tell_chain(report, &input, facts);
}
