/* JSON as YAML and back (YAML 1.1, so that older readers agree). */
#pragma once

#include <jansson.h>
#include <stdio.h>

struct err;

/* Prints a document, with the line that begins it, so that several may follow each other. */
int yaml_print(const json_t *json, FILE *out);

/* Reads one document. Scalars are null (also an empty one), true, false, numbers or text; what is
 * quoted is text. Anchors are refused. ERR_MALFORMED names `file` and the line. */
int yaml_read(const char *text, const char *file, json_t **ret, struct err *err);
