/* What is kept of a guest: its facts as JSON, from which liblxc's configuration is rendered anew at
 * each start; used inside drivers/lxc only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "drivers/lxc/instance.h"

struct lxc_definition {
	json_t *json; /* keeps the strings */
	struct driver_guest guest;
};

/* Whether the guest is defined. */
bool definition_exists(const struct lxc_paths *paths);

/* ERR_NOT_FOUND. */
int definition_load(
	const struct lxc_paths *paths, const char *id, struct lxc_definition *ret, struct err *err);
void definition_finish(struct lxc_definition *definition);

/* Refuses facts that cannot be written into a configuration. */
int definition_check(const struct driver_guest *guest, struct err *err);

/* Checks the facts and writes them. */
int definition_save(
	const struct lxc_paths *paths, const struct driver_guest *guest, struct err *err);
int definition_remove(const struct lxc_paths *paths, struct err *err);
