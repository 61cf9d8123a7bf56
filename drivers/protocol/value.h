/* The values that messages are made of, to JSON and back. Drivers of this tree
 * also keep their definitions of guests in this form. */
#pragma once

#include <jansson.h>

#include "drivers/driver.h"

struct err;

/* Parses a whole text into an object; ERR_MALFORMED. */
int value_parse(const char *text, json_t **ret, struct err *err);
/* Compact text; takes the reference. NULL when memory ran out or json is NULL. */
char *value_print(json_t *json);

/* A field of an object. Absent ones: string and json stay as they are, numbers too. A wrong type or
 * range is ERR_MALFORMED. */
int value_string(const json_t *object, const char *key, const char **ret, struct err *err);
int value_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret, struct err *err);
int value_i64(const json_t *object, const char *key, int64_t min, int64_t max, int64_t *ret,
	struct err *err);
int value_bool(const json_t *object, const char *key, bool *ret, struct err *err);
int value_object(const json_t *object, const char *key, json_t **ret, struct err *err);
/* A list of at most `max` strings, which belong to the object; *ret is allocated and ends with
 * NULL.
 */
int value_strings(const json_t *object, const char *key, size_t max, const char *const **ret,
	struct err *err);
/* NULL stands for none; returns NULL where one of them is not valid UTF-8. */
json_t *value_from_strings(const char *const *strings);

json_t *value_from_limits(const struct guest_limits *limits);
int value_to_limits(const json_t *json, struct guest_limits *ret, struct err *err);
json_t *value_from_guest(const struct driver_guest *guest);
/* Its strings belong to `json`, all else to it: to be released by value_guest_finish. */
int value_to_guest(const json_t *json, struct driver_guest *ret, struct err *err);
void value_guest_finish(struct driver_guest *guest);
json_t *value_from_status(const struct driver_status *status);
int value_to_status(const json_t *json, struct driver_status *ret, struct err *err);
json_t *value_from_stats(const struct driver_stats *stats);
int value_to_stats(const json_t *json, struct driver_stats *ret, struct err *err);
json_t *value_from_file_info(const struct driver_file_info *info);
int value_to_file_info(const json_t *json, struct driver_file_info *ret, struct err *err);
json_t *value_from_disk_result(const struct driver_disk_result *result);
int value_to_disk_result(const json_t *json, struct driver_disk_result *ret, struct err *err);
json_t *value_from_image(const struct driver_image *image);
int value_to_image(const json_t *json, struct driver_image *ret, struct err *err);
json_t *value_from_layer_result(const struct driver_layer_result *result);
int value_to_layer_result(const json_t *json, struct driver_layer_result *ret, struct err *err);
json_t *value_from_info(const struct driver_info *info);
int value_to_info(const json_t *json, struct driver_info *ret, struct err *err);
json_t *value_from_error(const struct err *error);
int value_to_error(const json_t *json, struct err *ret, struct err *err);
