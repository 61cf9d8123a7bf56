/* Labels: what people note about a guest, kept sorted by key. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "model/guest_fields.h"

static int check_value(const json_t *value, const char *path, struct err *err)
{
	const char *text = json_string_value(value);

	if (!text)
		return reader_expected(path, "a string", err);
	if (json_string_length(value) > GUEST_LABEL_MAX)
		return err_set(err, ERR_INVALID, path, "%s must have at most %d bytes", path,
			GUEST_LABEL_MAX);
	for (size_t i = 0; i < json_string_length(value); i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return reader_expected(path, "a string without control characters", err);
	return 0;
}

static int add_label(struct guest *guest, const char *key, const json_t *value, const char *path,
	struct err *err)
{
	struct guest_label *label;
	char full[ERR_FIELD_MAX];
	int r;

	reader_path(full, path, key);
	r = name_check_word(key, full, err);
	if (r == 0 && !json_is_null(value))
		r = check_value(value, full, err);
	if (r < 0 || json_is_null(value))
		return r;
	if (guest->labels_count == GUEST_LABELS_MAX)
		return err_set(
			err, ERR_INVALID, path, "%s must be at most %d", path, GUEST_LABELS_MAX);
	label = &guest->labels[guest->labels_count++];
	label->key = strdup(key);
	label->value = strdup(json_string_value(value));
	return label->key && label->value ? 0 : err_errno(err, ENOMEM, "cannot read %s", full);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct guest_label *)a)->key, ((const struct guest_label *)b)->key);
}

int guest_read_labels(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err)
{
	struct guest *guest = member;
	const char *key;
	json_t *text;

	(void)field;
	if (!json_is_object(value))
		return reader_expected(path, "an object of strings", err);
	guest_clear_labels(guest);
	guest->labels = calloc(GUEST_LABELS_MAX, sizeof(*guest->labels));
	if (!guest->labels)
		return err_errno(err, ENOMEM, "cannot read %s", path);
	json_object_foreach ((json_t *)value, key, text) {
		int r = add_label(guest, key, text, path, err);

		if (r < 0)
			return r;
	}
	qsort(guest->labels, guest->labels_count, sizeof(*guest->labels), compare);
	return 0;
}

json_t *guest_labels_to_json(const struct guest *guest)
{
	json_t *labels = json_object();

	for (size_t i = 0; i < guest->labels_count; i++)
		json_object_set_new(
			labels, guest->labels[i].key, json_string(guest->labels[i].value));
	return labels;
}
