/* The mailbox: two lists and an eventfd. Posting threads append to `posted` under the lock; the
 * loop moves that list as a whole to `ready`, which is its own, and takes mails from its front, so
 * that a delivery which itself waits goes on in order. The eventfd is written only when `posted`
 * was empty: a thousand mails cost one wakeup. */
#include "agent/core/mailbox.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

struct mail_list {
	struct mail *first;
	struct mail **end;
};

struct mailbox {
	int fd;
	sd_event_source *source;
	struct mail_list ready; /* the loop's */

	pthread_mutex_t lock;
	struct mail_list posted;
};

static void list_clear(struct mail_list *list)
{
	list->first = NULL;
	list->end = &list->first;
}

/* Moves everything in `from` to the end of `to`. */
static void list_move(struct mail_list *to, struct mail_list *from)
{
	if (!from->first)
		return;
	*to->end = from->first;
	to->end = from->end;
	list_clear(from);
}

static struct mail *list_pop(struct mail_list *list)
{
	struct mail *mail = list->first;

	if (!mail)
		return NULL;
	list->first = mail->next;
	if (!list->first)
		list_clear(list);
	return mail;
}

/* The eventfd is emptied before the list is taken: a mail posted in between wakes the loop again.
 */
static void collect(struct mailbox *mailbox)
{
	uint64_t count;

	if (read(mailbox->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		abort(); /* a bug: the descriptor was closed behind our back */
	pthread_mutex_lock(&mailbox->lock);
	list_move(&mailbox->ready, &mailbox->posted);
	pthread_mutex_unlock(&mailbox->lock);
}

static void deliver(struct mailbox *mailbox)
{
	struct mail *mail;

	collect(mailbox);
	while ((mail = list_pop(&mailbox->ready)))
		mail->deliver(mail);
}

static int on_readable(sd_event_source *source, int fd, uint32_t revents, void *data)
{
	(void)source;
	(void)fd;
	(void)revents;
	deliver(data);
	return 0;
}

int mailbox_create(sd_event *loop, struct mailbox **ret, struct err *err)
{
	struct mailbox *mailbox = calloc(1, sizeof(*mailbox));
	int r;

	if (!mailbox)
		return err_errno(err, ENOMEM, "cannot make a mailbox");
	pthread_mutex_init(&mailbox->lock, NULL);
	list_clear(&mailbox->ready);
	list_clear(&mailbox->posted);
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = mailbox->fd < 0 ? -errno
			    : sd_event_add_io(loop, &mailbox->source, mailbox->fd, EPOLLIN,
				      on_readable, mailbox);
	if (r < 0) {
		mailbox_destroy(mailbox);
		return err_errno(err, r, "cannot make a mailbox");
	}
	*ret = mailbox;
	return 0;
}

struct mailbox *mailbox_destroy(struct mailbox *mailbox)
{
	if (!mailbox)
		return NULL;
	sd_event_source_disable_unref(mailbox->source);
	fd_close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
	free(mailbox);
	return NULL;
}

void mailbox_post(struct mailbox *mailbox, struct mail *mail)
{
	bool first;

	mail->next = NULL;
	pthread_mutex_lock(&mailbox->lock);
	first = !mailbox->posted.first;
	*mailbox->posted.end = mail;
	mailbox->posted.end = &mail->next;
	/* Under the lock: once the mail can be taken, the mailbox may be destroyed. */
	if (first && write(mailbox->fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		abort(); /* cannot happen: the counter is read long before it is full */
	pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_wait(struct mailbox *mailbox)
{
	struct pollfd pollfd = {.fd = mailbox->fd, .events = POLLIN};

	while (!mailbox->ready.first && poll(&pollfd, 1, -1) < 0)
		if (errno != EINTR)
			abort(); /* poll of a valid descriptor fails only without memory */
	deliver(mailbox);
}
