/* A command by the guest's agent. The agent starts processes, gives them an input of one piece and
 * tells what they wrote when they have ended: nothing in it is a stream. So the command's streams
 * are FIFOs in the guest, and small processes take what is in one (dd, one read) or put something
 * in (cat). The kernel's pipes hold back whoever is too fast, and nothing lies on a disk.
 *
 * dd has its FIFO open for writing, too, and so never meets its end: it would not know that of a
 * command between two writers from the last. So the end is written into it, the token, once the
 * command has ended: it comes behind all that the command wrote. What its children write later is
 * lost. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "drivers/kvm/carrier.h"

#define PAUSE_MIN 2 /* ms between two looks: they grow while nothing happens */
#define PAUSE_MAX 100
#define AWAY_MS	  30000 /* libvirt restarts */
#define FIND_MS	  5000
#define SETTLE_MS 500  /* what was started has written its number by then */
#define SILENT_MS 3000 /* the agent, while libvirt is there */

static const char *const FIFOS[CARRIER_OUTPUTS] = {"out", "err"};

/* A process of ours in the guest. */
struct job {
	int64_t pid;  /* 0: none runs */
	int64_t last; /* the latest that there was */
	struct qga_status end;
};

/* One FIFO that is read. */
struct source {
	struct job reader;
	char held[LAUNCH_TOKEN_DIGITS]; /* may be the beginning of the end */
	size_t held_size;
	bool over;
};

struct talk {
	struct carrier *c;
	struct job command, writer;
	struct source sources[CARRIER_OUTPUTS];
	bool ended; /* the command: `status` */
	int status;
	int pause;
	struct err *err;
};

/* --- When nobody answers ---------------------------------------------------------------------- */

/* The same machine by a new connection. */
static bool reconnect(struct kvm_guest *g)
{
	const char *id = g->definition.guest.id;
	virConnectPtr conn = NULL;
	virDomainPtr domain = NULL;

	if (kvm_connect(g->kvm, &conn, NULL) < 0)
		return false;
	if (kvm_domain(conn, id, &domain, NULL) < 0 || !domain) {
		virConnectClose(conn);
		return false;
	}
	virDomainFree(g->domain);
	virConnectClose(g->conn);
	g->conn = conn;
	g->domain = domain;
	return true;
}

/* A machine that is frozen, or whose file systems are at rest for a snapshot: nobody is lost, and
 * it goes on some time. */
static bool is_held(struct talk *t)
{
	int state = 0;

	if (strstr(t->err->message, "frozen"))
		return true;
	return virDomainGetState(t->c->guest.domain, &state, NULL, 0) == 0 &&
	       state == VIR_DOMAIN_PAUSED;
}

/* Whether to ask again, after a pause: for long while libvirt is away, for a moment while it is
 * there and the agent is not (libvirt may just have begun to look for it). */
static bool ask_again(struct talk *t, int64_t *begin)
{
	struct kvm_guest *g = &t->c->guest;
	bool alive = virConnectIsAlive(g->conn) == 1;
	int64_t waited_ms = (clock_monotonic_ns() - *begin) / 1000000;

	if (alive && is_held(t))
		*begin = clock_monotonic_ns();
	else if (t->err->code != ERR_UNAVAILABLE || waited_ms > (alive ? SILENT_MS : AWAY_MS))
		return false;
	if (!alive && reconnect(g)) {
		t->c->way.qga = qga_of_domain(g->domain);
		*begin = clock_monotonic_ns();
	} else {
		poll(NULL, 0, PAUSE_MAX);
	}
	return true;
}

/* An answer that was lost on its way to libvirt, or from it, may have been to a process that was
 * started: only what did not reach the agent is asked for again. */
static bool was_not_sent(const struct err *err)
{
	static const char *const words[] = {
		"frozen", "not available", "not connected", "not running"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(err->message, words[i]))
			return true;
	return false;
}

static int start_exec(struct talk *t, const struct qga_exec *exec, struct job *ret)
{
	int64_t begin = clock_monotonic_ns();
	int r;

	do
		r = qga_start(&t->c->way.qga, exec, &ret->pid, t->err);
	while (r < 0 && was_not_sent(t->err) && ask_again(t, &begin));
	return r;
}

/* Which one has written its number into that file: the latest that was started, whoever knows of
 * it. 0: none has. */
static int find_latest(struct talk *t, const char *name, int64_t *ret)
{
	const char *argv[] = {
		"/bin/sh", "-c", "cat \"$0/$1.pid\" 2>/dev/null", t->c->dir, name, NULL};
	struct qga_exec exec = {.argv = argv, .capture = true};
	int64_t begin = clock_monotonic_ns();
	struct qga_status status = {0};
	int r;

	do
		r = qga_run(&t->c->way.qga, &exec, FIND_MS, &status, t->err);
	while (r < 0 && ask_again(t, &begin));
	*ret = r == 0 && status.output ? atoll(status.output) : 0;
	qga_status_finish(&status);
	return r;
}

