/* The worker pool: a queue under one lock, threads that take from it, and a mailbox through which
 * finished jobs come back to the loop. */
#include "agent/core/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent/core/mailbox.h"
#include "base/cleanup.h"
#include "base/err.h"

/* Work calls libraries, not recursive code: a small stack keeps the address space small. */
#define STACK_SIZE (1024 * 1024)

struct job {
	struct mail mail; /* first: a mail is its job */
	struct job *next;
	struct workers *workers;
	work_fn work;
	done_fn done;
	void *data;
};

struct workers {
	struct mailbox *mailbox;
	size_t pending; /* submitted, not yet done; the loop's */
	unsigned threads_count;
	pthread_t *threads;

	pthread_mutex_t lock;
	pthread_cond_t wakeup;
	struct job *first, **end;
	bool stopping;
};

/* Waits for a job; NULL when the pool ends and nothing is left to do. */
static struct job *take(struct workers *workers)
{
	struct job *job;

	pthread_mutex_lock(&workers->lock);
	while (!workers->first && !workers->stopping)
		pthread_cond_wait(&workers->wakeup, &workers->lock);
	job = workers->first;
	if (job) {
		workers->first = job->next;
		if (!workers->first)
			workers->end = &workers->first;
	}
	pthread_mutex_unlock(&workers->lock);
	return job;
}

static void *run(void *data)
{
	struct workers *workers = data;
	struct job *job;

	while ((job = take(workers))) {
		job->work(job->data);
		mailbox_post(workers->mailbox, &job->mail);
	}
	return NULL;
}

static void finished(struct mail *mail)
{
	struct job *job = (struct job *)mail;

	job->workers->pending--;
	if (job->done)
		job->done(job->data);
	free(job);
}

/* Signals are the loop's: threads start with all of them blocked. */
static int start_threads(struct workers *workers, unsigned count)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int r = 0;

	sigfillset(&all);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (; r == 0 && workers->threads_count < count; workers->threads_count += r == 0) {
		r = pthread_create(&workers->threads[workers->threads_count], &attr, run, workers);
		if (r == 0)
			pthread_setname_np(workers->threads[workers->threads_count], "worker");
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -r;
}

int workers_create(sd_event *loop, unsigned threads, struct workers **ret, struct err *err)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	int r;

	if (!workers)
		return err_errno(err, ENOMEM, "cannot make the worker pool");
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->wakeup, NULL);
	workers->end = &workers->first;
	workers->threads = calloc(threads, sizeof(*workers->threads));
	r = mailbox_create(loop, &workers->mailbox, err);
	if (r == 0 && workers->threads)
		r = start_threads(workers, threads);
	if (r < 0 || !workers->threads) {
		workers_destroy(workers);
		return err_errno(
			err, r < 0 ? r : ENOMEM, "cannot start %u worker threads", threads);
	}
	*ret = workers;
	return 0;
}

static void stop_threads(struct workers *workers)
{
	pthread_mutex_lock(&workers->lock);
	workers->stopping = true;
	pthread_cond_broadcast(&workers->wakeup);
	pthread_mutex_unlock(&workers->lock);
	for (unsigned i = 0; i < workers->threads_count; i++)
		pthread_join(workers->threads[i], NULL);
}

struct workers *workers_destroy(struct workers *workers)
{
	if (!workers)
		return NULL;
	/* Not a single pass: what is done may submit more. */
	while (workers->pending > 0)
		mailbox_wait(workers->mailbox);
	stop_threads(workers);
	mailbox_destroy(workers->mailbox);
	pthread_cond_destroy(&workers->wakeup);
	pthread_mutex_destroy(&workers->lock);
	free(workers->threads);
	free(workers);
	return NULL;
}

int workers_submit(struct workers *workers, work_fn work, done_fn done, void *data)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct job){.mail.deliver = finished,
		.workers = workers,
		.work = work,
		.done = done,
		.data = data};
	workers->pending++;
	pthread_mutex_lock(&workers->lock);
	*workers->end = job;
	workers->end = &job->next;
	pthread_mutex_unlock(&workers->lock);
	/* After the unlock: who wakes up must not run into the lock at once. */
	pthread_cond_signal(&workers->wakeup);
	return 0;
}
