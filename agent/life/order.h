/* In which order guests are started and stopped: those of a lower number first, those of one number
 * side by side; stopping goes the other way round. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct order_item {
	uint32_t order;
	uint32_t delay_s; /* after its start, before those of the next number */
	const char *name; /* borrowed */
	void *data;
};

/* By number, or backwards by it; those of one number by name. */
void order_sort(struct order_item *items, size_t count, bool backwards);

/* How many of the first ones belong together. */
size_t order_group(const struct order_item *items, size_t count);

/* The pause after a group: the longest that one of it asks for. */
uint32_t order_delay(const struct order_item *items, size_t group);
