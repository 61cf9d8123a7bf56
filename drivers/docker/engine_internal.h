/* What the files of the engine share; used by them only. */
#pragma once

#include <curl/curl.h>

#include "drivers/docker/engine.h"

struct engine {
	CURL *curl;
	CURLM *multi;
	char *socket;
	unsigned version;    /* 0: not agreed upon yet, paths get none */
	int64_t deadline_ns; /* 0: none */
};

/* When a request has to be done, on the monotonic clock; INT64_MAX: never. */
int64_t engine_deadline(const struct engine *engine, const struct engine_request *request);

/* What a request is about is named: else it is not there. ERR_NOT_FOUND. */
int engine_check_name(const struct engine_request *request, struct err *err);

/* "/v1.41/containers/a%2Fb/start?t=5"; NULL when memory ran out. */
char *engine_target(const struct engine *engine, const struct engine_request *request);

/* The text that a request's body is; NULL when memory ran out. */
char *engine_body(const struct engine_request *request);

/* What an answer that is no success says, as an error of ours. */
int engine_refusal(const struct engine_request *request, int status, const char *answer,
	size_t size, struct err *err);
/* What it is when the socket cannot be connected to. */
int engine_unreachable(const struct engine *engine, int errnum, struct err *err);
/* It has closed the connection without an answer. */
int engine_gone(struct err *err);
int engine_late(const struct engine *engine, const struct engine_request *request, struct err *err);
/* "cannot …: " before what `err` says. */
void engine_prefix(const struct engine_request *request, struct err *err);

static inline bool engine_status_is_good(long status)
{
	return (status >= 200 && status < 300) || status == 304;
}
