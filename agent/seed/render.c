/* The files of a first boot, as text. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

static size_t line_length(const char *line)
{
	return strcspn(line, "\n");
}

static const char *next_line(const char *line)
{
	size_t n = line_length(line);

	return line[n] ? line + n + 1 : line + n;
}

static void add_line(struct strbuf *buf, const char *line)
{
	strbuf_add_bytes(buf, line, line_length(line));
	strbuf_add(buf, "\n");
}

/* --- /etc/hosts ------------------------------------------------------------------------------ */

static bool is_own_address(const char *line)
{
	line += strspn(line, " \t");
	return strncmp(line, "127.0.1.1", 9) == 0 && strchr(" \t", line[9]) && line[9];
}

/* The whole name first: that is what `hostname --fqdn` gives. */
static void add_own_address(struct strbuf *buf, const char *name)
{
	size_t label = strcspn(name, ".");

	strbuf_addf(buf, "127.0.1.1\t%s", name);
	if (name[label])
		strbuf_addf(buf, " %.*s", (int)label, name);
	strbuf_add(buf, "\n");
}

char *render_hosts_line(const char *name)
{
	struct strbuf buf = {0};

	add_own_address(&buf, name);
	return strbuf_take(&buf);
}

char *render_hosts(const char *old, const char *name)
{
	struct strbuf buf = {0};
	bool added = false;

	for (const char *line = old ? old : ""; *line; line = next_line(line)) {
		if (!is_own_address(line))
			add_line(&buf, line);
		else if (!added)
			add_own_address(&buf, name);
		added |= is_own_address(line);
	}
	if (!added)
		add_own_address(&buf, name);
	return strbuf_take(&buf);
}

/* --- authorized_keys ------------------------------------------------------------------------- */

static bool is_line(const char *line, const char *text)
{
	return line_length(line) == strlen(text) && strncmp(line, text, strlen(text)) == 0;
}

/* Behind our block. Where its end is missing, somebody cut it: a key that was taken from the guest
 * must not stay for that, so it then goes up to the next blank line. */
static const char *skip_block(const char *line)
{
	const char *at = line;

	while (*at && !is_line(at, KEYS_END))
		at = next_line(at);
	if (*at)
		return next_line(at);
	for (at = line; *at && line_length(at) > 0;)
		at = next_line(at);
	return at;
}

char *render_keys(const char *old, char *const *keys)
{
	struct strbuf buf = {0};

	for (const char *line = old ? old : ""; *line;) {
		if (is_line(line, KEYS_BEGIN)) {
			line = skip_block(line);
			continue;
		}
		add_line(&buf, line);
		line = next_line(line);
	}
	if (keys && *keys) {
		strbuf_add(&buf, KEYS_BEGIN "\n");
		for (; *keys; keys++)
			add_line(&buf, *keys);
		strbuf_add(&buf, KEYS_END "\n");
	}
	strbuf_add(&buf, "");
	return strbuf_take(&buf);
}

/* --- /etc/shadow ----------------------------------------------------------------------------- */

/* root:HASH:LAST CHANGE:… A change that was never, or that is asked for at the next login (0),
 * becomes today: this is a new password, and nobody is there to change it. */
static void add_root(struct strbuf *buf, const char *line, const char *hash, long today)
{
	const char *rest = line + strcspn(line, ":") + 1;

	rest += strcspn(rest, ":\n");
	strbuf_addf(buf, "root:%s", hash);
	if (strncmp(rest, "::", 2) == 0 || strncmp(rest, ":0:", 3) == 0) {
		strbuf_addf(buf, ":%ld", today);
		rest += rest[1] == ':' ? 1 : 2;
	}
	add_line(buf, rest);
}

char *render_shadow(const char *old, const char *hash, long today)
{
	struct strbuf buf = {0};

	for (const char *line = old; *line; line = next_line(line))
		if (strncmp(line, "root:", 5) == 0)
			add_root(&buf, line, hash, today);
		else
			add_line(&buf, line);
	strbuf_add(&buf, "");
	return strbuf_take(&buf);
}

/* --- cloud-init ------------------------------------------------------------------------------ */

/* Root is who logs in here; without that cloud-init would turn its keys away. */
const char RENDER_VENDOR_DATA[] = "#cloud-config\n"
				  "disable_root: false\n";

const char RENDER_NETWORK_CONFIG[] = "version: 2\n"
				     "ethernets:\n"
				     "  eth0:\n"
				     "    dhcp4: true\n";

/* A string of JSON is one of YAML. */
static void add_quoted(struct strbuf *buf, const char *before, const char *text)
{
	json_auto_t *json = json_string(text);
	AUTOFREE char *quoted = json ? json_dumps(json, JSON_ENCODE_ANY) : NULL;

	strbuf_add(buf, before);
	strbuf_add(buf, quoted ? quoted : "\"\"");
	strbuf_add(buf, "\n");
	buf->failed |= !quoted;
}

char *render_meta_data(const struct guest *guest)
{
	struct strbuf buf = {0};

	add_quoted(&buf, "instance-id: ", guest->id);
	add_quoted(&buf, "local-hostname: ", guest->name);
	if (guest->ssh_keys && guest->ssh_keys[0])
		strbuf_add(&buf, "public-keys:\n");
	for (size_t i = 0; guest->ssh_keys && guest->ssh_keys[i]; i++)
		add_quoted(&buf, "  - ", guest->ssh_keys[i]);
	return strbuf_take(&buf);
}
