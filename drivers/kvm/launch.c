/* Commands in guests, from the script that becomes them to the line that tells of it. */
#include "drivers/kvm/launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/kvm/quote.h"

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define TERM_DEFAULT "linux"

/* The second half, run as the user, with what it needs as arguments: a user may not read the
 * script. There is no single quote in it. */
#define AS_USER                                                                                    \
	"home=$1 cwd=$2 path=$3 token=$4 command=$5\n"                                             \
	"shift 5\n"                                                                                \
	"say() { printf \"%s %s\\n\" \"$token\" \"$1\" >&2; }\n"                                   \
	"if [ -n \"$cwd\" ]; then\n"                                                               \
	"	cd -P \"$cwd\" 2>/dev/null || { say cwd; exit 1; }\n"                                    \
	"else\n"                                                                                   \
	"	cd -P \"$home\" 2>/dev/null || cd /\n"                                                   \
	"fi\n"                                                                                     \
	"file=\n"                                                                                  \
	"case $command in\n"                                                                       \
	"*/*) [ -e \"$command\" ] && file=$command;;\n"                                            \
	"?*)\n"                                                                                    \
	"	set -f\n"                                                                                \
	"	IFS=:\n"                                                                                 \
	"	for dir in $path; do\n"                                                                  \
	"		[ -f \"$dir/$command\" ] || continue\n"                                                 \
	"		file=$dir/$command\n"                                                                   \
	"		[ -x \"$file\" ] && break\n"                                                            \
	"	done\n"                                                                                  \
	"	unset IFS;;\n"                                                                           \
	"esac\n"                                                                                   \
	"[ -n \"$file\" ] || { say missing; exit 1; }\n"                                           \
	"[ -f \"$file\" ] && [ -x \"$file\" ] || { say denied; exit 1; }\n"                        \
	"say ok\n"                                                                                 \
	"exec env -i \"$@\"\n"

/* The first, run as root. What gives up its rights there is in a guest differs: coreutils' chroot
 * or util-linux's setpriv set all groups; busybox has only su, for users with a name. (A
 * shell of busybox's takes its own chroot for any that has no path.) */
#define AS_ROOT                                                                                    \
	"if [ -z \"$home\" ]; then\n"                                                              \
	"	while IFS=: read -r a b c d e f g; do\n"                                                 \
	"		[ \"$c\" = 0 ] && home=$f && break\n"                                                   \
	"	done 2>/dev/null </etc/passwd\n"                                                         \
	"	: \"${home:=/root}\"\n"                                                                  \
	"fi\n"                                                                                     \
	"set -- \"PATH=$PATH\" \"HOME=$home\" TERM=" TERM_DEFAULT " \"$@\"\n"                      \
	"set -- sh -c '" AS_USER                                                                   \
	"' sh \"$home\" \"$cwd\" \"$path\" \"$token\" \"$command\" \"$@\"\n"                       \
	"umask 022\n"                                                                              \
	"[ \"$uid:$gid\" = 0:0 ] && exec \"$@\"\n"                                                 \
	"for dir in /usr/sbin /usr/bin /sbin /bin; do\n"                                           \
	"	\"$dir/chroot\" --userspec=0:0 --groups=0 / true 2>/dev/null || continue\n"              \
	"	exec \"$dir/chroot\" --userspec=\"$uid:$gid\" --groups=\"$groups\" / \"$@\"\n"           \
	"done\n"                                                                                   \
	"if setpriv --reuid 0 --regid 0 --clear-groups true 2>/dev/null; then\n"                   \
	"	exec setpriv --reuid \"$uid\" --regid \"$gid\" --groups \"$groups\" \"$@\"\n"            \
	"elif [ -n \"$name\" ] && command -v su >/dev/null; then\n"                                \
	"	exec su -s /bin/sh \"$name\" -c 'exec \"$@\"' sh \"$@\"\n"                               \
	"fi\n"                                                                                     \
	"printf '%s user\\n' \"$token\" >&2\n"                                                     \
	"exit 1\n"

bool launch_is_root(const char *user)
{
	return !user || strcmp(user, "root") == 0;
}

/* --- Rendering ------------------------------------------------------------------------------- */

static void add_variable(struct strbuf *buf, const char *name, const char *value)
{
	strbuf_addf(buf, "%s=", name);
	quote_add(buf, value);
	strbuf_add(buf, "\n");
}

static void add_user(struct strbuf *buf, const struct launch *launch)
{
	const struct user *u = launch->user;
	const char *who = launch->exec->user;

	if (!u) {
		strbuf_add(buf, "uid=0 gid=0 home=\n");
		return;
	}
	strbuf_addf(buf, "uid=%u gid=%u groups=%u", u->uid, u->gid, u->gid);
	for (size_t i = 0; i < u->groups_count; i++)
		strbuf_addf(buf, ",%u", u->groups[i]);
	strbuf_add(buf, "\n");
	add_variable(buf, "home", u->home[0] ? u->home : "/");
	/* su knows names, and the groups that belong to them. */
	add_variable(
		buf, "name", who[strcspn(who, ":")] || (*who >= '0' && *who <= '9') ? "" : who);
}

