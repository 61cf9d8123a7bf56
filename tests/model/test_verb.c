/* Verbs and states: the whole table against a golden file, and what a refusal says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "golden.h"
#include "model/guest.h"

static const char *state_name(enum guest_state state)
{
	return state == GUEST_STATE_MAX_ ? "-" : guest_state_to_string(state);
}

/* One line for each verb: what it is while and after, then a column for each state. */
static char *render(void)
{
	struct strbuf buf = {0};

	strbuf_addf(&buf, "%-15s %-11s %-9s", "", "during", "after");
	for (int s = 0; s < GUEST_STATE_MAX_; s++)
		strbuf_addf(&buf, " %s", guest_state_to_string((enum guest_state)s));
	strbuf_add(&buf, "\n");
	for (int v = 0; v < VERB_MAX_; v++) {
		enum guest_verb verb = (enum guest_verb)v;

		strbuf_addf(&buf, "%-15s %-11s %-9s", guest_verb_to_string(verb),
			state_name(guest_verb_during(verb)), state_name(guest_verb_after(verb)));
		for (int s = 0; s < GUEST_STATE_MAX_; s++) {
			enum guest_state guest_state = (enum guest_state)s;
			int r = guest_verb_check(verb, guest_state, "g", NULL);

			strbuf_addf(&buf, " %-*s", (int)strlen(guest_state_to_string(guest_state)),
				r == 0 ? "yes" : ".");
		}
		while (buf.text[buf.used - 1] == ' ')
			buf.text[--buf.used] = '\0';
		strbuf_add(&buf, "\n");
	}
	return strbuf_take(&buf);
}

static void the_table_is_as_agreed(void **state)
{
	AUTOFREE char *table = render();

	(void)state;
	assert_golden("verbs.txt", table);
}

static void a_refusal_names_the_states_in_which_it_is_legal(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(guest_verb_check(VERB_SWITCH, GUEST_ERROR, "a.example.org", &err), -EBUSY);
	assert_int_equal(err.code, ERR_ILLEGAL_STATE);
	assert_string_equal(err.message,
		"guest a.example.org is error: switch is possible only when it is creating, "
		"stopped, starting, running, freezing, frozen, stopping");
}

static void what_is_not_there_is_not_found_and_what_is_exists(void **state)
{
	(void)state;
	for (int v = 0; v < VERB_MAX_; v++) {
		struct err err = {0};

		if (v == VERB_CREATE)
			continue;
		assert_int_equal(
			guest_verb_check((enum guest_verb)v, GUEST_ABSENT, "g", &err), -ENOENT);
		assert_int_equal(err.code, ERR_NOT_FOUND);
	}
	for (int s = GUEST_ABSENT + 1; s < GUEST_STATE_MAX_; s++) {
		struct err err = {0};

		assert_int_equal(
			guest_verb_check(VERB_CREATE, (enum guest_state)s, "g", &err), -EEXIST);
		assert_int_equal(err.code, ERR_EXISTS);
	}
}

static void every_verb_has_its_name(void **state)
{
	enum guest_verb verb = VERB_MAX_;

	(void)state;
	for (int v = 0; v < VERB_MAX_; v++) {
		assert_int_equal(
			guest_verb_from_string(guest_verb_to_string((enum guest_verb)v), &verb), 0);
		assert_int_equal(verb, v);
	}
	assert_int_equal(guest_verb_from_string("explode", &verb), -EINVAL);
	assert_int_equal(verb, VERB_MAX_ - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_is_as_agreed),
		cmocka_unit_test(a_refusal_names_the_states_in_which_it_is_legal),
		cmocka_unit_test(what_is_not_there_is_not_found_and_what_is_exists),
		cmocka_unit_test(every_verb_has_its_name),
	};

	return cmocka_run_group_tests_name("verb", tests, NULL, NULL);
}
