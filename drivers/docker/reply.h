/* Fields of what dockerd answers, by their path: "State.Pid"; used inside drivers/docker only. One
 * that must be there and is not, or is of another type, is ERR_DRIVER and says which. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

/* The value there; NULL: there is none. Borrowed, as all that follows. */
json_t *reply_at(const json_t *reply, const char *path);

int reply_text(const json_t *reply, const char *path, const char **ret, struct err *err);
int reply_number(const json_t *reply, const char *path, int64_t *ret, struct err *err);
int reply_list(const json_t *reply, const char *path, json_t **ret, struct err *err);

/* Where something else, or nothing, is there: "", 0 or false. */
const char *reply_text_or_none(const json_t *reply, const char *path);
int64_t reply_number_or_none(const json_t *reply, const char *path);
bool reply_is_true(const json_t *reply, const char *path);
