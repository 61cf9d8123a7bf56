/* Firewalls of others, as `nft -j list ruleset` and iptables-legacy-save show them. */
#include "findings.h"

#define CHAIN(table, name, hook, policy)                                                           \
	"{\"chain\": {\"family\": \"ip\", \"table\": \"" table "\", \"name\": \"" name             \
	"\", \"type\": \"filter\", \"hook\": \"" hook "\", \"prio\": 0, \"policy\": \"" policy     \
	"\"}}"
#define PLAIN(table, name)                                                                         \
	"{\"chain\": {\"family\": \"ip\", \"table\": \"" table "\", \"name\": \"" name "\"}}"
#define RULE(table, chain, expr)                                                                   \
	"{\"rule\": {\"family\": \"ip\", \"table\": \"" table "\", \"chain\": \"" chain            \
	"\", \"expr\": [" expr "]}}"
#define IFACE(key, name)                                                                           \
	"{\"match\": {\"op\": \"==\", \"left\": {\"meta\": {\"key\": \"" key                       \
	"\"}}, \"right\": \"" name "\"}}"
#define ACCEPT "{\"accept\": null}"
#define OPEN(table, chain)                                                                         \
	RULE(table, chain, IFACE("iifname", "br0") ", " ACCEPT)                                    \
	", " RULE(table, chain, IFACE("oifname", "br0") ", " ACCEPT)

#define READ "good: nf_tables can be read\n"
#define FREE READ "good: no other firewall drops what guests send and get"

static const struct traffic_facts FACTS = {.bridge = "br0", .docker_user = true, .guests = true};

static void chains_of_others_that_drop_are_named_with_their_maker(void **state)
{
	static const struct {
		const char *entries, *expected, *advice;
	} CASES[] = {
		{"{\"metainfo\": {}}", FREE, NULL},
		{CHAIN("filter", "FORWARD", "forward", "accept"), FREE, NULL},
		{CHAIN("corpus", "forward", "forward", "drop"), FREE, NULL},
		{CHAIN("filter", "FORWARD", "forward", "drop") ", " PLAIN("filter", "DOCKER-USER"),
			READ "bad: chain FORWARD of table ip filter (of Docker) drops what guests "
			     "send and get",
			"iptables -I DOCKER-USER -i br0 -j ACCEPT"},
		{CHAIN("filter", "FORWARD", "forward", "drop") ", " PLAIN("filter", "ufw-user"),
			READ
			"bad: chain FORWARD of table ip filter (of ufw) drops what guests send "
			"and get",
			"ufw route allow in on br0"},
		{CHAIN("firewalld", "filter_FORWARD", "forward", "accept") ", " RULE(
			 "firewalld", "filter_FORWARD", "{\"reject\": null}"),
			READ "bad: chain filter_FORWARD of table ip firewalld (of firewalld) drops "
			     "what guests send and get",
			"--add-interface=br0"},
		{CHAIN("own", "f", "forward", "drop"),
			READ
			"bad: chain f of table ip own (of somebody) drops what guests send and "
			"get",
			"what comes in by br0"},
		{CHAIN("own", "i", "input", "drop"),
			READ "warning: chain i of table ip own (of somebody) may drop guests' "
			     "requests for addresses and names",
			"UDP ports 53 and 67"},
		/* A condition before it: it is not for all. */
		{CHAIN("own", "f", "forward", "accept") ", " RULE(
			 "own", "f", IFACE("iifname", "eth9") ", {\"drop\": null}"),
			FREE, NULL},
		/* Not of the chain itself. */
		{CHAIN("own", "f", "forward", "accept") ", " RULE("own", "g", "{\"drop\": null}"),
			FREE, NULL},
		{CHAIN("filter", "FORWARD", "forward", "drop") ", " OPEN("filter", "DOCKER-USER"),
			READ
			"good: chain FORWARD of table ip filter drops, but lets pass what is of "
			"br0",
			NULL},
		/* One way only, another bridge, another table: still shut. */
		{CHAIN("filter", "FORWARD", "forward", "drop") ", " RULE(
			 "filter", "FORWARD", IFACE("iifname", "br0") ", " ACCEPT),
			READ
			"bad: chain FORWARD of table ip filter (of somebody) drops what guests "
			"send and get",
			"br0"},
		{CHAIN("filter", "FORWARD", "forward", "drop") ", " OPEN("other", "FORWARD"),
			READ
			"bad: chain FORWARD of table ip filter (of somebody) drops what guests "
			"send and get",
			"br0"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};
		AUTOFREE char *text = NULL;
		json_auto_t *ruleset = NULL;

		assert_true(asprintf(&text, "{\"nftables\": [%s]}", CASES[i].entries) > 0);
		ruleset = json_loads(text, 0, NULL);
		assert_non_null(ruleset);
		check_ruleset(&report, ruleset, NULL, &FACTS);
		if (CASES[i].advice)
			assert_non_null(strstr(line_text(json_array_get(report.lines, 1), "advice"),
				CASES[i].advice));
		assert_findings(&report, CASES[i].expected);
	}
}

