/* Bodies of requests from the words of a command line. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct args;
struct err;

/* A setting of a guest: what `create` knows as --NAME VALUE and `set` as NAME=VALUE. */
struct setting {
	const char *name;
	const char *path; /* in the guest: "limits.memory" */
	enum { SETTING_TEXT, SETTING_NUMBER, SETTING_SWITCH, SETTING_HEALTH, SETTING_WORDS } kind;
	bool changeable; /* by `set`, too */
};

extern const struct setting BODY_SETTINGS[]; /* ends with a NULL name */

/* Sets a value at a path of names joined by dots, making objects on the way; takes `value` over. */
int body_set(json_t *body, const char *path, json_t *value, struct err *err);

/* The body of `create` and `clone` from their options, and of `create` the command that follows. */
int body_for_new(const struct args *args, const char *name, json_t **ret, struct err *err);

/* Adds one KEY=VALUE of `set`; an empty value is null. "label.KEY=VALUE" sets a label,
 * "var.NAME=VALUE" a variable. */
int body_add_assignment(json_t *patch, const char *word, struct err *err);

/* Reads "[tcp:|udp:][HOST:]GUEST[:PURPOSE]" into {proto, host, guest, purpose}. */
int body_port(const char *word, json_t **ret, struct err *err);

/* A port number followed by /tcp or /udp, or by nothing (tcp); *ret_proto is a constant. */
int body_port_number(const char *word, unsigned *ret_port, const char **ret_proto, struct err *err);
