/* Public keys of ssh. What is in the base64 is looked at as far as a pasted key can be damaged: its
 * own type, and fields that fill it exactly (RFC 4253, 6.6; RFC 8709; RFC 5656; PROTOCOL.u2f). */
#include "model/ssh_key.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "model/guest.h"

#define BLANK " \t\r\n"

static const struct key_type {
	const char *name;
	unsigned fields; /* behind the type's name in the key */
} TYPES[] = {
	{"ssh-ed25519", 1},
	{"ssh-rsa", 2},
	{"ecdsa-sha2-nistp256", 2},
	{"ecdsa-sha2-nistp384", 2},
	{"ecdsa-sha2-nistp521", 2},
	{"sk-ssh-ed25519@openssh.com", 2},
	{"sk-ecdsa-sha2-nistp256@openssh.com", 3},
};

static const struct key_type *find_type(const char *text, size_t length)
{
	for (size_t i = 0; i < ARRAY_SIZE(TYPES); i++)
		if (strlen(TYPES[i].name) == length && memcmp(TYPES[i].name, text, length) == 0)
			return &TYPES[i];
	return NULL;
}

/* The next string of a key: four bytes of length, then so many bytes; NULL at a wrong end. */
static const uint8_t *next_field(const uint8_t **at, const uint8_t *end, uint32_t *ret_size)
{
	const uint8_t *p = *at;
	uint32_t size;

	if (end - p < 4)
		return NULL;
	size = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
	p += 4;
	if ((size_t)(end - p) < size)
		return NULL;
	*at = p + size;
	*ret_size = size;
	return p;
}

static bool is_whole(const struct key_type *type, const uint8_t *key, size_t length)
{
	const uint8_t *at = key, *end = key + length;
	uint32_t size = 0;
	const uint8_t *name = next_field(&at, end, &size);

	if (!name || size != strlen(type->name) || memcmp(name, type->name, size) != 0)
		return false;
	for (unsigned i = 0; i < type->fields; i++)
		if (!next_field(&at, end, &size) || size == 0)
			return false;
	return at == end;
}

static int check_text(const char *text, size_t length, const char *field, struct err *err)
{
	if (length > GUEST_SSH_KEY_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d bytes", field,
			GUEST_SSH_KEY_MAX);
	for (size_t i = 0; i < length; i++)
		if (((unsigned char)text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7f)
			return err_set(
				err, ERR_INVALID, field, "%s must be one line: one key", field);
	return 0;
}

static int check_type(
	const char *text, const struct key_type **ret, const char *field, struct err *err)
{
	*ret = find_type(text, strcspn(text, BLANK));
	if (*ret)
		return 0;
	if (strncmp(text, "-----BEGIN", 10) == 0)
		return err_set(err, ERR_INVALID, field,
			"%s must be a public key (a line of a .pub file), not a private one",
			field);
	return err_set(err, ERR_INVALID, field,
		"%s must begin with a type of key that ssh takes (ssh-ed25519, ssh-rsa, "
		"ecdsa-sha2-nistp256, …); options before it are not taken",
		field);
}

static int check_key(const char *text, const char *field, struct err *err)
{
	const struct key_type *type;
	const char *base64;
	AUTOFREE uint8_t *key = NULL;
	size_t length, size;
	int r = check_type(text, &type, field, err);

	if (r < 0)
		return r;
	base64 = text + strlen(type->name);
	base64 += strspn(base64, BLANK);
	length = strcspn(base64, BLANK);
	key = malloc(length + 1);
	if (!key)
		return err_errno(err, ENOMEM, "cannot read %s", field);
	if (parse_base64(base64, length, key, &size) < 0 || !is_whole(type, key, size))
		return err_set(err, ERR_INVALID, field,
			"%s must be a whole key of type %s: it is cut off or damaged", field,
			type->name);
	return 0;
}

int ssh_key_parse(const char *text, const char *field, char **ret, struct err *err)
{
	AUTOFREE char *line = NULL;
	size_t length;
	int r;

	text += strspn(text, BLANK);
	length = strlen(text);
	while (length > 0 && strchr(BLANK, text[length - 1]))
		length--;
	r = check_text(text, length, field, err);
	if (r < 0)
		return r;
	line = strndup(text, length);
	if (!line)
		return err_errno(err, ENOMEM, "cannot read %s", field);
	r = check_key(line, field, err);
	if (r == 0)
		*ret = TAKE_PTR(line);
	return r;
}

bool ssh_key_same(const char *a, const char *b)
{
	const char *key_a = a + strcspn(a, BLANK), *key_b = b + strcspn(b, BLANK);

	key_a += strspn(key_a, BLANK);
	key_b += strspn(key_b, BLANK);
	/* The type is in the key, too. */
	return strcspn(key_a, BLANK) == strcspn(key_b, BLANK) &&
	       strncmp(key_a, key_b, strcspn(key_a, BLANK)) == 0;
}
