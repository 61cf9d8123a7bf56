/* Verbs and states: what may be asked of a guest when, and what it is while and after.
 *
 * The transitional states (creating, starting, stopping, freezing) accept what could be legal after
 * them: changes of one guest run one after another, so a verb waits for the one under way and is
 * checked again when its turn has come. "Already so" is legal and does nothing: start on running,
 * stop and kill on stopped. An error is left by starting, stopping or destroying again. Where the
 * driver cannot tell (unknown) only what needs no driver, or cleans up, is done. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "model/guest.h"

#define S(state) (1U << GUEST_##state)

#define PENDING (S(CREATING) | S(STARTING) | S(STOPPING) | S(FREEZING))
#define SETTLED (S(STOPPED) | S(RUNNING) | S(FROZEN))
#define THERE	(PENDING | SETTLED | S(ERROR))

static const struct verb {
	const char *name;
	unsigned legal; /* states */
	enum guest_state during, after;
} VERBS[] = {
	[VERB_CREATE] = {"create", S(ABSENT), GUEST_CREATING, GUEST_STOPPED},
	/* A frozen guest is thawed, not started. */
	[VERB_START] = {"start", THERE & ~(S(FROZEN) | S(FREEZING)), GUEST_STARTING, GUEST_RUNNING},
	[VERB_STOP] = {"stop", THERE, GUEST_STOPPING, GUEST_STOPPED},
	[VERB_RESTART] = {"restart", THERE, GUEST_STOPPING, GUEST_RUNNING},
	[VERB_KILL] = {"kill", THERE, GUEST_STOPPING, GUEST_STOPPED},
	[VERB_DESTROY] = {"destroy", THERE | S(UNKNOWN), GUEST_DESTROYING, GUEST_ABSENT},
	[VERB_UPDATE] = {"update", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_ENLARGE] = {"enlarge", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_TRIM] = {"trim", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_PUBLISH] = {"publish", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	/* Needs no driver: a port can be taken from a guest that hangs. */
	[VERB_UNPUBLISH] = {"unpublish", THERE | S(UNKNOWN), GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	/* Of the guest that gets the port: traffic is not led to one in error. */
	[VERB_SWITCH] = {"switch", PENDING | SETTLED, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_FREEZE] = {"freeze", PENDING | S(RUNNING) | S(FROZEN), GUEST_FREEZING, GUEST_FROZEN},
	[VERB_THAW] = {"thaw", PENDING | S(RUNNING) | S(FROZEN), GUEST_STATE_MAX_, GUEST_RUNNING},
	[VERB_RENAME] = {"rename", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_CLONE] = {"clone", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	[VERB_SNAPSHOT] = {"snapshot", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
	/* Needs no driver. */
	[VERB_SNAPSHOT_DELETE] = {"snapshot-delete", THERE | S(UNKNOWN), GUEST_STATE_MAX_,
		GUEST_STATE_MAX_},
	/* Ends the guest, and starts it again when it ran. */
	[VERB_RESTORE] = {"restore", THERE, GUEST_STATE_MAX_, GUEST_STATE_MAX_},
};

const char *guest_verb_to_string(enum guest_verb verb)
{
	return VERBS[verb].name;
}

int guest_verb_from_string(const char *text, enum guest_verb *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(VERBS); i++)
		if (strcmp(VERBS[i].name, text) == 0) {
			*ret = (enum guest_verb)i;
			return 0;
		}
	return -EINVAL;
}

static int refuse(
	enum guest_verb verb, enum guest_state state, const char *guest_name, struct err *err)
{
	struct strbuf list = {0};
	AUTOFREE char *text = NULL;

	for (unsigned i = 0; i < GUEST_STATE_MAX_; i++)
		if (VERBS[verb].legal & (1U << i))
			strbuf_addf(&list, "%s%s", list.used ? ", " : "",
				guest_state_to_string((enum guest_state)i));
	text = strbuf_take(&list);
	return err_set(err, ERR_ILLEGAL_STATE, NULL,
		"guest %s is %s: %s is possible only when it is %s", guest_name,
		guest_state_to_string(state), VERBS[verb].name, text ? text : "in another state");
}

int guest_verb_check(
	enum guest_verb verb, enum guest_state state, const char *guest_name, struct err *err)
{
	if (VERBS[verb].legal & (1U << state))
		return 0;
	if (state == GUEST_ABSENT)
		return err_set(err, ERR_NOT_FOUND, NULL, "there is no guest %s", guest_name);
	if (verb == VERB_CREATE)
		return err_set(err, ERR_EXISTS, "name", "there is a guest %s already", guest_name);
	return refuse(verb, state, guest_name, err);
}

enum guest_state guest_verb_during(enum guest_verb verb)
{
	return VERBS[verb].during;
}

enum guest_state guest_verb_after(enum guest_verb verb)
{
	return VERBS[verb].after;
}
