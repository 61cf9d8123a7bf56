/* Keys of ssh: Ed25519, as OpenSSH keeps it (PROTOCOL.key, without a passphrase). For a clone's ssh
 * server: most images make host keys when sshd is installed, not when they are missing, and a clone
 * without any could not be entered. And the node's own, see node_key.c. */
#include <errno.h>
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

/* All before the private part: the same for all keys but for the public one at its end. */
static void add_head(struct strbuf *buf, const uint8_t public[static ED25519_KEY_SIZE])
{
	static const char magic[] = "openssh-key-v1";
	CLEANUP(strbuf_finish) struct strbuf part = {0};

	add_public(&part, public);
	strbuf_add_bytes(buf, magic, sizeof(magic));
	add_string(buf, "none", 4);
	add_string(buf, "none", 4);
	add_string(buf, "", 0);
	add_u32(buf, 1);
	add_string(buf, part.text, part.used);
	buf->failed |= part.failed;
}

char *render_host_key(const uint8_t seed[static HOST_KEY_SEED], const char *comment)
{
	uint8_t public[ED25519_KEY_SIZE];
	CLEANUP(strbuf_finish) struct strbuf key = {0};
	CLEANUP(strbuf_finish) struct strbuf hidden = {0};

	ed25519_sha512_public_key(public, seed);
	add_private(&hidden, seed, public, comment);
	add_head(&key, public);
	add_string(&key, hidden.text, hidden.used);
	key.failed |= hidden.failed;
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

/* --- And back -------------------------------------------------------------------------------- */

/* The bytes between the lines that begin and end a key; their number, or 0. */
static size_t unarmoured(const char *key, uint8_t *ret, size_t size)
{
	const char *body = strchr(key, '\n'), *end = body ? strstr(body, "\n-----END") : NULL;
	struct base64_decode_ctx base64;

	if (!end || strncmp(key, "-----BEGIN OPENSSH", 18) != 0 ||
		BASE64_DECODE_LENGTH((size_t)(end - body)) > size)
		return 0;
	base64_decode_init(&base64);
	if (!base64_decode_update(&base64, &size, ret, (size_t)(end - body), body) ||
		!base64_decode_final(&base64))
		return 0;
	return size;
}

/* Between the head and what both halves are made of: the length of the private part, and twice a
 * number. */
#define NUMBERS 12

/* The public key as the private part repeats it, up to the random bytes; those; and it once more.
 */
static void add_halves(struct strbuf *buf, const uint8_t seed[static HOST_KEY_SEED],
	const uint8_t public[static ED25519_KEY_SIZE])
{
	add_public(buf, public);
	add_u32(buf, 2 * ED25519_KEY_SIZE);
	strbuf_add_bytes(buf, seed, HOST_KEY_SEED);
	strbuf_add_bytes(buf, public, ED25519_KEY_SIZE);
}

/* Whether those bytes are the key that these random bytes make. */
static bool is_key_of(const uint8_t *bytes, size_t size, const uint8_t seed[static HOST_KEY_SEED])
{
	uint8_t public[ED25519_KEY_SIZE];
	CLEANUP(strbuf_finish) struct strbuf head = {0};
	CLEANUP(strbuf_finish) struct strbuf halves = {0};
	const uint8_t *at;

	ed25519_sha512_public_key(public, seed);
	add_head(&head, public);
	add_halves(&halves, seed, public);
	if (head.failed || halves.failed || size < head.used + NUMBERS + halves.used)
		return false;
	at = bytes + head.used;
	return memcmp(bytes, head.text, head.used) == 0 && memcmp(at + 4, at + 8, 4) == 0 &&
	       memcmp(at + NUMBERS, halves.text, halves.used) == 0;
}

int host_key_seed(const char *key, uint8_t ret[static HOST_KEY_SEED])
{
	uint8_t bytes[1024];
	CLEANUP(strbuf_finish) struct strbuf head = {0};
	size_t size = unarmoured(key, bytes, sizeof(bytes)), at;
	int r = -EINVAL;

	/* How long all before it is does not hang on the key. */
	add_head(&head, (const uint8_t[ED25519_KEY_SIZE]){0});
	add_public(&head, (const uint8_t[ED25519_KEY_SIZE]){0});
	at = head.used + NUMBERS + 4;
	if (!head.failed && size >= at + HOST_KEY_SEED && is_key_of(bytes, size, bytes + at)) {
		memcpy(ret, bytes + at, HOST_KEY_SEED);
		r = 0;
	}
	explicit_bzero(bytes, sizeof(bytes));
	return r;
}
