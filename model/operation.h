/* An operation: one change, from its acceptance to its end. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "model/name.h"

enum operation_state {
	OPERATION_QUEUED,
	OPERATION_RUNNING,
	OPERATION_UNDOING,
	OPERATION_DONE,
	OPERATION_FAILED,
	OPERATION_CANCELLED,
	OPERATION_STATE_MAX_,
};

const char *operation_state_to_string(enum operation_state value);
int operation_state_from_string(const char *text, enum operation_state *ret);

/* DONE, FAILED and CANCELLED are for ever. */
bool operation_state_is_final(enum operation_state state);

struct operation {
	char id[OPERATION_ID_LEN + 1];
	char verb[32];			 /* "guest.create", "image.import" */
	char guest_id[GUEST_ID_LEN + 1]; /* empty: not about a guest */
	char target[IMAGE_NAME_MAX + 1]; /* name of the guest or image: the longer of both */
	enum operation_state state;
	char step[32]; /* the one it is in, or was in when it failed */
	uint32_t step_index, steps_count;
	uid_t uid;				  /* who asked */
	int64_t created_ms, started_ms, ended_ms; /* 0: not yet */
	bool cancel_requested;
	struct err error; /* code ERR_OK unless failed */
	/* How far the step is that moves something; `what` empty: none is. Not kept. */
	struct {
		uint64_t done, total; /* bytes; 0: not known */
		char what[64];
	} transfer;
};

/* As the API shows it, with `progress` from 0 to 1; a new reference. */
json_t *operation_to_json(const struct operation *operation);
