/* Commands about guests: list, show, create, apply, set, start, stop, restart, kill, freeze,
 * thaw. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/fetch.h"
#include "cli/list.h"
#include "cli/show.h"
#include "cli/url.h"

#define APPLY_MAX (16 * 1024 * 1024)

/* --- list, show ------------------------------------------------------------------------------ */

/* All --label values as the API takes them: joined by commas. */
static char *joined_labels(const struct args *args)
{
	struct strbuf buf = {0};
	size_t position = 0;
	const char *label;

	while ((label = args_next(args, "label", &position))) {
		strbuf_add(&buf, buf.used ? "," : "");
		strbuf_add(&buf, label);
	}
	return strbuf_take(&buf);
}

static char *list_path(const struct args *args)
{
	static const struct {
		const char *option, *parameter;
	} FILTERS[] = {{"state", "state"}, {"driver", "driver"}, {"image", "image"},
		{"fields", "fields"}, {"limit", "limit"}, {"after", "after"}};
	const char *environment = args_value(args, "environment");
	AUTOFREE char *labels = joined_labels(args);
	struct strbuf buf = {0};

	strbuf_add(&buf, "/v1/guests");
	for (size_t i = 0; i < ARRAY_SIZE(FILTERS); i++)
		url_query(&buf, FILTERS[i].parameter, args_value(args, FILTERS[i].option));
	url_query(&buf, "environment", environment ? environment : args_value(args, "env"));
	url_query(&buf, "label", labels && *labels ? labels : NULL);
	url_query(
		&buf, "name", args->operands_count ? args->operands[0] : args_value(args, "name"));
	return strbuf_take(&buf);
}

int cmd_list(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = NULL;

	if (args_has(args, "fields") && !cli->json)
		return err_set(err, ERR_INVALID, NULL, "--fields is for --json");
	path = list_path(args);
	return list_run(cli, args, path, &LIST_GUESTS, err);
}

/* What it uses is left out where nobody measures it. */
static void show_with_stats(struct cli *cli, const char *name, const json_t *guest)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/stats", name);
	CLEANUP(response_finish) struct response stats = {0};

	if (path && client_perform(cli->client, &(struct request){.method = "GET", .path = path},
			    &stats, NULL) < 0)
		response_finish(&stats);
	show_guest(cli, guest, stats.json);
}

int cmd_show(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s", args->operands[0]);
	CLEANUP(response_finish) struct response guest = {0};
	int r = fetch(cli, path, &guest, err);

	if (r < 0)
		return r;
	if (cli->json)
		change_print_json(cli, guest.text);
	else
		show_with_stats(cli, args->operands[0], guest.json);
	return 0;
}

/* --- create, apply, set ---------------------------------------------------------------------- */

int cmd_create(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = NULL;
	int r;

	if (!args_has(args, "image"))
		return err_set(err, ERR_INVALID, NULL,
			"--image is needed: `corpus image list` shows which there are");
	r = body_for_new(args, args->operands[0], &body, err);
	if (r < 0)
		return r;
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = "/v1/guests",
			.body = body,
			.subject = args->operands[0],
			.say = show_guest_access,
		},
		err);
}

static int read_all(const char *file, char **ret, struct err *err)
{
	int r = file_read(strcmp(file, "-") == 0 ? "/dev/stdin" : file, APPLY_MAX, ret, NULL);

	return r < 0 ? err_set(err, ERR_INVALID, NULL, "%s: %s", file, strerrordesc_np(-r)) : 0;
}

static int apply_one(struct cli *cli, const json_t *guest, struct err *err)
{
	const char *name = json_text(guest, "name");
	AUTOFREE char *path = url_of("/v1/guests/%s", name);

	if (!*name)
		return err_set(err, ERR_INVALID, "name", "every guest needs a name");
	return change_run(cli,
		&(struct change){
			.method = "PUT",
			.path = path,
			.body = guest,
			.subject = name,
			.say = show_guest_access,
		},
		err);
}

/* Each guest for itself; the first failure is the result. */
static int apply_all(struct cli *cli, const json_t *guests, struct err *err)
{
	const json_t *guest;
	size_t i;
	int result = 0;

	json_array_foreach (guests, i, guest) {
		struct err failure = {0};
		int r = cli_interrupted() ? err_set(&failure, ERR_CANCELLED, NULL, "interrupted")
					  : apply_one(cli, guest, &failure);

		if (r < 0) {
			cli_report(cli, json_text(guest, "name"), &failure);
			cli->reported = true;
		}
		if (r < 0 && result == 0) {
			*err = failure;
			result = r;
		}
	}
	return result;
}

int cmd_apply(struct cli *cli, const struct args *args, struct err *err)
{
	const char *file = args_value(args, "file");
	AUTOFREE char *text = NULL;
	json_auto_t *json = NULL;
	json_error_t where;
	int r;

	if (!file)
		return err_set(err, ERR_INVALID, NULL, "--file is needed; - is standard input");
	r = read_all(file, &text, err);
	if (r < 0)
		return r;
	json = json_loads(text, JSON_REJECT_DUPLICATES, &where);
	if (!json)
		return err_set(
			err, ERR_MALFORMED, NULL, "%s, line %d: %s", file, where.line, where.text);
	return json_is_array(json) ? apply_all(cli, json, err) : apply_one(cli, json, err);
}

int cmd_set(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s", args->operands[0]);
	json_auto_t *patch = json_object();

	if (!patch)
		return err_errno(err, ENOMEM, "making a request");
	for (size_t i = 1; i < args->operands_count; i++) {
		int r = body_add_assignment(patch, args->operands[i], err);

		if (r < 0)
			return r;
	}
	return change_run(cli,
		&(struct change){
			.method = "PATCH",
			.path = path,
			.body = patch,
			.subject = args->operands[0],
			.past = "changed",
		},
		err);
}

/* --- From state to state --------------------------------------------------------------------- */

static int act(struct cli *cli, const char *name, const char *action, const json_t *body,
	const char *past, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/actions/%s", name, action);

	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = name,
			.past = past,
		},
		err);
}

static int act_gracefully(struct cli *cli, const struct args *args, const char *name,
	const char *action, const char *past, struct err *err)
{
	const char *grace = args_value(args, "grace");
	json_auto_t *body = grace ? json_pack("{s:s}", "timeout", grace) : NULL;

	return act(cli, name, action, body, past, err);
}

static int start_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	(void)args;
	return act(cli, name, "start", NULL, "started", err);
}

static int stop_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	return act_gracefully(cli, args, name, "stop", "stopped", err);
}

static int restart_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	return act_gracefully(cli, args, name, "restart", "restarted", err);
}

static int kill_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	(void)args;
	return act(cli, name, "kill", NULL, "killed", err);
}

static int freeze_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	(void)args;
	return act(cli, name, "freeze", NULL, "frozen", err);
}

static int thaw_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	(void)args;
	return act(cli, name, "thaw", NULL, "thawed", err);
}

int cmd_start(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, start_one, err);
}

int cmd_stop(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, stop_one, err);
}

int cmd_restart(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, restart_one, err);
}

int cmd_kill(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, kill_one, err);
}

int cmd_freeze(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, freeze_one, err);
}

int cmd_thaw(struct cli *cli, const struct args *args, struct err *err)
{
	return each_operand(cli, args, thaw_one, err);
}
