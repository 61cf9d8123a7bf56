/* Readers of single values: each turns the text at a place into a member of struct config, or says
 * what is wrong with it. Inside agent/config/ only. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/config/source.h"

struct err;

struct key {
	const char *name;
	int (*read)(
		const struct place *place, const struct key *key, void *member, struct err *err);
	size_t offset;
	uint64_t min, max;	/* of numbers, sizes, durations; of a text's length */
	const struct key *keys; /* of a section; ends with an unnamed one */
};

/* A mapping with these keys and no others, into the struct at `base`. */
int setting_keys(const struct place *place, const struct key *keys, void *base, struct err *err);
int setting_section(const struct place *place, const struct key *key, void *base, struct err *err);

int setting_u16(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_u32(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_u64(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_size(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_duration(
	const struct place *place, const struct key *key, void *member, struct err *err);
int setting_bool(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_mode(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_ipv4(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_log_level(
	const struct place *place, const struct key *key, void *member, struct err *err);
int setting_role(const struct place *place, const struct key *key, void *member, struct err *err);

/* Text into a char *, which is replaced. */
int setting_text(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_path(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_host_name(
	const struct place *place, const struct key *key, void *member, struct err *err);
int setting_word(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_link(const struct place *place, const struct key *key, void *member, struct err *err);
int setting_environment(
	const struct place *place, const struct key *key, void *member, struct err *err);
