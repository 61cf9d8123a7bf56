/* What cloud-init reads on the disk CIDATA (cloudinit.readthedocs.io: NoCloud, vendor data, network
 * configuration version 2). What cloud-init has no word for, or what the user's own data would
 * replace, is done by boot.sh, which it runs as a boot hook: at each boot. */
#include <jansson.h>
#include <nettle/base64.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define LINE 76

/* A text of its own line; takes the reference. */
static char *dumped(json_t *owned)
{
	json_auto_t *json = owned;
	AUTOFREE char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	struct strbuf buf = {.failed = !text};

	strbuf_add(&buf, text ? text : "");
	strbuf_add(&buf, "\n");
	return strbuf_take(&buf);
}

#define BLANK " \t"

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* YAML lets fewer characters stand in a text than JSON does; a comment need not be there. */
static json_t *plain_key(const char *key)
{
	size_t type = strcspn(key, BLANK), blank = strspn(key + type, BLANK);

	if (is_plain(key))
		return json_string(key);
	return json_sprintf("%.*s %.*s", (int)type, key, (int)strcspn(key + type + blank, BLANK),
		key + type + blank);
}

char *render_disk_meta_data(const struct guest *guest)
{
	json_t *keys = json_array();

	for (char **key = guest->ssh_keys; key && *key; key++)
		json_array_append_new(keys, plain_key(*key));
	return dumped(json_pack("{s:s, s:s, s:o}", "instance-id", guest->id, "local-hostname",
		guest->name, "public-keys", keys));
}

/* The name must be set: where cloud-init writes /etc/network/interfaces, there is no other way to
 * say which link is meant. A copy of a machine has its original's machine-id until it knows better,
 * and would be taken for it by that. */
char *render_disk_network_config(const struct guest *guest)
{
	return dumped(json_pack("{s:i, s:{s:{s:{s:s}, s:s, s:b, s:s}}}", "version", 2, "ethernets",
		"eth0", "match", "macaddress", FMT_MAC(guest->mac), "set-name", "eth0", "dhcp4",
		true, "dhcp-identifier", "mac"));
}

/* The name in whole, as in trees; root is who logs in here; the disk may have grown. The line of
 * /etc/hosts is boot.sh's, which knows when the name of this disk is an old one. */
static char *cloud_config(void)
{
	return dumped(json_pack("{s:b, s:b, s:b, s:{s:s, s:[s]}, s:b}", "disable_root", false,
		"preserve_hostname", false, "prefer_fqdn_over_hostname", true, "growpart", "mode",
		"auto", "devices", "/", "resize_rootfs", true));
}

#define BOUNDARY "==corpus=="

static void add_part(struct strbuf *buf, const char *type, const char *text)
{
	size_t size = strlen(text), length = BASE64_ENCODE_RAW_LENGTH(size);
	AUTOFREE char *base64 = calloc(1, length + 1);

	buf->failed |= !base64;
	if (!base64)
		return;
	base64_encode_raw(base64, size, (const uint8_t *)text);
	strbuf_addf(buf,
		"--" BOUNDARY "\nContent-Type: %s; charset=\"utf-8\"\n"
		"Content-Transfer-Encoding: base64\n\n",
		type);
	for (const char *p = base64; *p; p += strnlen(p, LINE))
		strbuf_addf(buf, "%.*s\n", LINE, p);
}

char *render_disk_vendor_data(const struct script_facts *facts)
{
	AUTOFREE char *config = cloud_config();
	AUTOFREE char *script = render_script(facts, SCRIPT_CLOUD_INIT);
	struct strbuf buf = {0};

	if (!config || !script)
		return NULL;
	strbuf_add(&buf, "Content-Type: multipart/mixed; boundary=\"" BOUNDARY "\"\n"
			 "MIME-Version: 1.0\n\n");
	add_part(&buf, "text/cloud-config", config);
	add_part(&buf, "text/cloud-boothook", script);
	strbuf_add(&buf, "--" BOUNDARY "--\n");
	return strbuf_take(&buf);
}
