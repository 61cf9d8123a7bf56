/* What a guest's driver writes into a pipe: as an answer while it comes, or gathered first. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/http/http.h"
#include "agent/node/agent.h"
#include "drivers/protocol/call.h"

struct err;
struct guest_entry;

/* The driver of a guest; NULL with *err filled. */
struct driver_client *guest_driver(
	struct agent *agent, const struct guest_entry *entry, struct err *err);

/* Makes the call with the writing end of a pipe as the descriptor of its `console` or `file`, and
 * answers with what comes out of it: a failure before the first byte is answered as such, one
 * behind it cuts the answer. Headers may have been added. `size` is -1 when it is not known. */
void piped_answer(struct http_request *request, struct agent *agent, struct driver_client *client,
	const struct driver_request *call, const char *content_type, int64_t size);

/* `text` is NULL with *err filled when the call failed or gave more than `max` bytes
 * (ERR_TOO_LARGE). Valid during the call. */
typedef void (*gathered_fn)(void *data, const char *text, size_t size, const struct err *err);

/* Gathers it; `gathered` is called once, later. When this fails it is not called. */
int piped_gather(struct agent *agent, struct driver_client *client,
	const struct driver_request *call, size_t max, gathered_fn gathered, void *data,
	struct err *err);
