/* Private to agent/seed: rendering, apart from applying. */
#pragma once

#include "model/guest.h"

struct seed_node;

/* Each gives a new text, NULL when memory ran out. `old` is what the file holds, NULL: there is
 * none. */

/* /etc/hosts with the name at 127.0.1.1, as Debian has it. */
char *render_hosts(const char *old, const char *name);

/* authorized_keys with our marked block as its last lines; lines outside it stay. */
char *render_keys(const char *old, char *const *keys);

/* /etc/shadow (shadow(5)) with root's password; `today` in days since the epoch. */
char *render_shadow(const char *old, const char *hash, long today);

/* cloud-init's NoCloud seed in a tree. */
char *render_meta_data(const struct guest *guest);
extern const char RENDER_VENDOR_DATA[];
extern const char RENDER_NETWORK_CONFIG[];

/* Our marked block of authorized_keys: the guest's, and the node's own where that is given. */
#define KEYS_BEGIN "# corpus: keys of this guest; what is between these lines is replaced"
#define KEYS_END   "# corpus: end"

/* The line of /etc/hosts that names the guest. */
char *render_hosts_line(const char *name);

/* --- Machines (script.c, cloud.c) ------------------------------------------------------------ */

/* Who runs boot.sh; see there. */
enum script_runner { SCRIPT_BOOT, SCRIPT_CLOUD_INIT, SCRIPT_PUSH, SCRIPT_KEYS };

/* What a machine is told: its guest, the node's name and public key, and the hash of root's
 * password, NULL: none is set. */
struct script_facts {
	const struct guest *guest;
	const struct seed_node *node;
	const char *password_hash;
};

/* boot.sh with what it is to know, as one text. */
char *render_script(const struct script_facts *facts, enum script_runner runner);

/* cloud-init's NoCloud seed on a disk of its own. All of it is JSON, which is YAML, or base64: no
 * text of users means anything in it. */
char *render_disk_meta_data(const struct guest *guest);
char *render_disk_vendor_data(const struct script_facts *facts);
char *render_disk_network_config(const struct guest *guest);
#define RENDER_NO_USER_DATA "#cloud-config\n{}\n"

/* A host key of OpenSSH made of that many random bytes, and its public half. */
#define HOST_KEY_SEED 32
char *render_host_key(const uint8_t seed[static HOST_KEY_SEED], const char *comment);
char *render_host_key_public(const uint8_t seed[static HOST_KEY_SEED], const char *comment);

/* The random bytes that render_host_key made such a key of; -EINVAL for any other text. */
int host_key_seed(const char *key, uint8_t ret[static HOST_KEY_SEED]);

#define PASSWORD_HASH_MAX 384

/* The hash for /etc/shadow; -ENOMEM, -EINVAL. */
int password_hash(const char *password, char ret[static PASSWORD_HASH_MAX]);
