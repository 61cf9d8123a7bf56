/* The process that waits for events. */
#include "drivers/watch/source.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "drivers/watch/source_internal.h"

#define CALL_S 5 /* none of these waits for a guest */

#define PAUSE_LEAST_MS 200
#define PAUSE_MOST_MS  1000

static void report(const struct source *s, const struct source_report *r)
{
	if (file_write_all(s->reports, r, sizeof(*r)) < 0)
		_exit(0);
}

static void report_guest(const struct source *s, const char *id, bool asked)
{
	struct source_report r = {.kind = SOURCE_STATUS, .asked = asked};

	alarm(CALL_S);
	if (!s->ops->look(s->data, id, &r.status)) {
		r.kind = SOURCE_GONE;
		snprintf(r.status.id, sizeof(r.status.id), "%s", id);
	}
	alarm(0);
	report(s, &r);
}

void source_look(const struct source *s, const char *id)
{
	report_guest(s, id, false);
}

void source_take_order(const struct source *s)
{
	struct source_order o;

	if (read(s->orders, &o, sizeof(o)) != sizeof(o))
		_exit(0); /* the host is gone */
	report_guest(s, o.id, true);
}

static void report_all(const struct source *s)
{
	AUTOFREE struct driver_status *list = NULL;
	size_t count = 0;

	report(s, &(struct source_report){.kind = SOURCE_THERE});
	if (s->ops->list(s->data, &list, &count) < 0)
		return;
	for (size_t i = 0; i < count; i++)
		report_guest(s, list[i].id, false);
}

static bool open_in_time(const struct source *s)
{
	bool opened;

	alarm(CALL_S);
	opened = s->ops->open(s->data);
	alarm(0);
	return opened;
}

/* Orders that come meanwhile are answered: nothing is known. */
static void pause_ms(const struct source *s, int ms)
{
	struct pollfd f = {.fd = s->orders, .events = POLLIN};

	while (poll(&f, 1, ms) == 1)
		source_take_order(s);
}

void source_run(struct source *s, const struct source_ops *ops, void *data)
{
	int pause = PAUSE_LEAST_MS;

	signal(SIGALRM, SIG_DFL);
	s->ops = ops;
	s->data = data;
	for (;;) {
		if (open_in_time(s)) {
			pause = PAUSE_LEAST_MS;
			report_all(s);
			ops->serve(data);
		}
		ops->close(data);
		report(s, &(struct source_report){.kind = SOURCE_AWAY});
		pause_ms(s, pause);
		pause = pause * 2 < PAUSE_MOST_MS ? pause * 2 : PAUSE_MOST_MS;
	}
}