/* The same for one that tells its number in a file: when the answer is lost, it is looked for
 * there, and started again if it is not. */
static int start_named(
	struct talk *t, const struct qga_exec *exec, const char *name, struct job *ret)
{
	int r = start_exec(t, exec, ret);

	while (r < 0 && t->err->code == ERR_UNAVAILABLE) {
		int64_t pid;

		poll(NULL, 0, SETTLE_MS);
		r = find_latest(t, name, &pid);
		if (r == 0 && pid != ret->last)
			ret->pid = pid;
		else if (r == 0)
			r = start_exec(t, exec, ret);
	}
	if (r == 0)
		ret->last = ret->pid;
	return r;
}

static int look(struct talk *t, struct job *job)
{
	int64_t begin = clock_monotonic_ns();
	int r;

	do
		r = qga_look(&t->c->way.qga, job->pid, &job->end, t->err);
	while (r < 0 && ask_again(t, &begin));
	return r;
}

/* --- Processes -------------------------------------------------------------------------------- */

/* A script that gets the directory as $0, and two more words. Nobody waits for these; the agent
 * forgets them when it is asked, which nobody does: they are few. All of them may be run twice. */
static void start_aside(struct talk *t, const char *script, const char *one, const char *two)
{
	const char *argv[] = {"/bin/sh", "-c", script, t->c->dir, one, two, NULL};
	struct qga_exec exec = {.argv = argv};
	int64_t begin = clock_monotonic_ns();
	struct job job;

	while (qga_start(&t->c->way.qga, &exec, &job.pid, t->err) < 0 && ask_again(t, &begin))
		;
}

static int start_reader(struct talk *t, int i)
{
	static const char script[] = "echo $$ >\"$0/$1-dd.pid\"\n"
				     "exec dd bs=65536 count=1 <>\"$0/$1\" 2>/dev/null\n";
	const char *name = i == CARRIER_OUT ? "out-dd" : "err-dd";
	const char *argv[] = {"/bin/sh", "-c", script, t->c->dir, FIFOS[i], NULL};
	struct qga_exec exec = {.argv = argv, .capture = true};

	return start_named(t, &exec, name, &t->sources[i].reader);
}

/* Nobody reads it any more: then the command has to know when it writes. */
static void close_output(struct talk *t, int i)
{
	start_aside(t,
		"for p in \"$0/$1.pid\" \"$0/$1-dd.pid\"; do read -r n <\"$p\" && kill \"$n\"; "
		"done",
		FIFOS[i], "");
	t->sources[i].over = true;
}

static void close_input(struct talk *t)
{
	start_aside(t, "read -r n <\"$0/in.pid\" && kill \"$n\"", "", "");
	t->c->exec.stdin_fd = fd_close(t->c->exec.stdin_fd);
}

/* Whether it has ended now: 1; 0: it runs. */
static int has_ended(struct talk *t, struct job *job)
{
	int r = look(t, job);

	if (r < 0)
		return r;
	if (!job->end.exited) {
		qga_status_finish(&job->end);
		return 0;
	}
	job->pid = 0;
	t->pause = PAUSE_MIN;
	return 1;
}

/* --- Output ----------------------------------------------------------------------------------- */

/* How many bytes at the end of the data may be the token's first ones. */
static size_t doubtful(const char *token, const char *data, size_t size)
{
	for (size_t n = size < LAUNCH_TOKEN_DIGITS ? size : LAUNCH_TOKEN_DIGITS - 1; n > 0; n--)
		if (memcmp(data + size - n, token, n) == 0)
			return n;
	return 0;
}

/* Passes on what is the command's for sure. */
static int take(struct talk *t, int i, const char *data, size_t size)
{
	struct source *s = &t->sources[i];
	const char *token = t->c->token, *end;
	struct strbuf all = {0};
	size_t n;
	int r;

	strbuf_add_bytes(&all, s->held, s->held_size);
	strbuf_add_bytes(&all, data, size);
	if (all.failed)
		return err_errno(t->err, ENOMEM, "no memory for what a command says");
	/* The line that tells that it has begun starts with it, too. */
	end = t->ended ? memmem(all.text, all.used, token, LAUNCH_TOKEN_DIGITS) : NULL;
	while (end && end[LAUNCH_TOKEN_DIGITS] == ' ')
		end = memmem(end + 1, all.used - (size_t)(end + 1 - all.text), token,
			LAUNCH_TOKEN_DIGITS);
	n = t->ended && !end ? doubtful(token, all.text, all.used) : 0;
	s->over = s->over || end;
	s->held_size = n;
	memcpy(s->held, all.text + all.used - n, n);
	r = carrier_take(t->c, i, all.text, end ? (size_t)(end - all.text) : all.used - n);
	strbuf_finish(&all);
	return r;
}

