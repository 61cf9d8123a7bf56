/* Commands that give a name: rename, clone. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/url.h"

static char *action_path(const char *name, const char *action)
{
	struct strbuf buf = {0};

	url_path(&buf, "/v1/guests/%s/actions/%s", name, action);
	return strbuf_take(&buf);
}

static void say_renamed(struct cli *cli, const char *subject, const json_t *guest)
{
	cli_say(cli, "%s: is %s now", subject, json_text(guest, "name"));
}

int cmd_rename(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = action_path(args->operands[0], "rename");
	json_auto_t *body = json_pack("{s:s}", "name", args->operands[1]);

	if (!path || !body)
		return err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = say_renamed,
		},
		err);
}

int cmd_clone(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = action_path(args->operands[0], "clone");
	const char *snapshot = args_value(args, "snapshot");
	json_auto_t *body = NULL;
	int r = body_for_new(args, args->operands[1], &body, err);

	if (r == 0 && snapshot)
		r = body_set(body, "snapshot", json_string(snapshot), err);
	if (r < 0 || !path)
		return r < 0 ? r : err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[1],
			.say = show_guest_access,
		},
		err);
}
