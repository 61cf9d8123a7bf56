/* Commands that give a name: rename, clone. */
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/show.h"
#include "cli/url.h"

static void say_renamed(struct cli *cli, const char *subject, const json_t *guest)
{
	cli_say(cli, "%s: is %s now", subject, json_text(guest, "name"));
}

int cmd_rename(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/actions/rename", args->operands[0]);
	json_auto_t *body = json_pack("{s:s}", "name", args->operands[1]);

	if (!body)
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
	AUTOFREE char *path = url_of("/v1/guests/%s/actions/clone", args->operands[0]);
	const char *snapshot = args_value(args, "snapshot");
	json_auto_t *body = NULL;
	int r = body_for_new(args, args->operands[1], &body, err);

	if (r == 0 && snapshot)
		r = body_set(body, "snapshot", json_string(snapshot), err);
	if (r < 0)
		return r;
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
