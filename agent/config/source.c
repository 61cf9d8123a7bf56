/* YAML files as trees. */
#include "agent/config/source.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"

#define SIZE_MAX_BYTES (1024 * 1024)

/* "did not find expected key" is all that libyaml says: the line says the rest. */
static int malformed(const yaml_parser_t *parser, const char *file, struct err *err)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return err_errno(err, ENOMEM, "cannot read %s", file);
	return err_set(err, ERR_MALFORMED, NULL, "%s:%zu: not valid YAML: %s", file,
		parser->problem_mark.line + 1, parser->problem ? parser->problem : "bad bytes");
}

/* The second document, if there is one, would be ignored: refuse it. */
static int check_single(yaml_parser_t *parser, const char *file, struct err *err)
{
	yaml_document_t next;
	yaml_node_t *root;
	size_t line;

	if (!yaml_parser_load(parser, &next))
		return malformed(parser, file, err);
	root = yaml_document_get_root_node(&next);
	line = root ? root->start_mark.line + 1 : 0;
	yaml_document_delete(&next);
	if (root)
		return err_set(err, ERR_MALFORMED, NULL,
			"%s:%zu: a second document begins here: all settings belong into one", file,
			line);
	return 0;
}

static int parse(struct source *source, const char *text, size_t size, struct err *err)
{
	yaml_parser_t parser;
	int r;

	if (!yaml_parser_initialize(&parser))
		return err_errno(err, ENOMEM, "cannot read %s", source->file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
	source->loaded = yaml_parser_load(&parser, &source->document);
	if (!source->loaded)
		r = malformed(&parser, source->file, err);
	else
		r = yaml_document_get_root_node(&source->document)
			    ? check_single(&parser, source->file, err)
			    : 0;
	yaml_parser_delete(&parser);
	return r;
}

int source_load(struct source *source, const char *file, struct err *err)
{
	AUTOFREE char *text = NULL;
	size_t size;
	int r;

	*source = (struct source){.file = file};
	r = file_read(file, SIZE_MAX_BYTES, &text, &size);
	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no file %s", file);
	if (r < 0)
		return err_errno(err, r, "cannot read %s", file);
	r = parse(source, text, size, err);
	if (r < 0)
		source_finish(source);
	return r;
}

void source_finish(struct source *source)
{
	if (source->loaded)
		yaml_document_delete(&source->document);
	source->loaded = false;
}

/* YAML's null, as in "key:" with nothing behind it. */
static bool is_null(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;

	return node->type == YAML_SCALAR_NODE &&
	       node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

struct place source_root(struct source *source)
{
	yaml_node_t *root = yaml_document_get_root_node(&source->document);

	return (struct place){.source = source, .node = root && is_null(root) ? NULL : root};
}

int place_fail(const struct place *place, struct err *err, const char *fmt, ...)
{
	char text[ERR_MESSAGE_MAX / 2], line[24] = "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (place->node)
		snprintf(line, sizeof(line), "%zu:", place->node->start_mark.line + 1);
	return err_set(err, ERR_INVALID, place->path, "%s:%s %s%s%s", place->source->file, line,
		place->path, *place->path ? " " : "", text);
}

int place_prefix(const struct place *place, struct err *err)
{
	err_prefix(err, "%s:%zu", place->source->file, place->node->start_mark.line + 1);
	return -EINVAL;
}

int place_text(const struct place *place, const char **ret, struct err *err)
{
	const yaml_node_t *node = place->node;
	const char *text = (const char *)node->data.scalar.value;

	if (node->type != YAML_SCALAR_NODE)
		return place_fail(place, err, "must be a single value");
	if (is_null(node))
		return place_fail(place, err, "has no value: give one, or remove the line");
	if (strlen(text) != node->data.scalar.length)
		return place_fail(place, err, "must not hold a zero byte");
	*ret = text;
	return 0;
}

bool place_entry(const struct place *place, size_t i, struct place *ret)
{
	const yaml_node_t *node = place->node;
	yaml_node_item_t *item = node->data.sequence.items.start + i;

	if (node->type != YAML_SEQUENCE_NODE || item >= node->data.sequence.items.top)
		return false;
	*ret = *place;
	ret->node = yaml_document_get_node(&place->source->document, *item);
	snprintf(ret->path, sizeof(ret->path), "%.50s[%zu]", place->path, i);
	return true;
}

static bool is_text(const yaml_node_t *node)
{
	return node->type == YAML_SCALAR_NODE;
}

bool place_pair(const struct place *place, size_t i, struct place *ret_key, struct place *ret)
{
	const yaml_node_t *node = place->node;
	yaml_node_pair_t *pair = node->data.mapping.pairs.start + i;

	if (node->type != YAML_MAPPING_NODE || pair >= node->data.mapping.pairs.top)
		return false;
	*ret_key = *place;
	ret_key->node = yaml_document_get_node(&place->source->document, pair->key);
	*ret = *place;
	ret->node = yaml_document_get_node(&place->source->document, pair->value);
	snprintf(ret->path, sizeof(ret->path), "%.30s%s%.30s", place->path, *place->path ? "." : "",
		is_text(ret_key->node) ? (const char *)ret_key->node->data.scalar.value : "?");
	return true;
}

struct place source_find(struct source *source, const char *path)
{
	struct place place = source_root(source), key, value;
	size_t i = 0;

	while (place.node && place_pair(&place, i++, &key, &value)) {
		size_t length = strlen(value.path);

		if (strncmp(path, value.path, length) != 0)
			continue;
		if (!path[length])
			return value;
		if (path[length] == '.') {
			place = value;
			i = 0;
		}
	}
	place = (struct place){.source = source};
	snprintf(place.path, sizeof(place.path), "%s", path);
	return place;
}
