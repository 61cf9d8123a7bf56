/* Putting the rendered files into a guest's volume. */
#include "agent/seed/seed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/random.h"
#include "base/strv.h"
#include "storage/storage.h"

#define FILE_MAX   (1 << 20)
#define DAY_MS	   INT64_C(86400000)
#define CLOUD_CFG  "/etc/cloud/cloud.cfg"
#define CLOUD_SEED "/var/lib/cloud/seed/nocloud/"

struct seed {
	struct storage *storage;
	const struct guest *guest;
	const char *node_name;
	bool lenient;
	struct seed_result *result;
	struct err *err;
};

/* --- One file -------------------------------------------------------------------------------- */

static void report_skipped(struct seed *seed, const char *path)
{
	char *skipped = seed->result->skipped;
	size_t used = strlen(skipped);

	snprintf(skipped + used, sizeof(seed->result->skipped) - used, "%s%s", used ? ", " : "",
		path);
}

/* 0 for a failure that is the guest's own doing, where nobody asked for that file. */
static int tolerate(struct seed *seed, int r, const char *path, bool needed)
{
	struct err *err = seed->err;

	if (r == 0 || (needed && !seed->lenient))
		return r;
	if (err->code != ERR_CONFLICT && err->code != ERR_TOO_LARGE && err->code != ERR_NO_ROOM)
		return r;
	report_skipped(seed, path);
	return 0;
}

static int put_bytes(struct seed *seed, struct volume_file file, bool needed)
{
	int r = volume_write_files(seed->storage, seed->guest->id, &file, 1, seed->err);

	return tolerate(seed, r, file.path, needed);
}

/* MAKE: also its directories. NEEDED: somebody asked for it, a failure is one. */
enum { MAKE = 1, NEEDED = 2 };

static int put(struct seed *seed, const char *path, const char *text, mode_t mode, unsigned how)
{
	if (!text)
		return err_errno(seed->err, ENOMEM, "cannot render %s", path);
	return put_bytes(seed,
		(struct volume_file){.path = path,
			.content = text,
			.size = strlen(text),
			.mode = mode,
			.parents = how & MAKE},
		how & NEEDED);
}

static int drop(struct seed *seed, const char *path)
{
	return put_bytes(seed, (struct volume_file){.path = path}, false);
}

/* What a file holds; NULL when it is not there. 1 when it is to be left alone. */
static int fetch(struct seed *seed, const char *path, bool needed, char **ret)
{
	int r = volume_read_file(
		seed->storage, seed->guest->id, path, FILE_MAX, ret, NULL, seed->err);

	if (r == 0 || seed->err->code == ERR_NOT_FOUND)
		return 0;
	r = tolerate(seed, r, path, needed);
	return r < 0 ? r : 1;
}

/* --- Parts ----------------------------------------------------------------------------------- */

static int put_name(struct seed *seed)
{
	AUTOFREE char *hostname = NULL;
	AUTOFREE char *old = NULL;
	AUTOFREE char *hosts = NULL;
	int r;

	if (asprintf(&hostname, "%s\n", seed->guest->name) < 0)
		hostname = NULL;
	r = put(seed, "/etc/hostname", hostname, 0644, 0);
	if (r == 0)
		r = fetch(seed, "/etc/hosts", false, &old);
	if (r != 0 || !old)
		return r < 0 ? r : 0;
	hosts = render_hosts(old, seed->guest->name);
	if (hosts && strcmp(hosts, old) == 0)
		return 0;
	return put(seed, "/etc/hosts", hosts, 0644, 0);
}

static int put_keys(struct seed *seed)
{
	static const char path[] = "/root/.ssh/authorized_keys";
	bool any = seed->guest->ssh_keys && seed->guest->ssh_keys[0];
	AUTOFREE char *old = NULL;
	AUTOFREE char *keys = NULL;
	int r = fetch(seed, path, true, &old);

	if (r != 0 || (!any && !old))
		return r < 0 ? r : 0;
	keys = render_keys(old, seed->guest->ssh_keys);
	if (keys && old && strcmp(keys, old) == 0)
		return 0;
	return put(seed, path, keys, 0600, MAKE | NEEDED);
}

/* A script can be run as it is; all else is only to be read. */
static int put_user_data(struct seed *seed)
{
	const char *text = seed->guest->user_data;
	bool script = text && strncmp(text, "#!", 2) == 0;
	/* Made anew, so that its mode is that of what it is now. */
	int r = drop(seed, SEED_USER_DATA_PATH);

	if (r < 0 || !text || seed->result->cloud_init)
		return r;
	return put(seed, SEED_USER_DATA_PATH, text, script ? 0700 : 0600, MAKE | NEEDED);
}

static int put_password(struct seed *seed)
{
	AUTOFREE char *old = NULL;
	AUTOFREE char *shadow = NULL;
	char hash[PASSWORD_HASH_MAX];
	size_t before;
	int r;

	if (!*seed->guest->password)
		return 0;
	r = fetch(seed, "/etc/shadow", false, &old);
	if (r != 0 || !old)
		return r < 0 ? r : 0;
	r = password_hash(seed->guest->password, hash);
	if (r < 0)
		return err_errno(seed->err, r, "cannot hash the password of root");
	shadow = render_shadow(old, hash, (long)(clock_realtime_ms() / DAY_MS));
	if (shadow && strcmp(shadow, old) == 0)
		return 0;
	before = strlen(seed->result->skipped);
	r = put(seed, "/etc/shadow", shadow, 0640, 0);
	seed->result->password_set = r == 0 && strlen(seed->result->skipped) == before;
	return r;
}

