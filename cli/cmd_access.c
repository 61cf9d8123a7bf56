/* Commands about who comes in and who did what: password, key list, key add, key remove, audit. */
#include <stdlib.h>
#include <string.h>

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
#include "cli/keys.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/url.h"
#include "model/ssh_key.h"

/* How often a change of the same guest by others is given way to. */
#define OVERTAKEN_MAX 16

/* --- password -------------------------------------------------------------------------------- */

static void show_password(struct cli *cli, const json_t *credentials)
{
	AUTOFREE char *password = text_escaped(json_text(credentials, "password"));

	fprintf(cli->out, "%s\n", password ? password : "");
}

int cmd_password(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s/credentials", args->operands[0]);
	CLEANUP(response_finish) struct response response = {0};
	int r = fetch(cli, path, &response, err);

	if (r < 0)
		return r;
	if (cli->json)
		change_print_json(cli, response.text);
	else if (!*json_text(response.json, "password"))
		return err_set(err, ERR_UNSUPPORTED, NULL,
			"root has no password: the image has no /etc/shadow");
	else
		show_password(cli, response.json);
	return 0;
}

/* --- keys ------------------------------------------------------------------------------------ */

/* Type, the end of the key, comment: what one tells keys apart by. */
static void show_keys(struct cli *cli, const json_t *guest)
{
	static const struct table_column COLUMNS[] = {{"TYPE"}, {"KEY"}, {"COMMENT"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *key;
	size_t i;

	json_array_foreach (json_at(guest, "ssh_keys"), i, key) {
		AUTOFREE char *copy = strdup(json_string_value(key));
		char *rest = copy;
		const char *type = strsep(&rest, " "), *base64 = strsep(&rest, " ");
		size_t length = base64 ? strlen(base64) : 0;
		AUTOFREE char *end = NULL;

		if (asprintf(&end, "...%s",
			    length > 16 ? base64 + length - 16 : (base64 ? base64 : "")) < 0)
			end = NULL;
		table_add(table, (const char *const[]){type, end, rest});
	}
	table_print(table, cli->out, cli->colour);
}

int cmd_key_list(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *path = url_of("/v1/guests/%s", args->operands[0]);

	return fetch_and_show(cli, path, show_keys, err);
}

static bool holds(const json_t *keys, const char *key)
{
	const json_t *other;
	size_t i;

	json_array_foreach (keys, i, other)
		if (ssh_key_same(json_string_value(other), key))
			return true;
	return false;
}

/* Those of `keys` that are not in `without`. */
static json_t *difference(const json_t *keys, const json_t *without)
{
	json_t *rest = json_array();
	json_t *key;
	size_t i;

	json_array_foreach (keys, i, key)
		if (!holds(without, json_string_value(key)))
			json_array_append(rest, key);
	return rest;
}

/* What the keys become; fails when there is nothing to do that for. */
typedef int (*keys_fn)(const json_t *had, const json_t *given, json_t **ret, struct err *err);

static int add_keys(const json_t *had, const json_t *given, json_t **ret, struct err *err)
{
	json_auto_t *added = difference(given, had);

	(void)err;
	*ret = json_copy((json_t *)had);
	json_array_extend(*ret, added);
	return 0;
}

static int remove_keys(const json_t *had, const json_t *given, json_t **ret, struct err *err)
{
	*ret = difference(had, given);
	if (json_array_size(*ret) < json_array_size(had))
		return 0;
	json_decref(*ret);
	return err_set(err, ERR_NOT_FOUND, NULL,
		"the guest has no such key: `corpus key list` shows those it has");
}

/* Reads the keys and sends what they become, unless somebody changed the guest in between. */
static int change_keys_once(struct cli *cli, const char *guest, const json_t *given, keys_fn become,
	const char *past, struct err *err)
{
	CLEANUP(response_finish) struct response response = {0};
	AUTOFREE char *path = url_of("/v1/guests/%s", guest);
	json_auto_t *body = NULL;
	json_t *keys = NULL;
	int r = fetch(cli, path, &response, err);

	if (r == 0)
		r = become(json_at(response.json, "ssh_keys"), given, &keys, err);
	if (r < 0)
		return r;
	body = json_pack("{s:o}", "ssh_keys", keys);
	return change_run(cli,
		&(struct change){.method = "PATCH",
			.path = path,
			.body = body,
			.if_match = json_text(response.json, "etag"),
			.subject = guest,
			.past = past},
		err);
}

static int change_keys(
	struct cli *cli, const struct args *args, keys_fn become, const char *past, struct err *err)
{
	json_auto_t *given = NULL;
	int r = keys_read(args->operands[1], &given, err);

	for (int i = 0; r == 0 && i < OVERTAKEN_MAX; i++) {
		r = change_keys_once(cli, args->operands[0], given, become, past, err);
		if (r == 0 || err->code != ERR_PRECONDITION)
			break;
		r = i + 1 < OVERTAKEN_MAX ? 0 : r;
	}
	return r;
}

int cmd_key_add(struct cli *cli, const struct args *args, struct err *err)
{
	return change_keys(cli, args, add_keys, "may be entered with the key", err);
}

int cmd_key_remove(struct cli *cli, const struct args *args, struct err *err)
{
	return change_keys(cli, args, remove_keys, "may not be entered with the key any more", err);
}

/* --- audit ----------------------------------------------------------------------------------- */

static void add_record(struct table *table, const json_t *record)
{
	bool end = strcmp(json_text(record, "event"), "end") == 0;
	const char *user = json_text(record, "user"), *verb = json_text(record, "verb");
	AUTOFREE char *what = NULL;

	if (asprintf(&what, "%s %s", *verb ? verb : json_text(record, "method"),
		    *verb ? json_text(record, "target") : json_text(record, "path")) < 0)
		what = NULL;
	table_add(table, (const char *const[]){
				 V_TIME(record, "time"),
				 *user || end ? user : V_NUMBER(record, "uid"),
				 json_text(record, "command"),
				 what,
				 end ? json_text(record, "result") : V_NUMBER(record, "status"),
				 json_text(record, "operation"),
			 });
}

static void show_audit(struct cli *cli, const json_t *page)
{
	static const struct table_column COLUMNS[] = {{"TIME"}, {"USER"}, {"COMMAND"}, {"WHAT"},
		{"RESULT", .state = true}, {"OPERATION"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *record;
	size_t i;

	json_array_foreach (json_at(page, "records"), i, record)
		add_record(table, record);
	table_print(table, cli->out, cli->colour);
}

int cmd_audit(struct cli *cli, const struct args *args, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	strbuf_add(&buf, "/v1/audit");
	url_query(&buf, "limit", args_value(args, "limit"));
	path = strbuf_take(&buf);
	return fetch_and_show(cli, path, show_audit, err);
}
