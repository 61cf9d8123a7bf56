/* Private to agent/seed: rendering, apart from applying. */
#pragma once

#include "model/guest.h"

/* Each gives a new text, NULL when memory ran out. `old` is what the file holds, NULL: there is
 * none. */

/* /etc/hosts with the name at 127.0.1.1, as Debian has it. */
char *render_hosts(const char *old, const char *name);

/* authorized_keys with our marked block as its last lines; lines outside it stay. */
char *render_keys(const char *old, char *const *keys);

/* /etc/shadow (shadow(5)) with root's password; `today` in days since the epoch. */
char *render_shadow(const char *old, const char *hash, long today);

/* cloud-init's NoCloud seed. */
char *render_meta_data(const struct guest *guest);
extern const char RENDER_VENDOR_DATA[];
extern const char RENDER_NETWORK_CONFIG[];

/* A host key of OpenSSH made of that many random bytes, and its public half. */
#define HOST_KEY_SEED 32
char *render_host_key(const uint8_t seed[static HOST_KEY_SEED], const char *comment);
char *render_host_key_public(const uint8_t seed[static HOST_KEY_SEED], const char *comment);

/* The random bytes that render_host_key made such a key of; -EINVAL for any other text. */
int host_key_seed(const char *key, uint8_t ret[static HOST_KEY_SEED]);

#define PASSWORD_HASH_MAX 384

/* The hash for /etc/shadow; -ENOMEM, -EINVAL. */
int password_hash(const char *password, char ret[static PASSWORD_HASH_MAX]);
