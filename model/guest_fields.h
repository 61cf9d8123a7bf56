/* Private to model/: pieces that requests, patches and records of guests share. */
#pragma once

#include "model/guest.h"
#include "model/reader.h"

extern const char *const GUEST_ENVIRONMENTS[]; /* ends with NULL */

#define GUEST_LIMITS_FIELDS 9
extern const struct reader_field GUEST_LIMITS[GUEST_LIMITS_FIELDS];

/* [struct guest] what creating a guest says in the same words as changing it. */
#define GUEST_CHANGEABLE_FIELDS 11
extern const struct reader_field GUEST_CHANGEABLE[GUEST_CHANGEABLE_FIELDS];

/* What is shown of a guest and refused in every request. */
#define GUEST_SHOWN_FIELDS 18
extern const struct reader_field GUEST_SHOWN[GUEST_SHOWN_FIELDS];

/* [struct guest] */
#define GUEST_AUTOSTART_FIELDS 3
extern const struct reader_field GUEST_AUTOSTART[GUEST_AUTOSTART_FIELDS];
#define GUEST_RESTART_POLICY_FIELDS 2
extern const struct reader_field GUEST_RESTART_POLICY[GUEST_RESTART_POLICY_FIELDS];

int guest_read_policy(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [enum guest_restart] */
int guest_read_health_state(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [enum guest_health_state] */
int guest_read_check(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [enum guest_check] */

/* [struct guest_health] a check, with the defaults for what it does not say; replaces what was
 * there. Whether it is a whole one is for guest_check_health. */
int guest_read_health(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);

/* Whether the check that was read from `json`, a request, has what its kind needs and no more. */
int guest_check_health(const json_t *json, struct guest *guest, struct err *err);

/* [char **] keys of authorized_keys, checked and trimmed. */
int guest_read_ssh_keys(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);
int guest_check_user_data(const char *text, const char *field, struct err *err);
int guest_check_raw(const char *text, const char *field, struct err *err);

/* [struct guest] snapshots as the record has them. */
int guest_read_snapshots(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);

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
json_t *guest_autostart_to_json(const struct guest *guest);
json_t *guest_restart_to_json(const struct guest *guest);
json_t *guest_health_to_json(const struct guest *guest); /* null: no check */
json_t *guest_texts_to_json(char *const *list);
json_t *guest_restart_needed_to_json(const struct guest *guest);
json_t *guest_snapshots_to_json(const struct guest *guest);
json_t *guest_snapshots_to_record(const struct guest *guest);

/* Merges a patch (RFC 7396, section 2). Takes nothing over; objects in `target` are changed in
 * place. */
void guest_merge(json_t *target, const json_t *patch);

/* The changeable part of the specification, as a merge patch may name it: with the user data, which
 * are not shown. */
json_t *guest_changeable_to_json(const struct guest *guest);
