/* Requests about guests, of texts in tests. */
#pragma once

#include "base/cleanup.h"
#include "base/err.h"
#include "model/guest.h"

/* The JSON of a test's text, for json_auto_t; fails the test when it is none. */
json_t *parse(const char *text);

int read_request(const char *text, struct guest **ret, struct err *err);
/* The least request with these fields, or a bare one when they have its name or image. */
int read_with(const char *extra, struct guest **ret, struct err *err);

/* What must be accepted: the whole request, or its fields beside name and image. */
struct guest *make(const char *text);
struct guest *accepted(const char *extra);

int patch(struct guest *guest, const char *text, struct err *err);
void patched(struct guest *guest, const char *text);

/* Fields that are refused, naming which, with those words. */
struct refusal {
	const char *extra, *field, *words;
};
void assert_refused(const struct refusal *refusals, size_t count);
#define REFUSED(...)                                                                               \
	do {                                                                                       \
		static const struct refusal refusals_[] = {__VA_ARGS__};                           \
		assert_refused(refusals_, ARRAY_SIZE(refusals_));                                  \
	} while (0)
