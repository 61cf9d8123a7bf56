/* Requests about guests. */
#include "requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

	if (!json)
		fail_msg("the test's own JSON is wrong: %s", text);
	return json;
}

int read_request(const char *text, struct guest **ret, struct err *err)
{
	json_auto_t *json = parse(text);

	return guest_from_request(json, ret, err);
}

int read_with(const char *extra, struct guest **ret, struct err *err)
{
	AUTOFREE char *text = NULL;

	assert_true(asprintf(&text, "{\"name\": \"g\", \"image\": \"i\", %s}", extra) > 0);
	return read_request(text, ret, err);
}

struct guest *make(const char *text)
{
	struct guest *guest = NULL;
	struct err err = {0};

	if (read_request(text, &guest, &err) < 0)
		fail_msg("%s: %s: %s", text, err.field, err.message);
	return guest;
}

struct guest *accepted(const char *extra)
{
	struct guest *guest = NULL;
	struct err err = {0};

	if (read_with(extra, &guest, &err) < 0)
		fail_msg("%s: %s: %s", extra, err.field, err.message);
	return guest;
}

int patch(struct guest *guest, const char *text, struct err *err)
{
	json_auto_t *json = parse(text);

	return guest_patch(guest, json, err);
}

void patched(struct guest *guest, const char *text)
{
	struct err err = {0};

	if (patch(guest, text, &err) < 0)
		fail_msg("%s: %s: %s", text, err.field, err.message);
}

void assert_refused(const struct refusal *refusals, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP(guest_freep) struct guest *guest = NULL;
		struct err err = {0};
		int r = read_with(refusals[i].extra, &guest, &err);

		if (r != -EINVAL || guest || err.code != ERR_INVALID ||
			strcmp(err.field, refusals[i].field) != 0 ||
			!strstr(err.message, refusals[i].words))
			fail_msg("%s: returned %d: \"%s\": %s", refusals[i].extra, r, err.field,
				err.message);
	}
}
