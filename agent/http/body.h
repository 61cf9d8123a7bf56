/* JSON bodies: strict, bounded. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct err;

/* Parses a body that must be one JSON object: depth at most HTTP_JSON_DEPTH, no key twice, no NUL,
 * UTF-8. ERR_MALFORMED says line and column. */
int body_parse(const char *text, size_t size, json_t **ret, struct err *err);

/* "application/json", with nothing but charset=utf-8 as a parameter. */
bool body_type_is_json(const char *content_type);
