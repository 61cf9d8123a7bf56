/* Problem documents (RFC 9457). */
#include "agent/http/problem.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/utf8.h"

/* Messages quote what was sent and may be cut within a character; a document must be UTF-8. */
static void add(json_t *document, const char *name, const char *text)
{
	AUTOFREE char *copy = text && text[0] ? strdup(text) : NULL;

	if (!copy)
		return;
	utf8_scrub(copy);
	json_object_set_new(document, name, json_string(copy));
}

char *problem_render(
	const struct err *err, unsigned status, const char *operation, const char *instance)
{
	json_t *document = json_object();
	char type[96];
	char *text;

	snprintf(type, sizeof(type), "urn:corpus:problem:%s", err_code_to_string(err->code));
	add(document, "type", type);
	add(document, "title", err_title(err->code));
	json_object_set_new(document, "status", json_integer(status));
	add(document, "code", err_code_to_string(err->code));
	add(document, "detail", err->message);
	add(document, "field", err->field);
	add(document, "operation", operation);
	add(document, "instance", instance);
	text = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	return text;
}
