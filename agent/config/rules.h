/* Rules between keys. Inside agent/config/ only. */
#pragma once

struct config;
struct err;
struct source;

int rules_check(const struct config *config, struct source *source, struct err *err);
