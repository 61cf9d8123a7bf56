/* corpus edit: what can be changed of a guest, as YAML in the user's editor. What is different
 * afterwards is sent, for the guest as it was read; no text is lost when that is refused. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/url.h"
#include "cli/yaml.h"

#define TEXT_MAX (1 << 20)

/* What a patch may name, and what is said of it at the top. */
static const struct {
	const char *key, *help;
} PARTS[] = {
	{"slots", "slots of the node that it takes"},
	{"limits", "what it may use: cpus (1.5), sizes in bytes or as in 512MiB, null: no limit"},
	{"environment", "dev, staging, preprod or prod"},
	{"autostart", "whether it starts with the node, in which order, and the pause after it"},
	{"restart", "when it ends by itself: never, on-failure or always; max times in a row"},
	{"health", "null, or {check: http, port: 80, path: /}; tcp with port; exec with command"},
	{"labels", "key: value"},
	{"ssh_keys", "may log in as root"},
	{"raw", "lines of configuration for the driver; for admins only"},
	{"container", "what runs in it, from its next start; null: as its image says"},
};

struct edit {
	struct cli *cli;
	const char *guest;
	struct response read;
	json_t *before, *after;
	char *path; /* of the text; "" once it is not needed */
};

static void edit_finish(struct edit *edit)
{
	response_finish(&edit->read);
	json_decref(edit->before);
	json_decref(edit->after);
	free(edit->path);
}

/* --- The difference -------------------------------------------------------------------------- */

/* A merge patch (RFC 7396) that makes `before` into `after`; empty when they are the same. */
static json_t *make_patch(const json_t *before, const json_t *after)
{
	json_t *patch = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)after, key, value) {
		const json_t *old = json_object_get(before, key);

		if (old && json_equal(old, value))
			continue;
		if (json_is_object(old) && json_is_object(value))
			json_object_set_new(patch, key, make_patch(old, value));
		else
			json_object_set(patch, key, value);
	}
	json_object_foreach ((json_t *)before, key, value)
		if (!json_object_get(after, key) && !json_is_null(value))
			json_object_set_new(patch, key, json_null());
	return patch;
}

/* --- The text -------------------------------------------------------------------------------- */

static json_t *changeable_part(const json_t *guest)
{
	json_t *part = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++) {
		json_t *value = json_object_get(guest, PARTS[i].key);

		/* Only some guests have a container. */
		if (value && (!json_is_null(value) || strcmp(PARTS[i].key, "container") != 0))
			json_object_set(part, PARTS[i].key, value);
	}
	return part;
}

static int write_part(const struct edit *edit, FILE *out)
{
	fprintf(out,
		"# What can be changed of %s. What you take away is reset; nothing is sent\n"
		"# when nothing is different.\n#\n",
		edit->guest);
	for (size_t i = 0; i < ARRAY_SIZE(PARTS); i++)
		fprintf(out, "# %-12s %s\n", PARTS[i].key, PARTS[i].help);
	return yaml_print(edit->before, out);
}

static int copy_text(const char *from, FILE *out)
{
	AUTOFREE char *text = NULL;
	int r = file_read(from, TEXT_MAX, &text, NULL);

	if (r == 0 && fputs(text, out) == EOF)
		r = -EIO;
	return r;
}

/* `from`: a text that was kept, or NULL. */
static int write_text(struct edit *edit, const char *from, struct err *err)
{
	const char *folder = getenv("TMPDIR");
	CLEANUP(fclosep) FILE *out = NULL;
	int fd, r;

	if (asprintf(&edit->path, "%s/corpus-edit-XXXXXX.yaml",
		    folder && *folder ? folder : "/tmp") < 0) {
		edit->path = NULL;
		return err_errno(err, ENOMEM, "editing");
	}
	fd = mkostemps(edit->path, 5, O_CLOEXEC);
	out = fd < 0 ? NULL : fdopen(fd, "w");
	if (!out)
		return err_errno(err, errno, "cannot make %s", edit->path);
	r = from ? copy_text(from, out) : write_part(edit, out);
	if (r == 0 && fflush(out) != 0)
		r = -errno;
	if (r < 0)
		unlink(edit->path);
	return r < 0 ? err_errno(err, r, "writing %s", from ? from : edit->path) : 0;
}

/* The editor may be several words, as in "code --wait": a shell parts them. */
static int run_editor(const char *path, struct err *err)
{
	const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
	const char *command = visual && *visual ? visual : editor && *editor ? editor : "vi";
	AUTOFREE char *line = NULL;
	int status = 0;
	pid_t pid;

	if (asprintf(&line, "exec %s \"$1\"", command) < 0)
		return err_errno(err, ENOMEM, "starting the editor");
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", line, "sh", path, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0)
		return err_errno(err, errno, "starting the editor");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_CANCELLED, NULL,
			"the editor (%s) failed: set EDITOR to another one", command);
	return 0;
}

static int read_text(struct edit *edit, struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = file_read(edit->path, TEXT_MAX, &text, NULL);

	if (r < 0)
		return err_errno(err, r, "reading %s", edit->path);
	r = yaml_read(text, "the text", &edit->after, err);
	if (r == 0 && !json_is_object(edit->after))
		r = err_set(err, ERR_MALFORMED, NULL, "the text holds no settings");
	return r;
}

/* --- The change ------------------------------------------------------------------------------ */

static int send_patch(const struct edit *edit, const json_t *patch, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s", edit->guest);

	return change_run(edit->cli,
		&(struct change){.method = "PATCH",
			.path = path,
			.body = patch,
			.if_match = json_text(edit->read.json, "etag"),
			.subject = edit->guest,
			.past = "changed"},
		err);
}

static int edit_and_send(struct edit *edit, struct err *err)
{
	json_auto_t *patch = NULL;
	int r = run_editor(edit->path, err);

	if (r == 0)
		r = read_text(edit, err);
	if (r < 0)
		return r;
	patch = make_patch(edit->before, edit->after);
	if (json_object_size(patch) > 0)
		return send_patch(edit, patch, err);
	cli_say(edit->cli, "%s: not changed", edit->guest);
	return 0;
}

/* Says where the text is, beside what went wrong. */
static int keep_text(const struct edit *edit, struct err *err)
{
	const struct err why = *err;

	return err_set(err, why.code, *why.field ? why.field : NULL,
		"%s. Your text is in %s: `corpus edit %s --file %s` goes on with it", why.message,
		edit->path, edit->guest, edit->path);
}

int cmd_edit(struct cli *cli, const struct args *args, struct err *err)
{
	CLEANUP(edit_finish) struct edit edit = {.cli = cli, .guest = args->operands[0]};
	AUTOFREE char *path = url_of("/v1/guests/%s", edit.guest);
	int r = fetch(cli, path, &edit.read, err);

	if (r < 0)
		return r;
	edit.before = changeable_part(edit.read.json);
	r = write_text(&edit, args_value(args, "file"), err);
	if (r < 0)
		return r;
	r = edit_and_send(&edit, err);
	if (r < 0)
		return keep_text(&edit, err);
	unlink(edit.path);
	return 0;
}