static int read_output(struct talk *t, int i)
{
	struct source *s = &t->sources[i];
	int r = s->reader.pid ? has_ended(t, &s->reader) : 0;

	if (r == 1) {
		r = take(t, i, s->reader.end.output ? s->reader.end.output : "",
			s->reader.end.output_size);
		qga_status_finish(&s->reader.end);
	}
	if (r == 0 && !carrier_flush(&t->c->outputs[i]) && !s->over)
		close_output(t, i);
	if (r == 0 && !s->over && !s->reader.pid && carrier_is_empty(&t->c->outputs[i]))
		r = start_reader(t, i);
	return r < 0 ? r : 0;
}

/* --- Input ------------------------------------------------------------------------------------ */

static int start_writer(struct talk *t, const char *data, size_t size)
{
	const char *argv[] = {"/bin/sh", "-c", "echo $$ >\"$0/in-cat.pid\"; exec cat >\"$0/in\"",
		t->c->dir, NULL};
	struct qga_exec exec = {.argv = argv, .input = data, .input_size = size};

	t->pause = PAUSE_MIN;
	return start_named(t, &exec, "in-cat", &t->writer);
}

static bool wants_input(const struct talk *t)
{
	return t->c->exec.stdin_fd >= 0 && !t->writer.pid && carrier_is_told(t->c);
}

static int write_input(struct talk *t)
{
	struct pollfd p = {.fd = t->c->exec.stdin_fd, .events = POLLIN};
	AUTOFREE char *part = NULL;
	ssize_t n;
	int r;

	if (t->writer.pid) {
		r = has_ended(t, &t->writer);
		if (r < 1)
			return r;
		if (t->writer.end.status != 0) /* nobody reads it any more */
			close_input(t);
	}
	if (!wants_input(t) || poll(&p, 1, 0) != 1)
		return 0;
	part = malloc(QGA_INPUT_MAX);
	n = part ? read(t->c->exec.stdin_fd, part, QGA_INPUT_MAX) : -1;
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n > 0)
		return start_writer(t, part, (size_t)n);
	close_input(t);
	return 0;
}

/* --- The end ---------------------------------------------------------------------------------- */

static int watch_command(struct talk *t)
{
	int r = t->ended ? 0 : has_ended(t, &t->command);

	if (r < 1)
		return r;
	t->ended = true;
	t->status = t->command.end.status;
	if (t->c->exec.stdin_fd >= 0)
		close_input(t);
	for (int i = 0; i < CARRIER_OUTPUTS; i++)
		if (!t->sources[i].over)
			start_aside(t, "printf %s \"$2\" 1<>\"$0/$1\"", FIFOS[i], t->c->token);
	return 0;
}

static bool is_over(const struct talk *t)
{
	for (int i = 0; i < CARRIER_OUTPUTS; i++)
		if (!t->sources[i].over || !carrier_is_empty(&t->c->outputs[i]))
			return false;
	return t->ended;
}

/* Until somebody gives or takes something here, or it is time to look there. */
static void wait_a_moment(struct talk *t)
{
	struct pollfd p[1 + CARRIER_OUTPUTS];

	p[0] = (struct pollfd){.fd = wants_input(t) ? t->c->exec.stdin_fd : -1, .events = POLLIN};
	for (int i = 0; i < CARRIER_OUTPUTS; i++) {
		const struct carrier_stream *s = &t->c->outputs[i];

		p[1 + i] = (struct pollfd){
			.fd = carrier_is_empty(s) ? -1 : s->bytes.fd, .events = POLLOUT};
	}
	poll(p, ARRAY_SIZE(p), t->pause);
	t->pause = t->pause * 3 / 2 > PAUSE_MAX ? PAUSE_MAX : t->pause * 3 / 2;
}

static int turn(struct talk *t)
{
	int r = watch_command(t);

	for (int i = 0; r == 0 && i < CARRIER_OUTPUTS; i++)
		r = read_output(t, i);
	return r == 0 ? write_input(t) : r;
}

bool exec_by_agent(struct carrier *c, int *ret_status, struct err *err)
{
	struct talk t = {.c = c, .pause = PAUSE_MIN, .err = err};
	const char *argv[] = {"/bin/sh", NULL, NULL};
	struct qga_exec exec = {.argv = argv};
	char script[CARRIER_DIR_MAX + 16];
	int r;

	snprintf(script, sizeof(script), "%s/launch", c->dir);
	argv[1] = script;
	r = start_exec(&t, &exec, &t.command);
	fault_point("driver.kvm.exec.started");
	while (r == 0 && !is_over(&t)) {
		r = turn(&t);
		if (r == 0)
			wait_a_moment(&t);
	}
	if (r == -ECANCELED && !t.ended) { /* nobody waits for it any more */
		char number[24];

		snprintf(number, sizeof(number), "%lld", (long long)t.command.pid);
		start_aside(&t, "kill -9 \"$1\"", number, "");
	}
	*ret_status = t.status;
	return r == 0 && carrier_is_told(c);
}
