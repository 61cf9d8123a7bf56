/* The files that tell dnsmasq about guests, below the folder of a bridge (see dhcp.h). Functions
 * return 0 or a negative errno. */
#pragma once

#include <stddef.h>

#include "net/net.h"

#define DHCP_FILE_MAX  (8 << 20)
#define DHCP_FILE_MODE 0644 /* dnsmasq reads as its own user */

struct dhcp_files {
	const char *dir;
	const char *domain; /* may be NULL */
};

/* What a function did: removals and another `local` have to be told to dnsmasq. */
struct dhcp_files_changes {
	unsigned placed, removed, local;
};

/* Makes the folders, and in them exactly the files of these guests. */
int dhcp_files_sync(const struct dhcp_files *files, const struct net_guest *guests, size_t count,
	struct dhcp_files_changes *ret);

int dhcp_files_add(const struct dhcp_files *files, const struct net_guest *guest,
	struct dhcp_files_changes *ret);
int dhcp_files_remove(const struct dhcp_files *files, const struct net_guest *guest,
	struct dhcp_files_changes *ret);

/* Reads a file of the folder; the caller frees the text. */
int dhcp_files_read(const struct dhcp_files *files, const char *name, char **ret);
