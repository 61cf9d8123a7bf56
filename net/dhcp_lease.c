/* dnsmasq's leases. */
#include "net/dhcp_lease.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strbuf.h"

#define DHCP_SERVER_PORT 67

static bool parse_line(const char *line, struct lease *ret)
{
	char mac[18], address[16];

	return sscanf(line, "%*u %17s %15s", mac, address) == 2 && parse_mac(mac, ret->mac) == 0 &&
	       parse_ipv4(address, &ret->address) == 0;
}

int lease_parse(const char *text, struct lease **ret, size_t *ret_count)
{
	AUTOFREE struct lease *list = NULL;
	size_t lines = 1, count = 0;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	list = calloc(lines, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (parse_line(line, &list[count]))
			count++;
	}
	*ret = TAKE_PTR(list);
	*ret_count = count;
	return 0;
}

char *lease_filter(
	const char *text, bool (*keep)(void *data, const struct lease *lease), void *data)
{
	struct strbuf buf = {0};

	strbuf_add(&buf, "");
	for (const char *line = text; *line;) {
		size_t size = strcspn(line, "\n");
		struct lease lease;

		size += line[size] == '\n';
		if (!parse_line(line, &lease) || keep(data, &lease))
			strbuf_add_bytes(&buf, line, size);
		line += size;
	}
	return strbuf_take(&buf);
}

size_t lease_message(
	uint32_t server, const struct lease *lease, uint8_t ret[static LEASE_MESSAGE_MAX])
{
	static const uint8_t head[] = {1 /* BOOTREQUEST */, 1 /* Ethernet */, 6, 0};
	static const uint8_t cookie[] = {99, 130, 83, 99}; /* RFC 2131, 3 */
	static const uint8_t release[] = {53, 1, 7};	   /* message type DHCPRELEASE */
	uint32_t address = htonl(lease->address);
	uint32_t id = htonl(server);
	uint8_t *option = ret + 236;

	memset(ret, 0, LEASE_MESSAGE_MAX);
	memcpy(ret, head, sizeof(head));
	memcpy(ret + 12, &address, sizeof(address)); /* ciaddr */
	memcpy(ret + 28, lease->mac, sizeof(lease->mac));
	memcpy(option, cookie, sizeof(cookie));
	memcpy(option + 4, release, sizeof(release));
	memcpy(option + 7, (const uint8_t[]){54, 4}, 2); /* server identifier */
	memcpy(option + 9, &id, sizeof(id));
	option[13] = 255;
	return LEASE_MESSAGE_MAX;
}

int lease_release(const char *bridge, uint32_t server, const struct lease *lease)
{
	AUTOCLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(DHCP_SERVER_PORT),
		.sin_addr.s_addr = htonl(server)};
	uint8_t message[LEASE_MESSAGE_MAX];
	size_t size = lease_message(server, lease, message);

	if (fd < 0)
		return -errno;
	/* dnsmasq only hears what comes by the bridge; bound to it, a packet to the bridge's own
	 * address is taken for one that did. */
	if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, bridge, (socklen_t)strlen(bridge)) < 0)
		return -errno;
	if (sendto(fd, message, size, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		return -errno;
	return 0;
}
