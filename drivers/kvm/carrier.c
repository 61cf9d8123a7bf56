/* What carriers of both kinds do with what comes out of a guest. */
#include "drivers/kvm/carrier.h"

#include <errno.h>
#include <unistd.h>

#include "base/err.h"
#include "drivers/inside/command.h"

bool carrier_is_told(const struct carrier *c)
{
	return c->call < 0;
}

static void tell_done(struct carrier *c)
{
	close(c->call);
	c->call = -1;
}

void carrier_fail(struct carrier *c, const struct err *error)
{
	if (carrier_is_told(c))
		return;
	command_tell_failure(c->call, error);
	tell_done(c);
}

/* The command runs: what comes behind the line is its own. */
static int take_head(struct carrier *c, struct carrier_stream *s)
{
	struct err err = {0};
	size_t end = 0;

	switch (launch_read(&c->launch, s->bytes.pending.text, s->bytes.pending.used, &end, &err)) {
	case LAUNCH_MORE: return 0;
	case LAUNCH_OK:
		s->head = false;
		s->bytes.sent = end;
		if (!command_tell_started(getpid(), c->call))
			return -ECANCELED; /* nobody waits for it any more */
		tell_done(c);
		return 0;
	default: carrier_fail(c, &err); return err_errnum(err.code);
	}
}

int carrier_take(struct carrier *c, int output, const char *data, size_t size)
{
	struct carrier_stream *s = &c->outputs[output];

	if (s->bytes.fd < 0 && !s->head)
		return 0;
	strbuf_add_bytes(&s->bytes.pending, data, size);
	if (s->bytes.pending.failed)
		return -ENOMEM;
	return s->head && size > 0 ? take_head(c, s) : 0;
}

bool carrier_is_empty(const struct carrier_stream *s)
{
	return s->head || carry_is_empty(&s->bytes);
}

bool carrier_flush(struct carrier_stream *s)
{
	return s->head || carry_flush(&s->bytes);
}
