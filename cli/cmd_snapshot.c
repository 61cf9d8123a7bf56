/* Commands about snapshots: list, create, delete, restore. */
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/list.h"
#include "cli/show.h"
#include "cli/table.h"
#include "cli/url.h"

/* --- list ------------------------------------------------------------------------------------ */

int cmd_snapshot_list(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/snapshots", args->operands[0]);

	return list_run(cli, args, path, &LIST_SNAPSHOTS, err);
}

/* --- create, delete -------------------------------------------------------------------------- */

static void say_snapshot(struct cli *cli, const char *subject, const json_t *snapshot)
{
	bool memory = json_is_true(json_at(snapshot, "memory"));

	cli_say(cli, "%s: snapshot %s%s", subject, json_text(snapshot, "name"),
		memory ? ", with memory" : "");
}

int cmd_snapshot_create(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/snapshots", args->operands[0]);
	const char *name = args->operands_count > 1 ? args->operands[1] : NULL;
	bool memory = args_has(args, "memory");
	json_auto_t *body = name || memory ? json_pack("{s:s*}", "name", name) : NULL;

	if (memory)
		json_object_set_new(body, "memory", json_true());
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = say_snapshot,
		},
		err);
}

static int delete_one(struct cli *cli, const char *guest, const char *snapshot, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/snapshots/%s", guest, snapshot);

	return change_run(cli,
		&(struct change){
			.method = "DELETE",
			.path = path,
			.subject = snapshot,
			.past = "deleted",
		},
		err);
}

int cmd_snapshot_delete(struct cli *cli, const struct args *args, struct err *err)
{
	int r = 0;

	for (size_t i = 1; i < args->operands_count && r == 0; i++)
		r = delete_one(cli, args->operands[0], args->operands[i], err);
	return r;
}

/* --- restore --------------------------------------------------------------------------------- */

static void say_restored(struct cli *cli, const char *subject, const json_t *guest)
{
	cli_say(cli, "%s: restored, %s", subject, json_text(guest, "state"));
}

static int restore_body(const struct args *args, json_t **ret, struct err *err)
{
	bool start = args_has(args, "start"), no_start = args_has(args, "no-start");
	bool no_memory = args_has(args, "no-memory");

	if (start && no_start)
		return err_set(err, ERR_INVALID, NULL, "either --start or --no-start, not both");
	*ret = start || no_start || no_memory ? json_object() : NULL;
	if (start || no_start)
		json_object_set_new(*ret, "start", json_boolean(start));
	if (no_memory)
		json_object_set_new(*ret, "memory", json_false());
	return 0;
}

int cmd_restore(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path =
		url_of("/v1/guests/%s/snapshots/%s/restore", args->operands[0], args->operands[1]);
	json_auto_t *body = NULL;
	int r = restore_body(args, &body, err);

	if (r < 0)
		return r;
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = say_restored,
		},
		err);
}
