/* Listening sockets of the node by sock_diag(7). Only listening TCP sockets and UDP sockets without
 * a peer matter: an outgoing connection from that port, which may be in the range that the kernel
 * takes such ports from, is tracked and gets its answers whatever is published. */
#include "net/listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct mnl_socket *, mnl_socket_close)

struct found {
	uint16_t port;
	bool taken;
};

/* An IPv6 socket that leaves IPv4 alone: bound to one IPv6 address, or told so. */
static bool ipv6_only(const struct inet_diag_msg *msg, const struct nlmsghdr *nlh)
{
	const struct in6_addr *bound = (const struct in6_addr *)msg->id.idiag_src;
	const struct nlattr *attr;

	if (msg->idiag_family != AF_INET6)
		return false;
	if (!IN6_IS_ADDR_UNSPECIFIED(bound) && !IN6_IS_ADDR_V4MAPPED(bound))
		return true;
	mnl_attr_for_each(attr, nlh, sizeof(*msg))
	{
		if (mnl_attr_get_type(attr) == INET_DIAG_SKV6ONLY)
			return mnl_attr_get_u8(attr);
	}
	return false;
}

static int take_socket(const struct nlmsghdr *nlh, void *data)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct found *found = data;

	if (ntohs(msg->id.idiag_sport) == found->port && !ipv6_only(msg, nlh))
		found->taken = true;
	return MNL_CB_OK;
}

static int dump(struct mnl_socket *socket, uint8_t family, uint8_t proto, struct found *found)
{
	char buf[16384] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	int r = MNL_CB_OK;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req->sdiag_family = family;
	req->sdiag_protocol = proto;
	req->idiag_states = 1U << (proto == IPPROTO_TCP ? TCP_LISTEN : TCP_CLOSE);
	if (mnl_socket_sendto(socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(socket, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, 0, 0, take_socket, found);
	}
	return r < 0 ? -errno : 0;
}

static int search(uint8_t proto, struct found *found)
{
	static const uint8_t families[] = {AF_INET, AF_INET6};
	int r = 0;

	/* A socket for each dump, so that one that was interrupted leaves nothing for the next. */
	for (size_t i = 0; i < ARRAY_SIZE(families) && r == 0; i++) {
		CLEANUP(mnl_socket_closep)
		struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

		if (!socket || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
			return -errno;
		r = dump(socket, families[i], proto, found);
		if (r == -ENOENT && families[i] == AF_INET6)
			r = 0; /* no IPv6 in this kernel */
	}
	return r;
}

int listeners_check(enum port_proto proto, uint16_t port, const char *field, struct err *err)
{
	struct found found = {.port = port};
	int r = search(proto == PORT_UDP ? IPPROTO_UDP : IPPROTO_TCP, &found);

	if (r < 0)
		return err_errno(err, r, "cannot list the node's sockets");
	if (found.taken)
		return err_set(err, ERR_CONFLICT, field,
			"port %u/%s is in use by a process of the node", port,
			port_proto_to_string(proto));
	return 0;
}
