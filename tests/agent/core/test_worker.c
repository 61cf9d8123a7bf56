/* The worker pool: what runs where, how often, in which order it comes back, and what its end waits
 * for. */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/core/mailbox.h"
#include "agent/core/worker.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define DEADLINE_US (60 * 1000 * 1000ULL)

struct fixture {
	sd_event *loop;
	struct workers *workers;
	unsigned done;
};

struct task {
	struct fixture *fixture;
	pid_t work_tid, done_tid;
	atomic_uint works;
	unsigned dones, position;  /* position: how many were done before it */
	sem_t *gate;		   /* waited for by work, when set */
	atomic_uint *active, *top; /* how many work at once, and the most seen */
	bool again;		   /* done submits it once more */
};

static void setup_pool(struct fixture *fixture, unsigned threads)
{
	*fixture = (struct fixture){0};
	assert_int_equal(sd_event_new(&fixture->loop), 0);
	assert_int_equal(workers_create(fixture->loop, threads, &fixture->workers, NULL), 0);
}

static void finish_pool(struct fixture *fixture)
{
	assert_null(workers_destroy(fixture->workers));
	sd_event_unref(fixture->loop);
}

static void work(void *data)
{
	struct task *task = data;

	task->work_tid = gettid();
	atomic_fetch_add(&task->works, 1);
	if (task->active) {
		unsigned now = atomic_fetch_add(task->active, 1) + 1;
		unsigned top = atomic_load(task->top);

		while (now > top && !atomic_compare_exchange_weak(task->top, &top, now))
			;
	}
	if (task->gate)
		while (sem_wait(task->gate) < 0)
			;
	if (task->active)
		atomic_fetch_sub(task->active, 1);
}

static void done(void *data)
{
	struct task *task = data;

	task->done_tid = gettid();
	task->dones++;
	task->position = task->fixture->done++;
	if (task->again) {
		task->again = false;
		assert_int_equal(workers_submit(task->fixture->workers, work, done, task), 0);
	}
}

static void run_until_done(struct fixture *fixture, unsigned count)
{
	while (fixture->done < count)
		assert_true(sd_event_run(fixture->loop, DEADLINE_US) > 0);
}

static void work_runs_on_a_worker_and_done_on_the_loop(void **state)
{
	struct fixture fixture;
	struct task task = {.fixture = &fixture};

	(void)state;
	setup_pool(&fixture, 2);
	assert_int_equal(workers_submit(fixture.workers, work, done, &task), 0);
	assert_int_equal(task.dones, 0);
	run_until_done(&fixture, 1);
	assert_int_equal(task.works, 1);
	assert_int_equal(task.dones, 1);
	assert_int_not_equal(task.work_tid, gettid());
	assert_int_equal(task.done_tid, gettid());
	finish_pool(&fixture);
}

static void every_job_of_ten_thousand_is_done_exactly_once(void **state)
{
	enum { COUNT = 10000 };
	struct task *tasks = calloc(COUNT, sizeof(*tasks));
	struct fixture fixture;

	(void)state;
	assert_non_null(tasks);
	setup_pool(&fixture, 4);
	for (unsigned i = 0; i < COUNT; i++) {
		tasks[i].fixture = &fixture;
		assert_int_equal(workers_submit(fixture.workers, work, done, &tasks[i]), 0);
	}
	run_until_done(&fixture, COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_int_equal(tasks[i].works, 1);
		assert_int_equal(tasks[i].dones, 1);
	}
	finish_pool(&fixture);
	free(tasks);
}

