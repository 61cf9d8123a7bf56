/* What the network should be: guests in a sorted array, ports by their number. */
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

struct net_guest *wanted_find_guest(const struct wanted *wanted, const char *id)
{
	size_t i = guest_place(wanted, id);

	return guest_at(wanted, i, id) ? &wanted->guests[i] : NULL;
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

#define PORT_NUMBERS 65536

int wanted_put_port(struct wanted *wanted, const struct net_port *port)
{
	struct wanted_port **ports = &wanted->ports[port->proto];

	if (!*ports)
		*ports = calloc(PORT_NUMBERS, sizeof(**ports));
	if (!*ports)
		return -ENOMEM;
	(*ports)[port->host] = (struct wanted_port){.address = port->address, .guest = port->guest};
	return 0;
}

void wanted_drop_port(struct wanted *wanted, enum port_proto proto, uint16_t host)
{
	if (wanted->ports[proto])
		wanted->ports[proto][host] = (struct wanted_port){0};
}

static size_t count_ports(const struct wanted_port *ports)
{
	size_t count = 0;

	for (size_t host = 0; ports && host < PORT_NUMBERS; host++)
		count += ports[host].address != 0;
	return count;
}

struct net_port *wanted_list_ports(const struct wanted *wanted, size_t *ret_count)
{
	size_t room = count_ports(wanted->ports[PORT_TCP]) + count_ports(wanted->ports[PORT_UDP]);
	struct net_port *list = calloc(room + 1, sizeof(*list));

	*ret_count = 0;
	for (int proto = 0; list && proto < 2; proto++)
		for (size_t host = 0; wanted->ports[proto] && host < PORT_NUMBERS; host++) {
			const struct wanted_port *port = &wanted->ports[proto][host];

			if (port->address)
				list[(*ret_count)++] =
					(struct net_port){.proto = (enum port_proto)proto,
						.host = (uint16_t)host,
						.address = port->address,
						.guest = port->guest};
		}
	return list;
}

/* --- Everything ------------------------------------------------------------------------------ */

void wanted_finish(struct wanted *wanted)
{
	for (size_t i = 0; i < wanted->guests_count; i++)
		guest_finish(&wanted->guests[i]);
	free(wanted->guests);
	free(wanted->ports[PORT_TCP]);
	free(wanted->ports[PORT_UDP]);
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
