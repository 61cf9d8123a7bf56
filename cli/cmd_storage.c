/* Commands about a guest's storage: storage, enlarge, trim. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/fetch.h"
#include "cli/show.h"
#include "cli/url.h"

int cmd_storage(struct cli *cli, const struct args *args, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	url_path(&buf, "/v1/guests/%s/storage", args->operands[0]);
	path = strbuf_take(&buf);
	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	return fetch_and_show(cli, path, show_storage, err);
}

static void say_size(struct cli *cli, const char *subject, const json_t *guest)
{
	cli_say(cli, "%s: has %s of storage now", subject, V_SIZE(guest, "storage.size"));
}

/* {"size": …}, {"to": …}, or nothing: the usual step. */
static int resize_body(const struct args *args, json_t **ret, struct err *err)
{
	const char *to = args_value(args, "to");
	const char *size = args->operands_count > 1 ? args->operands[1] : NULL;

	if (to && size)
		return err_set(err, ERR_INVALID, NULL, "either SIZE or --to, not both");
	*ret = to ? json_pack("{s:s}", "to", to) : size ? json_pack("{s:s}", "size", size) : NULL;
	return 0;
}

static int resize(struct cli *cli, const struct args *args, const char *verb, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	json_auto_t *body = NULL;
	int r = resize_body(args, &body, err);

	if (r < 0)
		return r;
	url_path(&buf, "/v1/guests/%s/storage/%s", args->operands[0], verb);
	path = strbuf_take(&buf);
	if (!path)
		return err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = say_size,
		},
		err);
}

int cmd_enlarge(struct cli *cli, const struct args *args, struct err *err)
{
	return resize(cli, args, "enlarge", err);
}

int cmd_trim(struct cli *cli, const struct args *args, struct err *err)
{
	return resize(cli, args, "trim", err);
}