static void as_many_run_at_once_as_there_are_threads(void **state)
{
	enum { THREADS = 3, COUNT = 9 };
	struct fixture fixture;
	struct task tasks[COUNT];
	atomic_uint active = 0, top = 0;
	sem_t gate;

	(void)state;
	sem_init(&gate, 0, 0);
	setup_pool(&fixture, THREADS);
	for (unsigned i = 0; i < COUNT; i++) {
		tasks[i] = (struct task){
			.fixture = &fixture, .gate = &gate, .active = &active, .top = &top};
		assert_int_equal(workers_submit(fixture.workers, work, done, &tasks[i]), 0);
	}
	for (int64_t end = clock_monotonic_ns() + DEADLINE_US * 1000;
		atomic_load(&active) < THREADS;)
		assert_true(clock_monotonic_ns() < end);
	for (unsigned i = 0; i < COUNT; i++)
		sem_post(&gate);
	run_until_done(&fixture, COUNT);
	assert_int_equal(top, THREADS);
	finish_pool(&fixture);
	sem_destroy(&gate);
}

static void one_thread_keeps_the_order(void **state)
{
	enum { COUNT = 100 };
	struct fixture fixture;
	struct task tasks[COUNT] = {0};

	(void)state;
	setup_pool(&fixture, 1);
	for (unsigned i = 0; i < COUNT; i++) {
		tasks[i].fixture = &fixture;
		assert_int_equal(workers_submit(fixture.workers, work, done, &tasks[i]), 0);
	}
	run_until_done(&fixture, COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(tasks[i].position, i);
	finish_pool(&fixture);
}

static void destroying_runs_what_is_queued_and_what_that_submits(void **state)
{
	enum { COUNT = 50 };
	struct fixture fixture;
	struct task tasks[COUNT] = {0};

	(void)state;
	setup_pool(&fixture, 2);
	for (unsigned i = 0; i < COUNT; i++) {
		tasks[i].fixture = &fixture;
		tasks[i].again = true;
		assert_int_equal(workers_submit(fixture.workers, work, done, &tasks[i]), 0);
	}
	finish_pool(&fixture);
	assert_int_equal(fixture.done, 2 * COUNT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(tasks[i].works, 2);
}

static void look_at_mask(void *data)
{
	pthread_sigmask(SIG_SETMASK, NULL, data);
}

static void workers_take_no_signals(void **state)
{
	sigset_t mask;
	struct fixture fixture;

	(void)state;
	sigemptyset(&mask);
	setup_pool(&fixture, 1);
	assert_int_equal(workers_submit(fixture.workers, look_at_mask, NULL, &mask), 0);
	finish_pool(&fixture);
	assert_true(sigismember(&mask, SIGTERM));
	assert_true(sigismember(&mask, SIGCHLD));
}

struct numbered {
	struct mail mail;
	struct mailbox *mailbox;
	unsigned number;
	bool waits;
};

static unsigned g_expected;

static void check_number(struct mail *mail)
{
	struct numbered *numbered = (struct numbered *)mail;

	assert_int_equal(numbered->number, g_expected++);
	if (numbered->waits)
		mailbox_wait(numbered->mailbox);
}

static void a_delivery_that_waits_keeps_the_order(void **state)
{
	enum { COUNT = 5 };
	struct numbered mails[COUNT];
	struct mailbox *mailbox;
	sd_event *loop;

	(void)state;
	assert_int_equal(sd_event_new(&loop), 0);
	assert_int_equal(mailbox_create(loop, &mailbox, NULL), 0);
	g_expected = 0;
	for (unsigned i = 0; i < COUNT; i++) {
		mails[i] = (struct numbered){.mail.deliver = check_number,
			.mailbox = mailbox,
			.number = i,
			.waits = i < 2};
		mailbox_post(mailbox, &mails[i].mail);
	}
	mailbox_wait(mailbox);
	assert_int_equal(g_expected, COUNT);
	assert_null(mailbox_destroy(mailbox));
	sd_event_unref(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_runs_on_a_worker_and_done_on_the_loop),
		cmocka_unit_test(every_job_of_ten_thousand_is_done_exactly_once),
		cmocka_unit_test(as_many_run_at_once_as_there_are_threads),
		cmocka_unit_test(one_thread_keeps_the_order),
		cmocka_unit_test(destroying_runs_what_is_queued_and_what_that_submits),
		cmocka_unit_test(workers_take_no_signals),
		cmocka_unit_test(a_delivery_that_waits_keeps_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
