/* YAML by libyaml: its emitter knows how to indent and escape, its parser where an error is. */
#include "cli/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "base/err.h"

#define DEPTH_MAX 32

/* --- Printing -------------------------------------------------------------------------------- */

/* Words that some reader takes for something else than text. */
static bool is_ambiguous(const char *text)
{
	static const char *const WORDS[] = {"", "~", "null", "true", "false", "yes", "no", "on",
		"off", "y", "n", "=", "<<", "---", "..."};

	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
		if (strcasecmp(text, WORDS[i]) == 0)
			return true;
	return strchr("0123456789+-.", *text) != NULL;
}

static int emit(yaml_emitter_t *emitter, int made, yaml_event_t *event)
{
	return made && yaml_emitter_emit(emitter, event) ? 0 : -EIO;
}

static int emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;

	return emit(emitter,
		yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
			(int)strlen(text), 1, 1, style),
		&event);
}

static int emit_text(yaml_emitter_t *emitter, const char *text)
{
	if (strchr(text, '\n'))
		return emit_scalar(emitter, text, YAML_LITERAL_SCALAR_STYLE);
	return emit_scalar(emitter, text,
		is_ambiguous(text) ? YAML_SINGLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE);
}

static int emit_value(yaml_emitter_t *emitter, const json_t *json);

static int emit_array(yaml_emitter_t *emitter, const json_t *json)
{
	yaml_event_t event;
	const json_t *item;
	size_t i;
	int r = emit(emitter,
		yaml_sequence_start_event_initialize(
			&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE),
		&event);

	json_array_foreach (json, i, item)
		r = r < 0 ? r : emit_value(emitter, item);
	return r < 0 ? r : emit(emitter, yaml_sequence_end_event_initialize(&event), &event);
}

static int emit_object(yaml_emitter_t *emitter, const json_t *json)
{
	yaml_event_t event;
	const char *key;
	json_t *value;
	int r = emit(emitter,
		yaml_mapping_start_event_initialize(
			&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE),
		&event);

	json_object_foreach ((json_t *)json, key, value) {
		r = r < 0 ? r : emit_text(emitter, key);
		r = r < 0 ? r : emit_value(emitter, value);
	}
	return r < 0 ? r : emit(emitter, yaml_mapping_end_event_initialize(&event), &event);
}

static int emit_value(yaml_emitter_t *emitter, const json_t *json)
{
	AUTOFREE char *plain = NULL;

	if (json_is_array(json))
		return emit_array(emitter, json);
	if (json_is_object(json))
		return emit_object(emitter, json);
	if (json_is_string(json))
		return emit_text(emitter, json_string_value(json));
	plain = json_dumps(json, JSON_ENCODE_ANY);
	return plain ? emit_scalar(emitter, plain, YAML_PLAIN_SCALAR_STYLE) : -ENOMEM;
}

static int emit_document(yaml_emitter_t *emitter, const json_t *json)
{
	yaml_event_t event;
	int r = emit(
		emitter, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);

	if (r == 0)
		r = emit(emitter, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 0),
			&event);
	if (r == 0)
		r = emit_value(emitter, json);
	if (r == 0)
		r = emit(emitter, yaml_document_end_event_initialize(&event, 1), &event);
	if (r == 0)
		r = emit(emitter, yaml_stream_end_event_initialize(&event), &event);
	return r;
}

int yaml_print(const json_t *json, FILE *out)
{
	yaml_emitter_t emitter;
	int r;

	if (!yaml_emitter_initialize(&emitter))
		return -ENOMEM;
	yaml_emitter_set_output_file(&emitter, out);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	r = emit_document(&emitter, json);
	yaml_emitter_delete(&emitter);
	return r;
}

/* --- Reading --------------------------------------------------------------------------------- */

/* What is read: events, which know no loops, unlike libyaml's own tree. */
struct reading {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one */
	const char *file;
};

static int fail(const struct reading *reading, size_t line, const char *what, struct err *err)
{
	return err_set(err, ERR_MALFORMED, NULL, "%s, line %zu: %s", reading->file, line + 1, what);
}

static int next(struct reading *reading, struct err *err)
{
	yaml_event_delete(&reading->event);
	if (yaml_parser_parse(&reading->parser, &reading->event))
		return 0;
	reading->event = (yaml_event_t){0};
	return fail(reading, reading->parser.problem_mark.line,
		reading->parser.problem ? reading->parser.problem : "not YAML", err);
}

