/* Root's password: made once, and hashed for /etc/shadow. */
#include <crypt.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/random.h"

static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static void random_letters(char *buf, size_t count)
{
	const uint8_t letters = sizeof(LETTERS) - 1;
	size_t used = 0;

	while (used < count) {
		uint8_t bytes[64];

		random_bytes(bytes, sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes) && used < count; i++)
			/* Those beyond the last whole run would favour the first letters. */
			if (bytes[i] < 256 / letters * letters)
				buf[used++] = LETTERS[bytes[i] % letters];
	}
	buf[count] = '\0';
}

void seed_password(char ret[static GUEST_PASSWORD_LEN + 1])
{
	random_letters(ret, GUEST_PASSWORD_LEN);
}

/* SHA-512, which every libc that has a shadow file knows. The rounds make guessing dear; these
 * passwords have 142 bits of randomness and cannot be guessed at all, so the least will do: a guest
 * is to be made in milliseconds. */
int password_hash(const char *password, char ret[static PASSWORD_HASH_MAX])
{
	AUTOFREE struct crypt_data *data = calloc(1, sizeof(*data));
	char salt[17], setting[48];
	const char *hash;

	if (!data)
		return -ENOMEM;
	random_letters(salt, sizeof(salt) - 1);
	snprintf(setting, sizeof(setting), "$6$rounds=1000$%s$", salt);
	/* Not crypt_r, in whose place the sanitizers put one that lacks the library. */
	hash = crypt_rn(password, setting, data, sizeof(*data));
	if (!hash || *hash == '*' || strlen(hash) >= PASSWORD_HASH_MAX)
		return -EINVAL;
	memcpy(ret, hash, strlen(hash) + 1);
	return 0;
}
