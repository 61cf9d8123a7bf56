/* A health check as words: "http:80/path", "tcp:80", "exec:COMMAND", and back. */
#pragma once

#include <jansson.h>

struct err;

/* The members of a guest's `health` that say what is checked; those of other checks are null. */
int health_read(const char *text, json_t **ret, struct err *err);

/* In words, with its state: "healthy, http:80/ every 30s". The caller frees it; NULL: no check. */
char *health_in_short(const json_t *guest);
