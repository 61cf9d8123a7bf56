/* In which order guests are started and stopped. */
#include "agent/life/order.h"

#include <stdlib.h>
#include <string.h>

static int forwards_order(const void *a, const void *b)
{
	const struct order_item *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int backwards_order(const void *a, const void *b)
{
	const struct order_item *x = a, *y = b;

	if (x->order != y->order)
		return x->order > y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

void order_sort(struct order_item *items, size_t count, bool backwards)
{
	qsort(items, count, sizeof(*items), backwards ? backwards_order : forwards_order);
}

size_t order_group(const struct order_item *items, size_t count)
{
	size_t n = 0;

	while (n < count && items[n].order == items[0].order)
		n++;
	return n;
}

uint32_t order_delay(const struct order_item *items, size_t group)
{
	uint32_t longest = 0;

	for (size_t i = 0; i < group; i++)
		if (items[i].delay_s > longest)
			longest = items[i].delay_s;
	return longest;
}
