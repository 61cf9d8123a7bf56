/* JSON that is rendered against files that are read by people, as golden.h has it. */
#pragma once

#include <jansson.h>

/* Indented, and as `flags` of json_dumps say. */
void assert_golden_json(const char *name, const json_t *json, size_t flags);
