/* The script that becomes a command in a guest: rendered here, run by the guest's own shell. It has
 * the command's streams, changes to the user and directory, says in one line whether it will be
 * executed, and is then replaced by it, so that the command's end is its own.
 *
 * That line is the first on its standard error (on the terminal where there is one): the token, a
 * blank and one of the words below. What came before it is none of the command's. */
#pragma once

#include <stddef.h>

#include "drivers/driver.h"
#include "drivers/inside/user.h"

struct err;

#define LAUNCH_TOKEN_DIGITS 32
#define LAUNCH_LINE_MAX	    65536 /* so much before the line, and there is none */

struct launch {
	const struct driver_exec *exec;
	const struct user *user; /* NULL: root */
	const char *token;
	bool fifos; /* its streams are "in", "out" and "err" beside the script */
};

/* Whether it asks for no more than root. */
bool launch_is_root(const char *user);

/* ERR_INVALID (env) for what is no KEY=VALUE. `ret` is allocated. */
int launch_render(const struct launch *launch, char **ret, struct err *err);

enum launch_word { LAUNCH_MORE, LAUNCH_NONE, LAUNCH_OK, LAUNCH_FAILED };

/* Looks for the line in what has come so far. OK and FAILED: *ret_end is behind it. FAILED fills
 * *err: ERR_NOT_FOUND (command), ERR_INVALID (command, cwd), ERR_UNSUPPORTED (user). NONE: there
 * will be none, with *err filled. */
enum launch_word launch_read(const struct launch *launch, const char *text, size_t size,
	size_t *ret_end, struct err *err);