static void rules_that_cannot_be_listed_are_told_with_the_reason(void **state)
{
	struct report report = {0};

	(void)state;
	check_ruleset(&report, NULL, "no permission", &FACTS);
	assert_findings(&report, "bad: the rules of the firewall cannot be listed: no permission");
}

static void rules_of_the_older_iptables_count_too(void **state)
{
	static const struct {
		const char *rules, *expected;
	} CASES[] = {
		{"*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", ""},
		{"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n",
			"bad: chain FORWARD of table iptables-legacy filter (of Docker) drops what "
			"guests send and get\n"
			"warning: chain INPUT of table iptables-legacy filter (of Docker) may drop "
			"guests' requests for addresses and names"},
		{"*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i br0 -j ACCEPT\n"
		 "-A FORWARD -o br0 -j ACCEPT\nCOMMIT\n",
			"good: chain FORWARD of table iptables-legacy filter drops, but lets pass "
			"what is of br0"},
		{"*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i br01 -j ACCEPT\n"
		 "-A FORWARD -o br0 -j ACCEPT\nCOMMIT\n",
			"bad: chain FORWARD of table iptables-legacy filter (of somebody) drops "
			"what "
			"guests send and get"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_legacy(&report, CASES[i].rules, &FACTS);
		assert_findings(&report, CASES[i].expected);
	}
}

static void dockers_chain_is_no_matter_while_there_are_no_guests(void **state)
{
	static const char drops[] = "*filter\n:FORWARD DROP [0:0]\n:DOCKER-USER - [0:0]\nCOMMIT\n";
	struct traffic_facts facts = FACTS;
	struct report report = {0};

	(void)state;
	facts.guests = false;
	check_legacy(&report, drops, &facts);
	assert_findings(&report, "good: chain FORWARD of table iptables-legacy filter drops, but "
				 "corpusd lets guests pass in DOCKER-USER when there are any");
	facts.docker_user = false;
	report = (struct report){0};
	check_legacy(&report, drops, &facts);
	assert_findings(&report, "bad: chain FORWARD of table iptables-legacy filter (of Docker) "
				 "drops what guests send and get");
}

static void forwarding_is_looked_at_for_all_and_for_the_bridge(void **state)
{
	static const struct {
		const char *all, *own, *expected;
	} CASES[] = {
		{"1\n", "1\n", "good: IPv4 is forwarded, from br0 too"},
		{"1\n", NULL, "good: IPv4 is forwarded; the bridge br0 is not there yet"},
		{"1\n", "0\n",
			"bad: net.ipv4.conf.br0.forwarding is off: guests cannot reach anything"},
		{"0\n", NULL,
			"warning: net.ipv4.ip_forward is off: guests cannot be reached from "
			"elsewhere"},
		{NULL, NULL,
			"warning: net.ipv4.ip_forward is off: guests cannot be reached from "
			"elsewhere"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(CASES); i++) {
		struct report report = {0};

		check_forwarding(&report, CASES[i].all, "br0", CASES[i].own);
		assert_findings(&report, CASES[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chains_of_others_that_drop_are_named_with_their_maker),
		cmocka_unit_test(rules_that_cannot_be_listed_are_told_with_the_reason),
		cmocka_unit_test(rules_of_the_older_iptables_count_too),
		cmocka_unit_test(dockers_chain_is_no_matter_while_there_are_no_guests),
		cmocka_unit_test(forwarding_is_looked_at_for_all_and_for_the_bridge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
