/* What the network should be: two sorted arrays. */
#include "net/wanted.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* --- Guests ---------------------------------------------------------------------------------- */

/* Index of the first guest whose id is not below `id`. */
static size_t guest_place(const struct wanted *wanted, const char *id)
{
	size_t low = 0, high = wanted->guests_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(wanted->guests[middle].id, id) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool guest_at(const struct wanted *wanted, size_t i, const char *id)
{
	return i < wanted->guests_count && strcmp(wanted->guests[i].id, id) == 0;
}

static void guest_finish(struct net_guest *guest)
{
	free((char *)guest->id);
	free((char *)guest->name);
}

static int guest_copy_of(const struct net_guest *guest, struct net_guest *ret)
{
	*ret = *guest;
	ret->id = strdup(guest->id);
	ret->name = strdup(guest->name);
	if (ret->id && ret->name)
		return 0;
	guest_finish(ret);
	return -ENOMEM;
}

/* Makes room for one more of `size` bytes. */
static int grow(void **array, size_t *room, size_t count, size_t size)
{
	size_t more = *room ? *room * 2 : 64;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

int wanted_put_guest(struct wanted *wanted, const struct net_guest *guest)
{
	size_t i = guest_place(wanted, guest->id);
	struct net_guest copy;

	if (guest_copy_of(guest, &copy) < 0)
		return -ENOMEM;
	if (guest_at(wanted, i, guest->id)) {
		guest_finish(&wanted->guests[i]);
		wanted->guests[i] = copy;
		return 0;
	}
	if (grow((void **)&wanted->guests, &wanted->guests_room, wanted->guests_count,
		    sizeof(copy)) < 0) {
		guest_finish(&copy);
		return -ENOMEM;
	}
	memmove(&wanted->guests[i + 1], &wanted->guests[i],
		(wanted->guests_count - i) * sizeof(copy));
	wanted->guests[i] = copy;
	wanted->guests_count++;
	return 0;
}

void wanted_drop_guest(struct wanted *wanted, const char *id)
{
	size_t i = guest_place(wanted, id);

	if (!guest_at(wanted, i, id))
		return;
	guest_finish(&wanted->guests[i]);
	wanted->guests_count--;
	memmove(&wanted->guests[i], &wanted->guests[i + 1],
		(wanted->guests_count - i) * sizeof(wanted->guests[0]));
}

/* --- Ports ----------------------------------------------------------------------------------- */

static uint32_t port_key(enum port_proto proto, uint16_t host)
{
	return (uint32_t)proto << 16 | host;
}

static size_t port_place(const struct wanted *wanted, uint32_t key)
{
	size_t low = 0, high = wanted->ports_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct net_port *port = &wanted->ports[middle];

		if (port_key(port->proto, port->host) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool port_at(const struct wanted *wanted, size_t i, uint32_t key)
{
	return i < wanted->ports_count &&
	       port_key(wanted->ports[i].proto, wanted->ports[i].host) == key;
}

int wanted_put_port(struct wanted *wanted, const struct net_port *port)
{
	uint32_t key = port_key(port->proto, port->host);
	size_t i = port_place(wanted, key);

	if (port_at(wanted, i, key)) {
		wanted->ports[i] = *port;
		return 0;
	}
	if (grow((void **)&wanted->ports, &wanted->ports_room, wanted->ports_count, sizeof(*port)) <
		0)
		return -ENOMEM;
	memmove(&wanted->ports[i + 1], &wanted->ports[i],
		(wanted->ports_count - i) * sizeof(*port));
	wanted->ports[i] = *port;
	wanted->ports_count++;
	return 0;
}

void wanted_drop_port(struct wanted *wanted, enum port_proto proto, uint16_t host)
{
	uint32_t key = port_key(proto, host);
	size_t i = port_place(wanted, key);

	if (!port_at(wanted, i, key))
		return;
	wanted->ports_count--;
	memmove(&wanted->ports[i], &wanted->ports[i + 1],
		(wanted->ports_count - i) * sizeof(wanted->ports[0]));
}

/* --- Everything ------------------------------------------------------------------------------ */

void wanted_finish(struct wanted *wanted)
{
	for (size_t i = 0; i < wanted->guests_count; i++)
		guest_finish(&wanted->guests[i]);
	free(wanted->guests);
	free(wanted->ports);
	*wanted = (struct wanted){0};
}

int wanted_set(struct wanted *wanted, const struct net_guest *guests, size_t guests_count,
	const struct net_port *ports, size_t ports_count)
{
	int r = 0;

	wanted_finish(wanted);
	for (size_t i = 0; i < guests_count && r == 0; i++)
		r = wanted_put_guest(wanted, &guests[i]);
	for (size_t i = 0; i < ports_count && r == 0; i++)
		r = wanted_put_port(wanted, &ports[i]);
	if (r < 0)
		wanted_finish(wanted);
	return r;
}
