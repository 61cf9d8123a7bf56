/* The disk that a machine reads its first boot from. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/seed/internal.h"
#include "agent/seed/seed.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

#define LABEL "CIDATA"

enum { META_DATA, USER_DATA, VENDOR_DATA, NETWORK_CONFIG, SCRIPT, FILES };

static int write_files(struct storage *storage, const struct script_facts *facts, struct err *err)
{
	const struct guest *guest = facts->guest;
	AUTOFREE char *meta_data = render_disk_meta_data(guest);
	AUTOFREE char *vendor_data = render_disk_vendor_data(facts);
	AUTOFREE char *network_config = render_disk_network_config(guest);
	AUTOFREE char *script = render_script(facts, SCRIPT_BOOT);
	const char *user_data = guest->user_data ? guest->user_data : RENDER_NO_USER_DATA;
	struct volume_seed_file files[FILES] = {
		[META_DATA] = {.name = "meta-data", .content = meta_data},
		[USER_DATA] = {.name = "user-data", .content = user_data},
		[VENDOR_DATA] = {.name = "vendor-data", .content = vendor_data},
		[NETWORK_CONFIG] = {.name = "network-config", .content = network_config},
		[SCRIPT] = {.name = "corpus-seed", .content = script},
	};

	for (size_t i = 0; i < FILES; i++) {
		if (!files[i].content)
			return err_errno(err, ENOMEM, "cannot render %s", files[i].name);
		files[i].size = strlen(files[i].content);
	}
	return volume_write_seed(storage, guest->id, LABEL, files, FILES, err);
}

int seed_write_disk(struct storage *storage, const struct guest *guest,
	const struct seed_node *node, struct err *err)
{
	char hash[PASSWORD_HASH_MAX];
	struct script_facts facts = {.guest = guest, .node = node};
	int r = *guest->password ? password_hash(guest->password, hash) : 0;

	if (r < 0)
		return err_errno(err, r, "cannot hash the password of root");
	if (*guest->password)
		facts.password_hash = hash;
	return write_files(storage, &facts, err);
}

char *seed_script(const struct guest *guest, const struct seed_node *node)
{
	/* Nobody comes into a container by ssh for us. */
	const struct seed_node keyless = {.name = node->name};

	if (guest->container)
		return render_script(
			&(struct script_facts){.guest = guest, .node = &keyless}, SCRIPT_KEYS);
	return render_script(&(struct script_facts){.guest = guest, .node = node}, SCRIPT_PUSH);
}
