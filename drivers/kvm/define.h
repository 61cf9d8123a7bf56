/* What is kept of a guest: its facts as JSON, from which libvirt's XML is rendered anew at each
 * start; used inside drivers/kvm only. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "drivers/kvm/instance.h"

struct kvm_definition {
	json_t *json; /* keeps the strings */
	struct driver_guest guest;
};

/* Whether the guest is defined. */
bool define_exists(const struct kvm_paths *paths);

/* ERR_NOT_FOUND. */
int define_load(
	const struct kvm_paths *paths, const char *id, struct kvm_definition *ret, struct err *err);
void define_finish(struct kvm_definition *definition);

/* Refuses facts that no machine can be made of. */
int define_check(const struct driver_guest *guest, struct err *err);

/* Writes the facts. */
int define_save(const struct kvm_paths *paths, const struct driver_guest *guest, struct err *err);

/* Removes the definition, and what else the driver keeps in its directories. */
int define_remove(const struct kvm_paths *paths, struct err *err);
