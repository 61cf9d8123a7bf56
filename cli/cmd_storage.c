/* Commands about a guest's storage: storage, enlarge, trim. */
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
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
	AUTOFREE char *path = url_of("/v1/guests/%s/storage", args->operands[0]);

	return fetch_and_show(cli, path, show_storage, err);
}

static void say_size(struct cli *cli, const char *subject, const json_t *guest)
{
	const char *file_system = json_text(guest, "file_system");

	cli_say(cli, "%s: has %s of storage now%s", subject, V_SIZE(guest, "storage.size"),
		strcmp(file_system, "grown") == 0	? ", and so has its file system"
		: strcmp(file_system, "next_boot") == 0 ? "; its file system grows at its next boot"
							: "");
}

static void say_discarded(struct cli *cli, const char *subject, const json_t *guest)
{
	cli_say(cli, "%s: returned %s that it does not use", subject, V_SIZE(guest, "discarded"));
}

/* {"size": …}, {"to": …}, or nothing: the usual step. */
static int resize_body(const struct args *args, json_t **ret, struct err *err)
{
	const char *to = args_value(args, "to");
	const char *size = args->operands_count > 1 ? args->operands[1] : NULL;

	bool discard = args_has(args, "discard"), restart = args_has(args, "restart");

	if (to && size)
		return err_set(err, ERR_INVALID, NULL, "either SIZE or --to, not both");
	if (discard && (to || size || restart))
		return err_set(err, ERR_INVALID, NULL,
			"--discard leaves the size as it is: give it alone");
	*ret = to || size || discard || restart ? json_object() : NULL;
	if (to || size)
		json_object_set_new(*ret, to ? "to" : "size", json_string(to ? to : size));
	if (discard || restart)
		json_object_set_new(*ret, discard ? "discard" : "restart", json_true());
	return 0;
}

static int resize(struct cli *cli, const struct args *args, const char *verb, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/storage/%s", args->operands[0], verb);
	json_auto_t *body = NULL;
	int r = resize_body(args, &body, err);

	if (r < 0)
		return r;
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = args_has(args, "discard") ? say_discarded : say_size,
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
