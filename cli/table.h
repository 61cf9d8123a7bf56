/* Tables on a terminal: columns aligned by what is in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12

struct table_column {
	const char *title; /* NULL in the first column: no line of titles */
	bool right;	   /* aligned right */
	bool state;	   /* holds a state: coloured by what it says */
};

struct table;

/* `columns` must outlive the table. Aborts no one: without memory later calls do nothing and
 * table_print says so. */
struct table *table_create(const struct table_column *columns, size_t count);
struct table *table_destroy(struct table *table);
void table_destroyp(struct table **table);

/* Adds a row of as many cells as there are columns; copied and escaped, NULL is empty. */
void table_add(struct table *table, const char *const *cells);

/* -ENOMEM when a row was lost. */
int table_print(const struct table *table, FILE *out, bool colour);
