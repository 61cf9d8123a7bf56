/* Credentials for registries, from a file in the format of Docker's config.json; used inside
 * drivers/docker only. */
#pragma once

struct err;

/* The value of the header X-Registry-Auth for a registry ("docker.io", "localhost:5000"),
 * allocated: what the file holds for it, or that there is nothing. `path` NULL, or no such file:
 * nothing. ERR_INVALID (registries) for a file that cannot be understood, ERR_UNSUPPORTED when it
 * leaves the registry to a helper program. */
int registries_header(const char *path, const char *registry, char **ret, struct err *err);
