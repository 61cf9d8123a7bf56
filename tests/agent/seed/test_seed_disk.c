/* The seed of a machine as text, against golden files; no text of a user gets out of its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "golden.h"
#include "keys.h"

static const struct seed_node NODE = {
	.name = "node1.example.org", .key = "ssh-ed25519 AAAAnode corpus-node\n"};

static struct port g_ports[] = {{.purpose = "ssh", .guest = 22, .host = 20022}};

static char *g_keys[] = {(char *)KEY_ED25519, (char *)KEY_ECDSA256, NULL};

static struct guest a_guest(void)
{
	return (struct guest){.id = "0123456789ab",
		.name = (char *)"web1.example.org",
		.mac = {0x00, 0x16, 0x3e, 0x12, 0x34, 0x56},
		.ports = g_ports,
		.ports_count = 1,
		.user_data = (char *)"#!/bin/sh\necho ran\n",
		.ssh_keys = g_keys};
}

static void the_parts_are_as_expected(void **state)
{
	struct guest guest = a_guest();
	const struct script_facts facts = {
		.guest = &guest, .node = &NODE, .password_hash = "$6$rounds=1000$salt$hash"};
	AUTOFREE char *meta_data = render_disk_meta_data(&guest);
	AUTOFREE char *vendor_data = render_disk_vendor_data(&facts);
	AUTOFREE char *network_config = render_disk_network_config(&guest);
	AUTOFREE char *boot = render_script(&facts, SCRIPT_BOOT);
	AUTOFREE char *push = render_script(&facts, SCRIPT_PUSH);

	(void)state;
	assert_golden("disk-meta-data", meta_data);
	assert_golden("disk-vendor-data", vendor_data);
	assert_golden("disk-network-config", network_config);
	assert_golden("disk-script", boot);
	/* What is pushed into a running machine sets no password. */
	assert_non_null(strstr(push, "\nhow='push'\n"));
	assert_non_null(strstr(push, "\npassword=''\n"));
}

static void nothing_given_is_nothing_said(void **state)
{
	struct guest guest = {.id = "0123456789ab", .name = (char *)"web"};
	const struct seed_node node = {.name = "node1"};
	const struct script_facts facts = {.guest = &guest, .node = &node};
	AUTOFREE char *meta_data = render_disk_meta_data(&guest);
	AUTOFREE char *boot = render_script(&facts, SCRIPT_BOOT);

	(void)state;
	assert_non_null(strstr(meta_data, "\"public-keys\": []"));
	assert_non_null(strstr(boot, "\npassword=''\nuser_data=''\nthis_host='node1'\n"
				     "this_port=''\n"));
	assert_non_null(strstr(boot, "\nkeys='" KEYS_BEGIN "\n" KEYS_END "\n'\n"));
}

static void texts_of_users_stay_in_their_place(void **state)
{
	struct guest guest = {.id = "0123456789ab",
		.name = (char *)"web",
		.ssh_keys = (char *[]){(char *)KEY_ED25519 "'; rm -rf / #'$(id)`id`\\",
			(char *)KEY_ECDSA256 " caf\xc3\xa9 \xc2\x85 \xf0\x9f\x98\x80", NULL}};
	const struct script_facts facts = {.guest = &guest, .node = &NODE};
	AUTOFREE char *boot = render_script(&facts, SCRIPT_BOOT);
	AUTOFREE char *meta_data = render_disk_meta_data(&guest);

	(void)state;
	assert_non_null(strstr(boot, "\n" KEY_ED25519 "'\\''; rm -rf / #'\\''$(id)`id`\\\n"));
	/* A parser of YAML would refuse the whole for these. */
	for (const char *p = meta_data; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p <= '~'));
	assert_non_null(strstr(meta_data, KEY_ED25519 "'; rm -rf / #'$(id)`id`\\\\\""));
}

static void user_data_are_run_only_when_they_are_a_script(void **state)
{
	struct guest guest = a_guest();
	const struct script_facts facts = {.guest = &guest, .node = &NODE};
	AUTOFREE char *script = render_script(&facts, SCRIPT_BOOT);
	AUTOFREE char *config = NULL;

	(void)state;
	assert_non_null(strstr(script, "\nuser_data='700'\n"));
	guest.user_data = (char *)"#cloud-config\n{}\n";
	config = render_script(&facts, SCRIPT_BOOT);
	assert_non_null(strstr(config, "\nuser_data='600'\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_parts_are_as_expected),
		cmocka_unit_test(nothing_given_is_nothing_said),
		cmocka_unit_test(texts_of_users_stay_in_their_place),
		cmocka_unit_test(user_data_are_run_only_when_they_are_a_script),
	};

	return cmocka_run_group_tests_name("seed_disk", tests, NULL, NULL);
}
