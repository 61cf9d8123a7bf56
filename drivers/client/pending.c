/* The calls that a client has in hand. */
#include "drivers/client/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "drivers/protocol/message.h"

DEFINE_CLEANUP(struct pending *, pending_free)

static int copy_fds(struct pending *p, const struct driver_exec *exec)
{
	const int fds[] = {exec->stdin_fd, exec->stdout_fd, exec->stderr_fd};

	for (; p->fds_count < ARRAY_SIZE(fds); p->fds_count++) {
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

	if (!p)
		return err_errno(err, ENOMEM, "no memory for a call");
	p->serial = serial;
	p->call = request->call;
	p->text = message_encode_call(serial, request);
	if (!p->text || strlen(p->text) > WIRE_MESSAGE_MAX)
		return err_set(err, ERR_INVALID, NULL,
			"the arguments of %s are too long, or not valid UTF-8",
			driver_call_to_string(request->call));
	if (request->call == DRIVER_CALL_EXEC) {
		int r = copy_fds(p, request->exec);

		if (r < 0)
			return err_errno(err, r, "cannot pass descriptors to the driver");
	}
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

int pending_add_statuses(struct pending *p, const struct driver_status *statuses, size_t count)
{
	struct driver_status *grown;

	if (count == 0)
		return 0;
	if (p->statuses_count + count > PENDING_STATUSES_MAX)
		return -EMSGSIZE;
	grown = realloc(p->statuses, (p->statuses_count + count) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	memcpy(grown + p->statuses_count, statuses, count * sizeof(*grown));
	p->statuses = grown;
	p->statuses_count += count;
	return 0;
}

struct pending *pending_free(struct pending *p)
{
	if (!p)
		return NULL;
	pending_sent(p);
	sd_event_source_disable_unref(p->deadline);
	free(p->statuses);
	free(p);
	return NULL;
}
