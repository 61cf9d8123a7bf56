/* The calls that a client has in hand; used inside drivers/client only. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "drivers/client/client.h"
#include "drivers/protocol/message.h"
#include "drivers/protocol/wire.h"

/* Items that a list may bring in all, so that no driver can fill our memory. */
#define PENDING_ITEMS_MAX 100000

struct pending {
	struct pending *prev, *next; /* in the order of their making */
	struct driver_client *client;
	uint64_t serial;
	enum driver_call call;
	char *text; /* what is to be sent; NULL once it is */
	int fds[WIRE_FDS_MAX];
	size_t fds_count;
	sd_event_source *deadline; /* NULL: none */
	driver_reply_fn reply;
	void *data;
	/* Of the parts of a list that have come. */
	struct driver_status *statuses;
	size_t statuses_count;
	struct driver_stats *stats;
	size_t stats_count;
	struct driver_image *images;
	size_t images_count;
};

/* Encodes the request and duplicates its descriptors. */
int pending_create(uint64_t serial, const struct driver_request *request, struct pending **ret,
	struct err *err);
struct pending *pending_free(struct pending *pending);

/* What has been sent need not be kept. */
void pending_sent(struct pending *pending);

/* Adds a part of a list; -EMSGSIZE beyond all bounds. */
int pending_add(struct pending *pending, const struct message_answer *answer);
