/* boot.sh, and before it, as variables of the shell, what it is to know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

/* The file itself, with a NUL behind. */
extern const char SCRIPT_BODY[];
__asm__(".pushsection .rodata\n"
	".globl SCRIPT_BODY\n"
	"SCRIPT_BODY:\n"
	".incbin \"" SCRIPT_FILE "\"\n"
	".byte 0\n"
	".popsection\n");

static const char *const RUNNERS[] = {[SCRIPT_BOOT] = "boot",
	[SCRIPT_CLOUD_INIT] = "cloud-init",
	[SCRIPT_PUSH] = "push",
	[SCRIPT_KEYS] = "keys"};

/* Within single quotes all is as it stands but a single quote. */
static void add_quoted(struct strbuf *buf, const char *text)
{
	for (; *text; text++)
		if (*text == '\'')
			strbuf_add(buf, "'\\''");
		else
			strbuf_add_bytes(buf, text, 1);
}

static void add_variable(struct strbuf *buf, const char *name, const char *text)
{
	strbuf_addf(buf, "%s='", name);
	add_quoted(buf, text ? text : "");
	strbuf_add(buf, "'\n");
}

/* The whole block of authorized_keys. */
static void add_keys(struct strbuf *buf, char *const *keys, const char *node_key)
{
	strbuf_add(buf, "keys='" KEYS_BEGIN "\n");
	for (; keys && *keys; keys++) {
		add_quoted(buf, *keys);
		strbuf_add(buf, "\n");
	}
	add_quoted(buf, node_key ? node_key : "");
	strbuf_add(buf, KEYS_END "\n'\n");
}

/* The mode that user data get as a file: a script can be run. */
static const char *user_data_mode(const char *user_data)
{
	if (!user_data)
		return "";
	return strncmp(user_data, "#!", 2) == 0 ? "700" : "600";
}

static void add_place(struct strbuf *buf, const struct script_facts *facts)
{
	const struct port *ssh = guest_port_by_purpose(facts->guest, "ssh");
	char port[16] = "";

	if (ssh && ssh->host)
		snprintf(port, sizeof(port), "%u", ssh->host);
	add_variable(buf, "this_host", facts->node->name);
	add_variable(buf, "this_port", port);
}

char *render_script(const struct script_facts *facts, enum script_runner runner)
{
	const struct guest *guest = facts->guest;
	AUTOFREE char *hosts_line = render_hosts_line(guest->name);
	struct strbuf buf = {.failed = !hosts_line};

	strbuf_add(
		&buf, "#!/bin/sh\n# Written by corpusd, anew whenever something of it changes.\n");
	add_variable(&buf, "how", RUNNERS[runner]);
	add_variable(&buf, "id", guest->id);
	strbuf_addf(&buf, "version=%llu\n", (unsigned long long)guest->generation);
	add_variable(&buf, "name", guest->name);
	if (hosts_line)
		hosts_line[strcspn(hosts_line, "\n")] = '\0';
	add_variable(&buf, "hosts_line", hosts_line);
	add_variable(&buf, "password", runner == SCRIPT_PUSH ? NULL : facts->password_hash);
	add_variable(&buf, "user_data", user_data_mode(guest->user_data));
	add_place(&buf, facts);
	add_variable(&buf, "keys_begin", KEYS_BEGIN);
	add_variable(&buf, "keys_end", KEYS_END);
	add_keys(&buf, guest->ssh_keys, facts->node->key);
	strbuf_add(&buf, SCRIPT_BODY);
	return strbuf_take(&buf);
}
