/* What travels on the wire, as text and back. docs/driver-protocol.md describes every message; the
 * decoders take nothing on trust: a wrong type, a missing field or a number out of range is
 * ERR_MALFORMED and names the fault. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "drivers/protocol/call.h"

struct err;

/* Statuses, statistics and images that fit into one message with room to spare; longer lists come
 * in several. */
#define MESSAGE_STATUSES_MAX 400
#define MESSAGE_STATS_MAX    80
#define MESSAGE_IMAGES_MAX   120
#define MESSAGE_ARGS_MAX     4096

/* --- Greeting -------------------------------------------------------------------------------- */

struct message_hello {
	json_t *json; /* keeps the strings */
	struct driver_config config;
};

/* Agent to driver. All encoders allocate the text; NULL when memory ran out. */
char *message_encode_hello(const struct driver_config *config);
/* ERR_UNSUPPORTED for another version of the protocol. */
int message_decode_hello(const char *text, struct message_hello *ret, struct err *err);
void message_hello_finish(struct message_hello *hello);

/* Driver to agent; `failed` is NULL when it is ready. */
char *message_encode_welcome(const struct driver_ops *ops, const struct err *failed);
/* `ret_name` gets the driver's own name. An error that the driver reports becomes *err. */
int message_decode_welcome(
	const char *text, char ret_name[static DRIVER_NAME_MAX + 1], struct err *err);

/* --- Calls ----------------------------------------------------------------------------------- */

struct message_call {
	json_t *json; /* keeps the strings */
	uint64_t serial;
	struct driver_request request; /* points into this struct */
	struct driver_guest guest;
	struct driver_exec exec;
	struct driver_console console;
	struct driver_file file;
	struct driver_disk_work disk;
	struct driver_image_work image;
	struct driver_layer_work layer;
	bool image_fds[3]; /* of an image: which of fd, whole_fd, progress_fd come with it */
};

char *message_encode_call(uint64_t serial, const struct driver_request *q);
/* Also fails for a call whose arguments are not complete; `ret->serial` is then set where the text
 * had one, so that the failure can be answered. */
int message_decode_call(const char *text, struct message_call *ret, struct err *err);
/* Hands it the descriptors that came with it; ERR_MALFORMED for another number than it needs. They
 * stay the receiver's. */
int message_call_take_fds(
	struct message_call *call, const int *fds, size_t fds_count, struct err *err);
void message_call_finish(struct message_call *call);

/* --- Replies and events ---------------------------------------------------------------------- */

enum message_kind { MESSAGE_REPLY, MESSAGE_EVENT };

struct message_answer {
	enum message_kind kind;
	uint64_t serial;
	bool more;		   /* of a list: further messages follow */
	struct driver_reply reply; /* points into this struct */
	struct driver_info info;
	struct driver_status *statuses; /* owned; of an event: one */
	size_t statuses_count;
	struct driver_stats *stats; /* owned */
	size_t stats_count;
	struct driver_image *images; /* owned */
	size_t images_count;
};

/* A reply, or one part of one: from item *next of its list on, which is moved on by as many as fit.
 * *ret_more says whether further parts follow. */
char *message_encode_reply(uint64_t serial, enum driver_call call, const struct driver_reply *reply,
	size_t *next, bool *ret_more);
char *message_encode_event(const struct driver_status *status);
int message_decode_answer(const char *text, struct message_answer *ret, struct err *err);
void message_answer_finish(struct message_answer *answer);
