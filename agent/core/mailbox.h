/* From other threads to the event loop: mails are posted by any thread and delivered, in the order
 * of posting, on the loop's thread. One wakeup of the loop delivers all that has gathered. */
#pragma once

#include <systemd/sd-event.h>

struct err;
struct mailbox;

/* Embedded in what is sent; the mailbox owns it from the post until deliver is called. */
struct mail {
	struct mail *next;
	void (*deliver)(struct mail *mail); /* on the loop; may free the mail, may post and wait */
};

int mailbox_create(sd_event *loop, struct mailbox **ret, struct err *err);

/* What was posted and not delivered is forgotten: wait for it first. Accepts NULL, returns NULL. */
struct mailbox *mailbox_destroy(struct mailbox *mailbox);

/* Any thread. Cannot fail. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

/* On the loop's thread: blocks until something is there, and delivers it; for orderly ends, when
 * the loop itself does not run. Mails posted earlier are always delivered first, also when this is
 * called from within a delivery. */
void mailbox_wait(struct mailbox *mailbox);
