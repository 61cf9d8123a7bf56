/* Destroying guests: only by an explicit word, given on the command line or asked for. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "cli/args.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/each.h"
#include "cli/text.h"
#include "cli/url.h"

static int destroy_one(struct cli *cli, const struct args *args, const char *name, struct err *err)
{
	struct strbuf buf = {0};
	AUTOFREE char *path = NULL;

	(void)args;
	url_path(&buf, "/v1/guests/%s", name);
	url_query(&buf, "destroy", "true");
	path = strbuf_take(&buf);
	return change_run(cli,
		&(struct change){
			.method = "DELETE",
			.path = path,
			.subject = name,
			.past = "destroyed",
		},
		err);
}

static void print_question(struct cli *cli, const struct args *args)
{
	struct strbuf buf = {0};
	AUTOFREE char *names = NULL;

	for (size_t i = 0; i < args->operands_count; i++) {
		strbuf_add(&buf, i ? ", " : "");
		text_escape(&buf, args->operands[i]);
	}
	names = strbuf_take(&buf);
	fprintf(cli->err_out, "Destroy %s and all that is in it? Type yes: ", names ? names : "");
	fflush(cli->err_out);
}

static int confirm(struct cli *cli, const struct args *args, struct err *err)
{
	AUTOFREE char *line = NULL;
	size_t room = 0;

	if (args_has(args, "yes") || cli->dry_run)
		return 0;
	if (!isatty(STDIN_FILENO))
		return err_set(err, ERR_INVALID, NULL,
			"this destroys guests and all they hold: say --yes");
	print_question(cli, args);
	if (getline(&line, &room, stdin) < 0 || strcmp(line, "yes\n") != 0)
		return err_set(err, ERR_CANCELLED, NULL, "nothing was destroyed");
	return 0;
}

int cmd_destroy(struct cli *cli, const struct args *args, struct err *err)
{
	int r = confirm(cli, args, err);

	return r < 0 ? r : each_operand(cli, args, destroy_one, err);
}
