/* Reads that end in a table or in JSON. */
#include "cli/fetch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"

int fetch(struct cli *cli, const char *path, struct response *ret, struct err *err)
{
	int r = client_perform(
		cli->client, &(struct request){.method = "GET", .path = path}, ret, err);

	if (r < 0) {
		if (cli->json && ret->text)
			change_print_json(cli, ret->text);
		response_finish(ret);
	}
	return r;
}

int fetch_and_show(struct cli *cli, const char *path, void (*show)(struct cli *, const json_t *),
	struct err *err)
{
	CLEANUP(response_finish) struct response answer;
	int r = fetch(cli, path, &answer, err);

	if (r < 0)
		return r;
	if (cli->json)
		change_print_json(cli, answer.text);
	else
		show(cli, answer.json);
	return 0;
}
