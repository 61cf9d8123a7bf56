/* The command top: what the node and its guests use, again and again on a terminal, else once. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/top_model.h"
#include "cli/top_screen.h"
#include "cli/top_view.h"

#define PATH	       "/v1/stats"
#define INTERVAL_MS    2000
#define INTERVAL_LEAST 1000 /* the agent gathers no more often */
#define INTERVAL_MOST  3600000
#define ONCE_PAUSE_MS  1100 /* so that the second answer is a newer one */

DEFINE_CLEANUP(struct top *, top_finish)

static int ask(struct cli *cli, struct top *top, struct err *err)
{
	CLEANUP(response_finish) struct response answer;
	int r = client_perform(
		cli->client, &(struct request){.method = "GET", .path = PATH}, &answer, err);

	if (r < 0)
		return r;
	if (!json_is_array(json_at(answer.json, "guests")))
		return err_set(err, ERR_INTERNAL, NULL, "the agent's answer is none of " PATH);
	if (top_take(top, answer.json) < 0)
		return err_errno(err, ENOMEM, "cannot show the guests");
	return 0;
}

/* --- Once ------------------------------------------------------------------------------------ */

static int show_once(struct cli *cli, struct top *top, struct err *err)
{
	const struct timespec pause = {ONCE_PAUSE_MS / 1000, ONCE_PAUSE_MS % 1000 * 1000000L};
	int r = ask(cli, top, err);

	if (r < 0)
		return r;
	nanosleep(&pause, NULL);
	r = ask(cli, top, err);
	if (r == 0)
		top_print(cli, top);
	return r;
}

/* --- On a terminal --------------------------------------------------------------------------- */

struct session {
	struct cli *cli;
	struct top *top;
	struct top_view view;
	struct err trouble; /* code ERR_OK: none */
	int64_t interval_ms;
	int64_t next_ns; /* when to ask again */
	bool ended;
};

static void draw(struct session *session)
{
	struct strbuf out = {0};
	size_t size, room;
	AUTOFREE char *text = NULL;

	screen_size(&session->view.width, &session->view.height);
	room = top_room(&session->view);
	if (session->view.first + room > session->top->count)
		session->view.first = session->top->count > room ? session->top->count - room : 0;
	session->view.trouble = session->trouble.code == ERR_OK ? NULL : session->trouble.message;
	top_draw(session->top, &session->view, &out);
	size = out.used;
	text = strbuf_take(&out);
	if (text)
		screen_write(text, size);
}

static void refresh(struct session *session)
{
	struct err err = {0};

	session->next_ns = clock_monotonic_ns() + session->interval_ms * 1000000;
	if (session->view.paused)
		return;
	/* An agent that is away, or restarts, is waited for. */
	session->trouble.code = ERR_OK;
	if (ask(session->cli, session->top, &err) < 0)
		session->trouble = err;
}

static void scroll(struct session *session, long lines)
{
	size_t first = session->view.first;

	if (lines < 0)
		session->view.first = first > (size_t)-lines ? first - (size_t)-lines : 0;
	else
		session->view.first = first + (size_t)lines; /* draw() keeps it within */
}

static bool sort_key(struct session *session, int key)
{
	static const char KEYS[] = {[TOP_BY_CPU] = 'c',
		[TOP_BY_MEMORY] = 'm',
		[TOP_BY_IO] = 'i',
		[TOP_BY_NETWORK] = 'n',
		[TOP_BY_STORAGE] = 'd',
		[TOP_BY_NAME] = 'a'};

	for (size_t i = 0; i < sizeof(KEYS); i++)
		if (key == KEYS[i]) {
			top_sort(session->top, (enum top_order)i);
			session->view.first = 0;
			return true;
		}
	return false;
}

static void take_key(struct session *session, int key)
{
	long page = (long)top_room(&session->view);

	if (sort_key(session, key))
		return;
	switch (key) {
	case 'q':
	case SCREEN_END: session->ended = true; break;
	case 'p':
	case ' ':
		session->view.paused = !session->view.paused;
		session->next_ns = session->view.paused ? session->next_ns : 0;
		break;
	case 'k':
	case SCREEN_UP: scroll(session, -1); break;
	case 'j':
	case SCREEN_DOWN: scroll(session, 1); break;
	case SCREEN_PAGE_UP: scroll(session, -page); break;
	case SCREEN_PAGE_DOWN: scroll(session, page); break;
	default: break;
	}
}

static void run_session(struct session *session)
{
	while (!session->ended && !cli_interrupted()) {
		int64_t left_ms;

		draw(session);
		left_ms = (session->next_ns - clock_monotonic_ns()) / 1000000;
		take_key(session, screen_key(left_ms > 0 ? left_ms + 1 : 0));
		if (!session->ended && clock_monotonic_ns() >= session->next_ns)
			refresh(session);
	}
}

static int show_always(struct cli *cli, struct top *top, int64_t interval_ms, struct err *err)
{
	struct session session = {.cli = cli,
		.top = top,
		.view = {.colour = cli->colour},
		.interval_ms = interval_ms};
	int r = ask(cli, top, err);

	/* The second look comes early: only with it are there rates. */
	session.next_ns = clock_monotonic_ns() + ONCE_PAUSE_MS * INT64_C(1000000);
	if (r == 0)
		r = screen_open(err);
	if (r < 0)
		return r;
	cli_catch_signals();
	run_session(&session);
	screen_close();
	return 0;
}

/* --- The command ----------------------------------------------------------------------------- */

static int read_interval(const struct args *args, int64_t *ret, struct err *err)
{
	const char *text = args_value(args, "interval");
	uint64_t ms;

	if (!text)
		return 0;
	if (parse_duration_ms(text, &ms) < 0 || ms < INTERVAL_LEAST || ms > INTERVAL_MOST)
		return err_set(err, ERR_INVALID, NULL,
			"--interval must be from 1 second to an hour, as in 5s");
	*ret = (int64_t)ms;
	return 0;
}

static int read_order(const struct args *args, enum top_order *ret, struct err *err)
{
	static const char *const NAMES[] = {[TOP_BY_CPU] = "cpu",
		[TOP_BY_MEMORY] = "memory",
		[TOP_BY_IO] = "io",
		[TOP_BY_NETWORK] = "network",
		[TOP_BY_STORAGE] = "disk",
		[TOP_BY_NAME] = "name"};
	const char *text = args_value(args, "sort");

	for (size_t i = 0; text && i < ARRAY_SIZE(NAMES); i++)
		if (strcmp(text, NAMES[i]) == 0) {
			*ret = (enum top_order)i;
			return 0;
		}
	return text ? err_set(err, ERR_INVALID, NULL,
			      "--sort must be cpu, memory, io, network, disk or name")
		    : 0;
}

int cmd_top(struct cli *cli, const struct args *args, struct err *err)
{
	struct top top = {0};
	CLEANUP(top_finishp) struct top *owned = &top;
	int64_t interval_ms = INTERVAL_MS;
	int r = read_interval(args, &interval_ms, err);

	(void)owned;
	if (r == 0)
		r = read_order(args, &top.order, err);
	if (r < 0)
		return r;
	if (cli->json)
		return fetch_and_show(cli, PATH, NULL, err);
	if (args_has(args, "once") || !screen_is_possible())
		return show_once(cli, &top, err);
	return show_always(cli, &top, interval_ms, err);
}
