/* Settings that count from a guest's next start: which it runs without. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "model/guest.h"

static struct guest *container(void)
{
	json_auto_t *request = json_pack(
		"{s:s, s:s, s:{s:[s]}}", "name", "g", "image", "i", "container", "command", "old");
	struct guest *guest = NULL;

	assert_int_equal(guest_from_request(request, &guest, NULL), 0);
	guest->state = GUEST_RUNNING;
	return guest;
}

/* As an operation changes it. */
static void change(struct guest *guest, const char *patch)
{
	json_auto_t *json = json_loads(patch, 0, NULL);
	json_auto_t *was = guest_start_settings(guest);
	json_auto_t *now = NULL;

	assert_int_equal(guest_patch(guest, json, NULL), 0);
	now = guest_start_settings(guest);
	guest_note_changes(guest, was, now);
}

/* `paths` as JSON. */
static void assert_needed(const struct guest *guest, const char *paths)
{
	json_auto_t *json = guest_to_json(guest, NULL);
	json_auto_t *expected = json_loads(paths, 0, NULL);

	assert_true(json_equal(json_object_get(json, "restart_needed"), expected));
}

#define COMMAND(word) "{\"container\": {\"command\": [\"" word "\"]}}"

static void what_was_changed_since_the_start_is_named(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = container();

	(void)state;
	assert_needed(guest, "[]");
	change(guest, "{\"container\": {\"user\": \"33\", \"environment\": {\"A\": \"1\"}},"
		      " \"slots\": 3, \"raw\": [\"{}\"]}");
	assert_needed(guest, "[\"container.environment\", \"container.user\", \"raw\"]");
	assert_true(guest_drop_changes(guest));
	assert_needed(guest, "[]");
	assert_false(guest_drop_changes(guest));
}

static void what_is_changed_back_is_not_needed(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = container();

	(void)state;
	change(guest, COMMAND("new"));
	change(guest, COMMAND("newer"));
	assert_needed(guest, "[\"container.command\"]");
	change(guest, COMMAND("old"));
	assert_needed(guest, "[]");
	assert_false(guest_drop_changes(guest));
}

static void one_that_does_not_run_needs_nothing(void **state)
{
	CLEANUP(guest_freep) struct guest *guest = container();

	(void)state;
	guest->state = GUEST_STOPPED;
	change(guest, COMMAND("new"));
	guest->state = GUEST_RUNNING;
	assert_needed(guest, "[]");
	change(guest, COMMAND("newer"));
	guest->state = GUEST_FROZEN;
	assert_needed(guest, "[\"container.command\"]");
	guest->state = GUEST_STOPPED;
	assert_needed(guest, "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_changed_since_the_start_is_named),
		cmocka_unit_test(what_is_changed_back_is_not_needed),
		cmocka_unit_test(one_that_does_not_run_needs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
