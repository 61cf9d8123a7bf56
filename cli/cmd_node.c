/* Commands about the node and its operations: node, slots, operations, operation, cancel. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/cmd_mode.h"
#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/list.h"
#include "cli/show.h"
#include "cli/url.h"

#define OPERATIONS_SHOWN "50"

int cmd_node(struct cli *cli, const struct args *args, struct err *err)
{
	const char *option = args_value(args, "mode");
	const char *mode = args->operands_count > 0 ? args->operands[0] : option;

	if (option && args->operands_count > 0)
		return err_set(err, ERR_INVALID, NULL, "say the mode once");
	if (args_has(args, "stop") && !mode)
		return err_set(err, ERR_INVALID, NULL,
			"--stop goes with a mode: corpus node maintenance --stop");
	if (mode)
		return change_mode(cli, mode, args_has(args, "stop"), err);
	return fetch_and_show(cli, "/v1/node", show_node, err);
}

int cmd_slots(struct cli *cli, const struct args *args, struct err *err)
{
	(void)args;
	return fetch_and_show(cli, "/v1/node/slots", show_slots, err);
}

int cmd_operations(struct cli *cli, const struct args *args, struct err *err)
{
	const char *limit = args_value(args, "limit");
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	strbuf_add(&buf, "/v1/operations");
	url_query(&buf, "target", args_value(args, "target"));
	url_query(&buf, "limit", limit ? limit : OPERATIONS_SHOWN);
	url_query(&buf, "before", args_value(args, "before"));
	path = strbuf_take(&buf);
	return list_run(cli, args, path, &LIST_OPERATIONS, err);
}

int cmd_operation(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/operations/%s", args->operands[0]);

	if (args_has(args, "wait"))
		return change_follow(cli, args->operands[0], err);
	return fetch_and_show(cli, path, show_operation, err);
}

static int ask_to_cancel(struct cli *cli, const char *id, struct response *ret, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/operations/%s", id);

	*ret = (struct response){0};
	return client_perform(
		cli->client, &(struct request){.method = "DELETE", .path = path}, ret, err);
}

/* The end that is waited for is that of the operation; to be cancelled is what was wanted. */
static int wait_for_cancel(struct cli *cli, const char *id, struct err *err)
{
	int r = change_follow(cli, id, err);

	if (r < 0 && err->code == ERR_CANCELLED && !cli_interrupted()) {
		if (!cli->json)
			cli_say(cli, "%s: cancelled", id);
		return 0;
	}
	return r;
}

int cmd_cancel(struct cli *cli, const struct args *args, struct err *err)
{
	const char *id = args->operands[0];
	CLEANUP(response_finish) struct response answer;
	int r;

	if (cli->dry_run)
		return err_set(err, ERR_INVALID, NULL, "a cancel has no --dry-run");
	r = ask_to_cancel(cli, id, &answer, err);
	if (r == 0 && cli->wait)
		return wait_for_cancel(cli, id, err);
	if (cli->json && answer.text)
		change_print_json(cli, answer.text);
	else if (r == 0)
		cli_say(cli, "%s: asked to stop", id);
	return r;
}
