/* The calls that a client has in hand. */
#include "drivers/client/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "drivers/protocol/message.h"

DEFINE_CLEANUP(struct pending *, pending_free)

static int copy_fds(struct pending *p, const struct driver_request *request)
{
	int fds[DRIVER_CALL_FDS_MAX];
	size_t count = driver_request_fds(request, fds);

	for (; p->fds_count < count; p->fds_count++) {
		int fd = fcntl(fds[p->fds_count], F_DUPFD_CLOEXEC, 3);

		if (fd < 0)
			return -errno;
		p->fds[p->fds_count] = fd;
	}
	return 0;
}

int pending_create(uint64_t serial, const struct driver_request *request, struct pending **ret,
	struct err *err)
{
	CLEANUP(pending_freep) struct pending *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return err_errno(err, ENOMEM, "no memory for a call");
	p->serial = serial;
	p->call = request->call;
	p->text = message_encode_call(serial, request);
	if (!p->text || strlen(p->text) > WIRE_MESSAGE_MAX)
		return err_set(err, ERR_INVALID, NULL,
			"the arguments of %s are too long, or not valid UTF-8",
			driver_call_to_string(request->call));
	r = copy_fds(p, request);
	if (r < 0)
		return err_errno(err, r, "cannot pass descriptors to the driver");
	*ret = TAKE_PTR(p);
	return 0;
}

void pending_sent(struct pending *p)
{
	free(p->text);
	p->text = NULL;
	while (p->fds_count > 0)
		fd_close(p->fds[--p->fds_count]);
}

static int append(void **list, size_t *count, const void *items, size_t n, size_t size)
{
	void *grown;

	if (n == 0)
		return 0;
	if (*count + n > PENDING_ITEMS_MAX)
		return -EMSGSIZE;
	grown = realloc(*list, (*count + n) * size);
	if (!grown)
		return -ENOMEM;
	memcpy((char *)grown + *count * size, items, n * size);
	*list = grown;
	*count += n;
	return 0;
}

int pending_add(struct pending *p, const struct message_answer *a)
{
	int r = append((void **)&p->statuses, &p->statuses_count, a->statuses, a->statuses_count,
		sizeof(*p->statuses));

	if (r == 0)
		r = append((void **)&p->stats, &p->stats_count, a->stats, a->stats_count,
			sizeof(*p->stats));
	if (r == 0)
		r = append((void **)&p->images, &p->images_count, a->images, a->images_count,
			sizeof(*p->images));
	return r;
}

struct pending *pending_free(struct pending *p)
{
	if (!p)
		return NULL;
	pending_sent(p);
	sd_event_source_disable_unref(p->deadline);
	free(p->statuses);
	free(p->stats);
	free(p->images);
	free(p);
	return NULL;
}
