/* A key of its own for a clone's ssh server: Ed25519, as OpenSSH keeps it (PROTOCOL.key, without a
 * passphrase). Most images make host keys when sshd is installed, not when they are missing: a
 * clone without any could not be entered. */
#include <nettle/base64.h>
#include <nettle/eddsa.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "base/cleanup.h"
#include "base/strbuf.h"

#define TYPE "ssh-ed25519"
#define LINE 70

static void add_u32(struct strbuf *buf, uint32_t value)
{
	const uint8_t bytes[] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16),
		(uint8_t)(value >> 8), (uint8_t)value};

	strbuf_add_bytes(buf, bytes, sizeof(bytes));
}

static void add_string(struct strbuf *buf, const void *data, size_t size)
{
	add_u32(buf, (uint32_t)size);
	strbuf_add_bytes(buf, data, size);
}

static void add_public(struct strbuf *buf, const uint8_t public[static ED25519_KEY_SIZE])
{
	add_string(buf, TYPE, strlen(TYPE));
	add_string(buf, public, ED25519_KEY_SIZE);
}

/* The part that a passphrase would hide; filled up to whole blocks of eight. */
static void add_private(struct strbuf *buf, const uint8_t seed[static HOST_KEY_SEED],
	const uint8_t public[static ED25519_KEY_SIZE], const char *comment)
{
	uint8_t both[2 * ED25519_KEY_SIZE];

	memcpy(both, seed, ED25519_KEY_SIZE);
	memcpy(both + ED25519_KEY_SIZE, public, ED25519_KEY_SIZE);
	/* Twice the same number tells who decrypts that the passphrase was right. */
	add_u32(buf, 0);
	add_u32(buf, 0);
	add_public(buf, public);
	add_string(buf, both, sizeof(both));
	add_string(buf, comment, strlen(comment));
	for (uint8_t i = 1; buf->used % 8; i++)
		strbuf_add_bytes(buf, &i, 1);
	explicit_bzero(both, sizeof(both));
}

static char *base64(const struct strbuf *buf)
{
	char *text = calloc(1, BASE64_ENCODE_RAW_LENGTH(buf->used) + 1);

	if (text && !buf->failed)
		base64_encode_raw(text, buf->used, (const uint8_t *)buf->text);
	return text;
}

static char *armoured(const struct strbuf *key)
{
	AUTOFREE char *text = base64(key);
	struct strbuf buf = {0};

	strbuf_add(&buf, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	for (const char *p = text; p && *p; p += strnlen(p, LINE))
		strbuf_addf(&buf, "%.*s\n", LINE, p);
	strbuf_add(&buf, "-----END OPENSSH PRIVATE KEY-----\n");
	return text ? strbuf_take(&buf) : (strbuf_finish(&buf), NULL);
}

char *render_host_key(const uint8_t seed[static HOST_KEY_SEED], const char *comment)
{
	static const char magic[] = "openssh-key-v1";
	uint8_t public[ED25519_KEY_SIZE];
	CLEANUP(strbuf_finish) struct strbuf key = {0};
	CLEANUP(strbuf_finish) struct strbuf part = {0};
	CLEANUP(strbuf_finish) struct strbuf hidden = {0};

	ed25519_sha512_public_key(public, seed);
	add_public(&part, public);
	add_private(&hidden, seed, public, comment);
	strbuf_add_bytes(&key, magic, sizeof(magic));
	add_string(&key, "none", 4);
	add_string(&key, "none", 4);
	add_string(&key, "", 0);
	add_u32(&key, 1);
	add_string(&key, part.text, part.used);
	add_string(&key, hidden.text, hidden.used);
	key.failed |= part.failed || hidden.failed;
	return key.failed ? NULL : armoured(&key);
}

char *render_host_key_public(const uint8_t seed[static HOST_KEY_SEED], const char *comment)
{
	uint8_t public[ED25519_KEY_SIZE];
	CLEANUP(strbuf_finish) struct strbuf key = {0};
	AUTOFREE char *text = NULL;
	char *line;

	ed25519_sha512_public_key(public, seed);
	add_public(&key, public);
	text = key.failed ? NULL : base64(&key);
	return text && asprintf(&line, TYPE " %s %s\n", text, comment) > 0 ? line : NULL;
}
