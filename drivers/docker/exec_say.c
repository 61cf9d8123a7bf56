/* Commands: what dockerd is told of them, and what its words mean. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/reply.h"
#include "drivers/inside/carry.h"
#include "drivers/inside/user.h"

#define TERM_DEFAULT "linux"

/* --- What is asked for ------------------------------------------------------------------------ */

static bool has_variable(const json_t *list, const char *name)
{
	size_t i, n = strlen(name);
	const json_t *entry;

	json_array_foreach (list, i, entry) {
		const char *text = json_string_value(entry);

		if (text && strncmp(text, name, n) == 0 && text[n] == '=')
			return true;
	}
	return false;
}

static int add_variable(
	json_t *env, const json_t *image, const char *name, const char *value, struct err *err)
{
	if (has_variable(env, name) || has_variable(image, name))
		return 0;
	return json_array_append_new(env, json_sprintf("%s=%s", name, value)) < 0
		       ? err_errno(err, ENOMEM, "no memory for a command")
		       : 0;
}

/* Beside the environment that the container has by its image. */
static int environment(const struct driver_exec *exec, const json_t *info, const struct user *user,
	json_t **ret, struct err *err)
{
	const json_t *image = reply_at(info, "Config.Env");
	json_auto_t *env = json_array();
	int r;

	for (const char *const *e = exec->env; e && *e; e++) {
		const char *equals = strchr(*e, '=');

		if (!equals || equals == *e)
			return err_set(err, ERR_INVALID, "env",
				"\"%.60s\" is no KEY=VALUE of an environment", *e);
		if (json_array_append_new(env, json_string(*e)) < 0)
			return err_set(err, ERR_INVALID, "env",
				"%.*s: dockerd takes no value that is not UTF-8",
				(int)(equals - *e), *e);
	}
	r = add_variable(env, image, "HOME", user->home[0] ? user->home : "/", err);
	if (r == 0)
		r = add_variable(env, image, "TERM", TERM_DEFAULT, err);
	if (r == 0)
		*ret = TAKE_PTR(env);
	return r;
}

static json_t *words_json(const char *const *words)
{
	json_t *list = json_array();

	for (; list && *words; words++)
		if (json_array_append_new(list, json_string(*words)) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

/* A number that the guest's tables do not know is a group of that number, too: dockerd would take
 * root's. */
static json_t *user_json(const char *who, const struct user *user)
{
	if (!who)
		return json_string("0");
	if (strchr(who, ':') || user->groups_count > 0 || strspn(who, "0123456789") != strlen(who))
		return json_string(who);
	return json_sprintf("%u:%u", user->uid, user->gid);
}

int exec_body(const struct driver_exec *exec, const json_t *info, const struct user *user,
	bool home, json_t **ret, struct err *err)
{
	const char *dir = reply_text_or_none(info, "Config.WorkingDir");
	json_t *env = NULL, *words = words_json(exec->argv);
	int r = words ? environment(exec, info, user, &env, err)
		      : err_set(err, ERR_INVALID, "command",
				"dockerd takes no argument that is not UTF-8");
	json_auto_t *body = NULL;

	if (r < 0) {
		json_decref(words);
		return r;
	}
	if (exec->cwd)
		dir = exec->cwd;
	else if (!dir[0] || strcmp(dir, "/") == 0) /* which is Docker's own default */
		dir = home ? user->home : "/";
	body = json_pack("{sb sb sb sb ss so so so ss}", "AttachStdin", 1, "AttachStdout", 1,
		"AttachStderr", 1, "Tty", exec->terminal, "DetachKeys", EXEC_DETACH_KEYS, "Cmd",
		words, "Env", env, "User", user_json(exec->user, user), "WorkingDir", dir);
	if (!body)
		return err_set(
			err, ERR_INVALID, "cwd", "dockerd takes no names that are not UTF-8");
	if (exec->terminal) {
		struct winsize size = carry_size(exec->stdin_fd);

		json_object_set_new(
			body, "ConsoleSize", json_pack("[ii]", size.ws_row, size.ws_col));
	}
	*ret = TAKE_PTR(body);
	return 0;
}

/* --- What it answers -------------------------------------------------------------------------- */

static int fail_cwd(const struct driver_exec *exec, const char *words, struct err *err)
{
	(void)words;
	return err_set(err, ERR_INVALID, "cwd",
		"%.200s: is no directory of the guest that the user may enter",
		exec->cwd ? exec->cwd : "the working directory");
}

static int fail_user(const struct driver_exec *exec, const char *words, struct err *err)
{
	return err_set(err, ERR_INVALID, "user", "the guest cannot have the user %.60s: %.200s",
		exec->user ? exec->user : "root", words);
}

static int fail_missing(const struct driver_exec *exec, const char *words, struct err *err)
{
	(void)words;
	return err_set(err, ERR_NOT_FOUND, "command", "the guest has no command \"%.200s\"",
		exec->argv[0]);
}

static int fail_denied(const struct driver_exec *exec, const char *words, struct err *err)
{
	(void)words;
	return err_set(err, ERR_INVALID, "command",
		"%.200s cannot be executed: it is no program, or not for that user", exec->argv[0]);
}

static int fail_unusable(const struct driver_exec *exec, const char *words, struct err *err)
{
	return err_set(err, ERR_INVALID, "command", "%.200s cannot be executed: %.*s",
		exec->argv[0], (int)strcspn(words, "\r\n"), words);
}

static int fail_state(const struct driver_exec *exec, const char *words, struct err *err)
{
	(void)exec;
	return err_set(err, ERR_ILLEGAL_STATE, NULL, "the guest runs no command: %.200s", words);
}

/* The first that fits. By dockerd 20.10 to 28, runc 1.0 to 1.2, and corpus-gate. */
static const struct {
	const char *words;
	int (*fail)(const struct driver_exec *exec, const char *words, struct err *err);
} WORDS[] = {
	{"chdir to cwd", fail_cwd},
	{"Cwd must be", fail_cwd},
	{"unable to find user", fail_user},
	{"unable to find group", fail_user},
	{"matching entries in", fail_user},
	{"uids and gids must be", fail_user},
	{"executable file not found", fail_missing},
	{"no such file or directory", fail_missing},
	{"exec: not a directory", fail_missing},
	{"too many levels of symbolic links", fail_unusable},
	{"file name too long", fail_unusable},
	{"argument list too long", fail_unusable},
	{"text file busy", fail_unusable},
	{"permission denied", fail_denied},
	{"is a directory", fail_denied},
	{"exec format error", fail_denied},
	{"operation not permitted", fail_denied},
	{"is not running", fail_state},
	{"is paused", fail_state},
	{"cannot exec in a stopped", fail_state},
	{"cannot exec in a paused", fail_state},
};

int exec_explain(const struct driver_exec *exec, const char *words, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
		if (strcasestr(words, WORDS[i].words))
			return WORDS[i].fail(exec, words, err);
	return err_set(err, ERR_DRIVER, NULL, "the command was not executed: %.300s",
		*words ? words : "dockerd does not say why");
}

int exec_status(int64_t code)
{
	return code > 128 && code < 128 + NSIG ? W_EXITCODE(0, (int)code - 128)
					       : W_EXITCODE((int)(code & 0xff), 0);
}
