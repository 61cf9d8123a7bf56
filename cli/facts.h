/* Pieces of which views are made: tables of facts, and values as people read them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct cli;
struct table;

/* A table without titles of names and values. */
struct table *facts_create(void);

/* Adds a line. Empty and NULL values are left out. */
void facts_add(struct table *facts, const char *name, const char *value);
void facts_addf(struct table *facts, const char *name, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Prints and releases it. */
void facts_print(struct cli *cli, struct table *facts);

#define VALUE_MAX 64

/* Values at a path of a JSON object, written into buf, which is returned; "" or "-" where there is
 * nothing. Times lose what is below a second: "2026-11-22 12:55:03". */
const char *value_size(char buf[static VALUE_MAX], const json_t *json, const char *path);
const char *value_number(char buf[static VALUE_MAX], const json_t *json, const char *path);
const char *value_time(char buf[static VALUE_MAX], const json_t *json, const char *path);
const char *value_switch(const json_t *json, const char *path);

/* The texts of an array, joined; the caller frees it. NULL without memory. */
char *value_list(const json_t *json, const char *path);

#define V_SIZE(json, path)   value_size((char[VALUE_MAX]){0}, json, path)
#define V_NUMBER(json, path) value_number((char[VALUE_MAX]){0}, json, path)
#define V_TIME(json, path)   value_time((char[VALUE_MAX]){0}, json, path)
