/* Private to model/: pieces that requests, patches and records of guests share. */
#pragma once

#include "model/guest.h"
#include "model/reader.h"

extern const char *const GUEST_ENVIRONMENTS[]; /* ends with NULL */

#define GUEST_LIMITS_FIELDS 7
extern const struct reader_field GUEST_LIMITS[GUEST_LIMITS_FIELDS];

#define GUEST_AUTOSTART_FIELDS 1
extern const struct reader_field GUEST_AUTOSTART[GUEST_AUTOSTART_FIELDS];

/* [struct guest] an object of strings to the guest's labels, replacing what was there. */
int guest_read_labels(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);

/* [struct guest] an array of ports, replacing what was there. */
int guest_read_ports(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);

/* New references. */
json_t *guest_limits_to_json(const struct guest_limits *limits);
json_t *guest_labels_to_json(const struct guest *guest);
json_t *guest_ports_to_json(const struct guest *guest);

/* The changeable part of the specification, as a merge patch may name it. */
json_t *guest_changeable_to_json(const struct guest *guest);
