/* Reads JSON objects into structs by static tables.
 *
 * A table names every field an object may have, how it is read and where it goes. What is not in
 * the table is refused by its full path ("limits.foo", "ports[2].bar"); a value of the wrong type,
 * range or form is refused with a sentence that says what is expected. A field that is null counts
 * as absent, and absent fields leave the struct as it was: its defaults. All errors are ERR_INVALID
 * with the path as their field. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct reader_field;

/* Reads `value` (never NULL or null) into `member`. `path` is the field's full path. */
typedef int (*reader_fn)(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err);

struct reader_field {
	const char *name;
	reader_fn read;
	size_t offset; /* of the member in the struct that the table describes */
	bool required;
	const char *refusal; /* known, but not to be given here: why, after the field's name */

	uint64_t min, max; /* numbers and sizes: what is accepted */
	bool zero;	   /* numbers and sizes: zero is accepted below min too ("none") */

	size_t size;		    /* reader_chars: room of the member, with its NUL */
	const char *const *choices; /* strings: what is accepted, ends with NULL; NULL: anything */
	int (*check)(
		const char *text, const char *field, struct err *err); /* strings; may be NULL */
	size_t count; /* reader_texts: how many at most */

	const struct reader_field *fields; /* reader_nested: the table of the object */
	size_t fields_count;
};

/* A row that stands for all rows of another table of the same struct. */
#define READER_ROWS(table, count)                                                                  \
	{                                                                                          \
		.fields = (table), .fields_count = (count)                                         \
	}

/* Reads an object; `path` is "" for a whole request. `target` is the struct. */
int reader_object(const json_t *json, const char *path, const struct reader_field *fields,
	size_t count, void *target, struct err *err);

/* Path of a field below `path`, and of an element of an array; cut where they do not fit. */
void reader_path(char ret[static ERR_FIELD_MAX], const char *path, const char *name);
void reader_path_index(char ret[static ERR_FIELD_MAX], const char *path, size_t index);

/* "PATH must be EXPECTED". */
int reader_expected(const char *path, const char *expected, struct err *err);

/* --- Readers for tables: the type of the member is in brackets -------------------------------- */

int reader_nested(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [struct of field->fields] */
int reader_bool(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [bool] */
int reader_u16(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint16_t] a whole number from min to max */
int reader_u32(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint32_t] */
int reader_u64(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint64_t or int64_t] */
int reader_size(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint64_t] bytes: a number, or text with a unit */
int reader_seconds(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint32_t] a duration: seconds, or text like "1m30s" */
int reader_cpus(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint32_t] thousandths: 1.5 or "1.5" */
int reader_chars(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [char[size]] */
int reader_text(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [char *] owned; what was there is freed */
int reader_texts(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [char **] owned, NULL: none; what was there is freed */
int reader_ipv4(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint32_t] host byte order */
int reader_mac(const struct reader_field *field, const json_t *value, const char *path,
	void *member, struct err *err); /* [uint8_t[6]] */
