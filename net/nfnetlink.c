/* nfnetlink over libmnl. */
#include "net/nfnetlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/err.h"

#define RECEIVE_MAX   65536
#define BATCH_MIN     1024
#define SOCKET_BUFFER (8 << 20) /* a batch goes out in one piece: 32,000 ports are 2.5 MiB */

static int open_bus(struct nfnl *nfnl, int bus, struct err *err)
{
	*nfnl = (struct nfnl){.seq = 1};
	nfnl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nfnl->socket || mnl_socket_bind(nfnl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int r = err_errno(err, errno, "cannot open a netlink socket");

		nfnl_close(nfnl);
		return r;
	}
	nfnl->portid = mnl_socket_get_portid(nfnl->socket);
	return 0;
}

int nfnl_open_route(struct nfnl *nfnl, struct err *err)
{
	return open_bus(nfnl, NETLINK_ROUTE, err);
}

int nfnl_open(struct nfnl *nfnl, struct err *err)
{
	int size = SOCKET_BUFFER;
	int r = open_bus(nfnl, NETLINK_NETFILTER, err);

	if (r < 0)
		return r;
	/* Only limits: memory is taken when it is used. Without CAP_NET_ADMIN nothing here works.
	 */
	setsockopt(
		mnl_socket_get_fd(nfnl->socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(
		mnl_socket_get_fd(nfnl->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return 0;
}

void nfnl_close(struct nfnl *nfnl)
{
	if (nfnl->socket)
		mnl_socket_close(nfnl->socket);
	nfnl->socket = NULL;
}

struct nlmsghdr *nfnl_message(
	struct nfnl *nfnl, void *buf, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *gen;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = nfnl->seq++;
	gen = mnl_nlmsg_put_extra_header(nlh, sizeof(*gen));
	gen->nfgen_family = family;
	gen->version = NFNETLINK_V0;
	return nlh;
}

/* One datagram of answers. 1 when it was the last. */
static int take_answers(struct nfnl *nfnl, uint32_t seq, char *buf, int left, mnl_cb_t cb,
	void *data, bool *interrupted)
{
	for (struct nlmsghdr *nlh = (struct nlmsghdr *)buf; mnl_nlmsg_ok(nlh, left);
		nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_seq != seq || nlh->nlmsg_pid != nfnl->portid)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			*interrupted = true;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 1;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			return e->error < 0 ? e->error : 1;
		}
		if (cb(nlh, data) < 0)
			return -EPROTO;
	}
	return 0;
}

int nfnl_request(struct nfnl *nfnl, const struct nlmsghdr *request, mnl_cb_t cb, void *data)
{
	AUTOFREE char *buf = malloc(RECEIVE_MAX);
	bool interrupted = false;
	int r = 0;

	if (!buf)
		return -ENOMEM;
	if (mnl_socket_sendto(nfnl->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = mnl_socket_recvfrom(nfnl->socket, buf, RECEIVE_MAX);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno
			  : take_answers(
				    nfnl, request->nlmsg_seq, buf, (int)n, cb, data, &interrupted);
	}
	if (r < 0)
		return r;
	return interrupted ? -EINTR : 0;
}

static void batch_reserve(struct nfnl_batch *batch, size_t more)
{
	size_t room = batch->room ? batch->room : BATCH_MIN;
	char *buf;

	while (room < batch->used + more)
		room *= 2;
	if (batch->failed || room == batch->room)
		return;
	buf = realloc(batch->buf, room);
	if (!buf) {
		batch->failed = true;
		return;
	}
	/* libmnl pads attributes without clearing what it skips. */
	memset(buf + batch->room, 0, room - batch->room);
	batch->buf = buf;
	batch->room = room;
}

struct nlmsghdr *nfnl_batch_message(
	struct nfnl_batch *batch, uint16_t type, uint16_t flags, uint8_t family, size_t room)
{
	batch_reserve(batch, room + 64);
	if (batch->failed)
		return NULL;
	return nfnl_message(batch->nfnl, batch->buf + batch->used, type, flags, family);
}

void nfnl_batch_keep(struct nfnl_batch *batch, const struct nlmsghdr *message)
{
	batch->last = batch->used;
	batch->used += NLMSG_ALIGN(message->nlmsg_len);
}

static struct nlmsghdr *batch_edge(struct nfnl_batch *batch, uint16_t type)
{
	struct nlmsghdr *nlh = nfnl_batch_message(batch, type, 0, AF_UNSPEC, 64);

	if (!nlh)
		return NULL;
	((struct nfgenmsg *)mnl_nlmsg_get_payload(nlh))->res_id = htons(NFNL_SUBSYS_NFTABLES);
	return nlh;
}

void nfnl_batch_begin(struct nfnl_batch *batch, struct nfnl *nfnl, uint32_t generation)
{
	struct nlmsghdr *nlh;

	*batch = (struct nfnl_batch){.nfnl = nfnl};
	nlh = batch_edge(batch, NFNL_MSG_BATCH_BEGIN);
	if (!nlh)
		return;
	if (generation)
		mnl_attr_put_u32(nlh, NFNL_BATCH_GENID, htonl(generation));
	batch->first_seq = nlh->nlmsg_seq;
	nfnl_batch_keep(batch, nlh);
}

/* Reads what the kernel has said about the batch. It carries a batch out while it is being sent, so
 * all of that waits in the socket already: the first error, if any, and the acknowledgement that
 * the last message asked for. */
static int batch_verdict(const struct nfnl_batch *batch)
{
	char buf[8192];
	int error = 0;
	bool heard = false;

	for (;;) {
		ssize_t n = recv(
			mnl_socket_get_fd(batch->nfnl->socket), buf, sizeof(buf), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		for (struct nlmsghdr *nlh = (struct nlmsghdr *)buf; mnl_nlmsg_ok(nlh, left);
			nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_seq < batch->first_seq)
				continue;
			heard = true;
			if (!error)
				error = e->error;
		}
	}
	if (errno != EAGAIN)
		return -errno;
	return heard ? error : -EIO;
}

int nfnl_batch_commit(struct nfnl_batch *batch)
{
	struct nlmsghdr *end = batch_edge(batch, NFNL_MSG_BATCH_END);
	int r = -ENOMEM;

	if (end) {
		((struct nlmsghdr *)(batch->buf + batch->last))->nlmsg_flags |= NLM_F_ACK;
		nfnl_batch_keep(batch, end);
		r = mnl_socket_sendto(batch->nfnl->socket, batch->buf, batch->used) < 0
			    ? -errno
			    : batch_verdict(batch);
	}
	nfnl_batch_cancel(batch);
	return r;
}

void nfnl_batch_cancel(struct nfnl_batch *batch)
{
	free(batch->buf);
	batch->buf = NULL;
}