/* null, true, false and numbers are written as JSON writes them. */
static json_t *plain_value(const char *text)
{
	json_t *value;

	if (!*text || strcmp(text, "~") == 0)
		return json_null();
	value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	if (value && (json_is_array(value) || json_is_object(value) || json_is_string(value))) {
		json_decref(value);
		value = NULL;
	}
	return value ? value : json_string(text);
}

static json_t *scalar_value(const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;

	return plain ? plain_value(text) : json_string(text);
}

static int read_value(struct reading *reading, unsigned depth, json_t **ret, struct err *err);

static int read_sequence(struct reading *reading, unsigned depth, json_t **ret, struct err *err)
{
	json_auto_t *list = json_array();
	int r = next(reading, err);

	while (r == 0 && reading->event.type != YAML_SEQUENCE_END_EVENT) {
		json_t *item = NULL;

		r = read_value(reading, depth, &item, err);
		if (r == 0)
			json_array_append_new(list, item);
		if (r == 0)
			r = next(reading, err);
	}
	if (r == 0)
		*ret = TAKE_PTR(list);
	return r;
}

static int read_pair(struct reading *reading, unsigned depth, json_t *object, struct err *err)
{
	AUTOFREE char *key = NULL;
	size_t line = reading->event.start_mark.line;
	json_t *value = NULL;
	int r;

	if (reading->event.type != YAML_SCALAR_EVENT)
		return fail(reading, line, "a key must be a word", err);
	key = strdup((const char *)reading->event.data.scalar.value);
	if (!key)
		return err_errno(err, ENOMEM, "reading YAML");
	if (json_object_get(object, key))
		return err_set(err, ERR_MALFORMED, NULL, "%s, line %zu: %s is there twice",
			reading->file, line + 1, key);
	r = next(reading, err);
	if (r == 0)
		r = read_value(reading, depth, &value, err);
	if (r == 0 && json_object_set_new(object, key, value) < 0)
		r = fail(reading, line, "not UTF-8", err);
	return r;
}

static int read_mapping(struct reading *reading, unsigned depth, json_t **ret, struct err *err)
{
	json_auto_t *object = json_object();
	int r = next(reading, err);

	while (r == 0 && reading->event.type != YAML_MAPPING_END_EVENT) {
		r = read_pair(reading, depth, object, err);
		if (r == 0)
			r = next(reading, err);
	}
	if (r == 0)
		*ret = TAKE_PTR(object);
	return r;
}

static int read_value(struct reading *reading, unsigned depth, json_t **ret, struct err *err)
{
	size_t line = reading->event.start_mark.line;

	if (depth >= DEPTH_MAX)
		return fail(reading, line, "too deep", err);
	switch (reading->event.type) {
	case YAML_SCALAR_EVENT:
		*ret = scalar_value(&reading->event);
		return *ret ? 0 : fail(reading, line, "not UTF-8", err);
	case YAML_SEQUENCE_START_EVENT: return read_sequence(reading, depth + 1, ret, err);
	case YAML_MAPPING_START_EVENT: return read_mapping(reading, depth + 1, ret, err);
	case YAML_ALIAS_EVENT: return fail(reading, line, "anchors are not known here", err);
	default: return fail(reading, line, "a value is missing", err);
	}
}

static int read_document(struct reading *reading, json_t **ret, struct err *err)
{
	json_auto_t *found = NULL;
	int r = next(reading, err); /* the stream's start */

	if (r == 0)
		r = next(reading, err);
	if (r == 0 && reading->event.type == YAML_STREAM_END_EVENT) {
		*ret = json_null();
		return 0;
	}
	if (r == 0)
		r = next(reading, err);
	if (r == 0)
		r = read_value(reading, 0, &found, err);
	if (r == 0)
		r = next(reading, err); /* the document's end */
	if (r == 0)
		r = next(reading, err);
	if (r == 0 && reading->event.type != YAML_STREAM_END_EVENT)
		r = fail(reading, reading->event.start_mark.line, "a second document begins", err);
	if (r == 0)
		*ret = TAKE_PTR(found);
	return r;
}

int yaml_read(const char *text, const char *file, json_t **ret, struct err *err)
{
	struct reading reading = {.file = file};
	int r;

	if (!yaml_parser_initialize(&reading.parser))
		return err_errno(err, ENOMEM, "reading YAML");
	yaml_parser_set_input_string(&reading.parser, (const yaml_char_t *)text, strlen(text));
	r = read_document(&reading, ret, err);
	yaml_event_delete(&reading.event);
	yaml_parser_delete(&reading.parser);
	return r;
}