static int put_place(struct seed *seed)
{
	const struct port *ssh = guest_port_by_purpose(seed->guest, "ssh");
	AUTOFREE char *host = NULL;
	char port[16];
	int r;

	if (asprintf(&host, "%s\n", seed->node_name) < 0)
		host = NULL;
	r = put(seed, "/this_host", host, 0644, 0);
	if (r < 0)
		return r;
	if (!ssh || !ssh->host)
		return drop(seed, "/this_port");
	snprintf(port, sizeof(port), "%u\n", ssh->host);
	return put(seed, "/this_port", port, 0644, 0);
}

/* In place of its original's, where it has an ssh server. */
static int put_host_key(struct seed *seed)
{
	static const char path[] = "/etc/ssh/ssh_host_ed25519_key";
	uint8_t random[HOST_KEY_SEED];
	AUTOFREE char *comment = NULL;
	AUTOFREE char *key = NULL;
	AUTOFREE char *public = NULL;
	int r;

	if (asprintf(&comment, "root@%s", seed->guest->name) < 0)
		comment = NULL;
	random_bytes(random, sizeof(random));
	key = comment ? render_host_key(random, comment) : NULL;
	public = comment ? render_host_key_public(random, comment) : NULL;
	explicit_bzero(random, sizeof(random));
	r = put(seed, path, key, 0600, 0);
	if (r == 0)
		r = put(seed, "/etc/ssh/ssh_host_ed25519_key.pub", public, 0644, 0);
	if (key)
		explicit_bzero(key, strlen(key));
	return r;
}

/* An empty machine-id is filled at the next boot (machine-id(5)). */
static int drop_identity(struct seed *seed)
{
	static const char *const theirs[] = {"/var/lib/dbus/machine-id",
		"/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub",
		"/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_ecdsa_key.pub",
		"/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_rsa_key.pub",
		"/etc/ssh/ssh_host_dsa_key", "/etc/ssh/ssh_host_dsa_key.pub"};
	AUTOFREE char *machine_id = NULL;
	AUTOFREE char *sshd = NULL;
	int r = fetch(seed, "/etc/machine-id", false, &machine_id);

	r = r < 0 ? r : 0;
	if (r == 0 && machine_id)
		r = put(seed, "/etc/machine-id", "", 0444, 0);
	for (size_t i = 0; i < ARRAY_SIZE(theirs) && r == 0; i++)
		r = drop(seed, theirs[i]);
	if (r == 0)
		r = fetch(seed, "/etc/ssh/sshd_config", false, &sshd);
	return r == 0 && sshd ? put_host_key(seed) : r < 0 ? r : 0;
}

/* --- cloud-init ------------------------------------------------------------------------------ */

static int find_cloud_init(struct seed *seed)
{
	AUTOFREE char *text = NULL;
	int r = fetch(seed, CLOUD_CFG, false, &text);

	seed->result->cloud_init = r == 0 && text;
	return r < 0 ? r : 0;
}

static int put_cloud_seed(struct seed *seed)
{
	AUTOFREE char *meta_data = render_meta_data(seed->guest);
	const char *user_data = seed->guest->user_data;
	const struct {
		const char *path, *text;
		bool needed;
	} files[] = {
		{CLOUD_SEED "meta-data", meta_data, seed->guest->ssh_keys},
		{CLOUD_SEED "user-data", user_data ? user_data : "", user_data},
		{CLOUD_SEED "vendor-data", RENDER_VENDOR_DATA, false},
		{CLOUD_SEED "network-config", RENDER_NETWORK_CONFIG, false},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files) && r == 0; i++)
		r = put(seed, files[i].path, files[i].text, 0600,
			MAKE | (files[i].needed ? NEEDED : 0));
	return r;
}

/* --- All of it ------------------------------------------------------------------------------- */

static const struct {
	unsigned part;
	int (*put)(struct seed *seed);
} PARTS[] = {
	{SEED_IDENTITY, drop_identity},
	{SEED_NAME, put_name},
	{SEED_KEYS, put_keys},
	{SEED_USER_DATA, put_user_data},
	{SEED_PASSWORD, put_password},
	{SEED_PLACE, put_place},
};

int seed_apply(struct storage *storage, const struct guest *guest, const char *node_name,
	unsigned parts, struct seed_result *ret, struct err *err)
{
	struct seed_result result = {0};
	struct err local = {0};
	struct seed seed = {.storage = storage,
		.guest = guest,
		.node_name = node_name,
		.lenient = parts & SEED_LENIENT,
		.result = &result,
		.err = err ? err : &local};
	int r = find_cloud_init(&seed);

	for (size_t i = 0; i < ARRAY_SIZE(PARTS) && r == 0; i++)
		if (parts & PARTS[i].part)
			r = PARTS[i].put(&seed);
	if (r == 0 && result.cloud_init && parts & (SEED_NAME | SEED_KEYS | SEED_USER_DATA))
		r = put_cloud_seed(&seed);
	if (r == 0)
		*ret = result;
	return r;
}

unsigned seed_parts_changed(const struct guest *before, const struct guest *after)
{
	const char *old = before->user_data ? before->user_data : "";
	const char *new = after->user_data ? after->user_data : "";
	unsigned parts = 0;

	if (strcmp(before->name, after->name) != 0)
		parts |= SEED_NAME;
	if (!strv_equal(before->ssh_keys, after->ssh_keys))
		parts |= SEED_KEYS;
	if (strcmp(old, new) != 0)
		parts |= SEED_USER_DATA;
	return parts;
}
