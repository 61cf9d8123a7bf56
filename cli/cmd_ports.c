/* Commands about published ports: ports, publish, unpublish, switch. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/body.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/list.h"
#include "cli/text.h"
#include "cli/url.h"

int cmd_ports(struct cli *cli, const struct args *args, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	if (args->operands_count > 0)
		url_path(&buf, "/v1/guests/%s/ports", args->operands[0]);
	else
		strbuf_add(&buf, "/v1/ports");
	path = strbuf_take(&buf);
	return list_run(cli, args, path, &LIST_PORTS, err);
}

static void say_port(struct cli *cli, const char *subject, const json_t *port)
{
	AUTOFREE char *name = text_escaped(json_text(port, "name"));

	if (!port)
		cli_say(cli, "%s: done", subject);
	else
		cli_say(cli, "port %s/%s leads to port %s of %s", V_NUMBER(port, "host"),
			json_text(port, "proto"), V_NUMBER(port, "guest"), name ? name : "");
}

/* --- publish --------------------------------------------------------------------------------- */

/* "[HOST:]GUEST[/udp]" as {proto, host, guest, purpose}. */
static int read_port(const struct args *args, json_t **ret, struct err *err)
{
	const char *word = args->operands[1], *slash = strchr(word, '/');
	const char *purpose = args_value(args, "purpose");
	bool udp = slash && strcmp(slash, "/udp") == 0;
	AUTOFREE char *spec = NULL;
	int r;

	if ((slash && !udp && strcmp(slash, "/tcp") != 0))
		return err_set(
			err, ERR_INVALID, NULL, "%s is not a port: [HOST:]GUEST[/udp]", word);
	if (asprintf(&spec, "%s:%.*s", udp ? "udp" : "tcp", (int)strcspn(word, "/"), word) < 0)
		return err_errno(err, ENOMEM, "making a request");
	r = body_port(spec, ret, err);
	if (r == 0 && purpose)
		r = body_set(*ret, "purpose", json_string(purpose), err);
	return r;
}

/* On a port that is named: PUT; on any free one: POST. */
int cmd_publish(struct cli *cli, const struct args *args, struct err *err)
{
	const char *guest = args->operands[0];
	json_auto_t *port = NULL;
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	int r = read_port(args, &port, err);
	bool named = r == 0 && json_number(port, "host") > 0;

	if (r < 0)
		return r;
	url_path(&buf, "/v1/guests/%s/ports", guest);
	if (named) {
		strbuf_addf(&buf, "/%s/%s", json_text(port, "proto"), V_NUMBER(port, "host"));
		json_object_del(port, "proto");
		json_object_del(port, "host");
	}
	path = strbuf_take(&buf);
	return change_run(cli,
		&(struct change){
			.method = named ? "PUT" : "POST",
			.path = path,
			.body = port,
			.subject = guest,
			.say = say_port,
		},
		err);
}

/* --- unpublish, switch ----------------------------------------------------------------------- */

int cmd_unpublish(struct cli *cli, const struct args *args, struct err *err)
{
	const char *proto;
	unsigned port;
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;
	int r = body_port_number(args->operands[1], &port, &proto, err);

	if (r < 0)
		return r;
	url_path(&buf, "/v1/guests/%s/ports/%s", args->operands[0], proto);
	strbuf_addf(&buf, "/%u", port);
	path = strbuf_take(&buf);
	return change_run(cli,
		&(struct change){
			.method = "DELETE",
			.path = path,
			.subject = args->operands[0],
			.past = "port taken back",
		},
		err);
}

static int switch_body(const struct args *args, json_t **ret, struct err *err)
{
	const char *to = args_value(args, "to"), *inside = args_value(args, "port");
	json_auto_t *body = json_object();
	const char *proto;
	unsigned port;
	int r;

	if (!to)
		return err_set(
			err, ERR_INVALID, NULL, "--to is needed: the guest it shall lead to");
	r = body_set(body, "to", json_string(to), err);
	if (r == 0 && inside)
		r = body_port_number(inside, &port, &proto, err);
	if (r == 0 && inside)
		r = body_set(body, "guest", json_integer(port), err);
	if (r == 0 && args_has(args, "flush"))
		r = body_set(body, "flush", json_true(), err);
	if (r == 0)
		*ret = TAKE_PTR(body);
	return r;
}

int cmd_switch(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *body = NULL;
	AUTOFREE char *path = NULL;
	const char *proto;
	unsigned port;
	int r = body_port_number(args->operands[0], &port, &proto, err);

	if (r == 0)
		r = switch_body(args, &body, err);
	if (r < 0)
		return r;
	if (asprintf(&path, "/v1/ports/%s/%u/switch", proto, port) < 0)
		return err_errno(err, ENOMEM, "making a request");
	return change_run(cli,
		&(struct change){
			.method = "POST",
			.path = path,
			.body = body,
			.subject = args->operands[0],
			.say = say_port,
		},
		err);
}