static int check_environment(const char *const *env, struct err *err)
{
	for (; env && *env; env++)
		if (!strchr(*env, '=') || **env == '=')
			return err_set(err, ERR_INVALID, "env",
				"\"%.60s\" is no KEY=VALUE of an environment", *env);
	return 0;
}

static const char *path_of(const char *const *env)
{
	const char *path = PATH_DEFAULT;

	for (; env && *env; env++)
		if (strncmp(*env, "PATH=", 5) == 0)
			path = *env + 5;
	return path;
}

/* What env(1) is given: assignments, then the command. It would take a command with an equals sign
 * for one of them. */
static void add_words(struct strbuf *buf, const struct driver_exec *exec)
{
	static const char *const through_shell[] = {"sh", "-c", "exec \"$@\"", "sh", NULL};
	const char *const *const lists[] = {
		exec->env, strchr(exec->argv[0], '=') ? through_shell : NULL, exec->argv};

	strbuf_add(buf, "set --");
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		for (const char *const *word = lists[i]; word && *word; word++) {
			strbuf_add(buf, " ");
			quote_add(buf, *word);
		}
	strbuf_add(buf, "\n");
}

/* As themselves, so that they can be opened again by /dev/stderr and the like. */
#define TAKE_FIFOS                                                                                 \
	"exec <\"$dir/in\" >\"$dir/out\" 2>\"$dir/err\"\n"                                         \
	"chown \"$uid\" \"$dir/in\" \"$dir/out\" \"$dir/err\" 2>/dev/null\n"
#define TAKE_TERMINAL "[ \"$uid\" = 0 ] || chown \"$uid\" \"$(tty)\" 2>/dev/null\n"

int launch_render(const struct launch *launch, char **ret, struct err *err)
{
	const struct driver_exec *exec = launch->exec;
	CLEANUP(strbuf_finish) struct strbuf buf = {0};
	int r = check_environment(exec->env, err);

	if (r < 0)
		return r;
	strbuf_add(&buf, "PATH=" PATH_DEFAULT "\nexport PATH\ndir=${0%/*}\n");
	add_user(&buf, launch);
	strbuf_add(&buf, launch->fifos ? TAKE_FIFOS : "rm -rf \"$dir\"\n");
	strbuf_add(&buf, exec->terminal ? TAKE_TERMINAL : "");
	add_variable(&buf, "token", launch->token);
	add_variable(&buf, "cwd", exec->cwd ? exec->cwd : "");
	add_variable(&buf, "path", path_of(exec->env));
	add_variable(&buf, "command", exec->argv[0]);
	add_words(&buf, exec);
	strbuf_add(&buf, AS_ROOT);
	*ret = strbuf_take(&buf);
	return *ret ? 0 : err_errno(err, ENOMEM, "no memory for a command");
}

/* --- What it tells --------------------------------------------------------------------------- */

static int fail_missing(const struct driver_exec *exec, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "command", "the guest has no command \"%.200s\"",
		exec->argv[0]);
}

static int fail_denied(const struct driver_exec *exec, struct err *err)
{
	return err_set(err, ERR_INVALID, "command", "%.200s cannot be executed", exec->argv[0]);
}

static int fail_cwd(const struct driver_exec *exec, struct err *err)
{
	return err_set(err, ERR_INVALID, "cwd",
		"%.200s: is no directory of the guest that the user may enter", exec->cwd);
}

static int fail_user(const struct driver_exec *exec, struct err *err)
{
	return err_set(err, ERR_UNSUPPORTED, "user",
		"nothing in the guest becomes the user %.60s: it needs chroot of coreutils or "
		"setpriv of util-linux",
		exec->user ? exec->user : "root");
}

static const struct {
	const char *word;
	int (*fail)(const struct driver_exec *exec, struct err *err); /* NULL: it is executed */
} WORDS[] = {
	{"ok", NULL},
	{"missing", fail_missing},
	{"denied", fail_denied},
	{"cwd", fail_cwd},
	{"user", fail_user},
};

static enum launch_word read_word(
	const struct launch *launch, const char *word, size_t length, struct err *err)
{
	if (length > 0 && word[length - 1] == '\r') /* by a terminal */
		length--;
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++) {
		if (strlen(WORDS[i].word) != length || memcmp(WORDS[i].word, word, length) != 0)
			continue;
		if (!WORDS[i].fail)
			return LAUNCH_OK;
		WORDS[i].fail(launch->exec, err);
		return LAUNCH_FAILED;
	}
	err_set(err, ERR_DRIVER, NULL, "the guest's shell tells what makes no sense");
	return LAUNCH_FAILED;
}

enum launch_word launch_read(const struct launch *launch, const char *text, size_t size,
	size_t *ret_end, struct err *err)
{
	size_t n = strlen(launch->token);
	const char *found = size ? memmem(text, size, launch->token, n) : NULL;
	const char *word = found ? found + n + 1 : NULL;
	const char *end = word && word < text + size
				  ? memchr(word, '\n', size - (size_t)(word - text))
				  : NULL;

	if (end) {
		*ret_end = (size_t)(end - text) + 1;
		return read_word(launch, word, (size_t)(end - word), err);
	}
	if (size <= LAUNCH_LINE_MAX)
		return LAUNCH_MORE;
	err_set(err, ERR_DRIVER, NULL, "the guest's shell does not begin: %.100s", text);
	return LAUNCH_NONE;
}
