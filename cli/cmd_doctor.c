/* corpus doctor: what of the host suits guests, and what to do about the rest. The agent is asked;
 * where none answers, its program is run by ourselves, and that is the first finding. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "cli/change.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/kinds.h"
#include "cli/show.h"
#include "cli/table.h"

#define DOCTOR_MS  30000 /* it asks the drivers, too */
#define REPORT_MAX (1 << 20)

/* --- Without an agent ------------------------------------------------------------------------ */

static int run_doctor(char **ret, struct err *err)
{
	AUTOFREE char *program = kinds_libexec("corpus-doctor");
	AUTOCLOSE int fd = memfd_create("doctor", MFD_CLOEXEC);
	const char *argv[] = {program, "--json", NULL};
	const struct process_options options = {
		.argv = argv, .stdin_fd = -1, .stdout_fd = fd, .timeout_ms = DOCTOR_MS};
	int r;

	if (!program)
		return err_set(err, ERR_UNAVAILABLE, NULL,
			"corpus-doctor is not there: install the package corpus-agent");
	if (fd < 0)
		return err_errno(err, errno, "running corpus-doctor");
	r = process_run(&options, err);
	if (r < 0)
		return r;
	r = lseek(fd, 0, SEEK_SET) < 0 ? -errno : file_read_fd(fd, REPORT_MAX, ret, NULL);
	return r < 0 ? err_errno(err, r, "reading what corpus-doctor says") : 0;
}

static json_t *agent_line(const struct err *absent)
{
	return json_pack("{s:s, s:s, s:s, s:s}", "check", "agent", "verdict", "bad", "message",
		absent->message, "advice",
		absent->code == ERR_DENIED
			? "Run `sudo corpus doctor`, or see `access` in corpusd.yaml."
			: "`systemctl start corpusd` starts it, `journalctl -u corpusd` tells why "
			  "it "
			  "ended.");
}

static int examine_ourselves(const struct err *absent, json_t **ret, struct err *err)
{
	AUTOFREE char *text = NULL;
	json_auto_t *checks = NULL;
	int r = run_doctor(&text, err);

	if (r < 0) {
		err_prefix(err, "%s, and", absent->message);
		return r;
	}
	checks = json_loads(text, 0, NULL);
	if (json_array_insert_new(checks, 0, agent_line(absent)) < 0)
		return err_set(err, ERR_INTERNAL, NULL, "corpus-doctor said what nobody knows");
	*ret = json_pack("{s:s, s:O}", "verdict", "bad", "checks", checks);
	return 0;
}

/* --- Showing --------------------------------------------------------------------------------- */

static void show_doctor(struct cli *cli, const json_t *report)
{
	static const struct table_column COLUMNS[] = {
		{"VERDICT", .state = true}, {"CHECK"}, {"FOUND"}};
	CLEANUP(table_destroyp) struct table *table = table_create(COLUMNS, ARRAY_SIZE(COLUMNS));
	const json_t *line;
	size_t i;

	json_array_foreach (json_at(report, "checks"), i, line) {
		table_add(table, (const char *const[]){
					 json_text(line, "verdict"),
					 json_text(line, "check"),
					 json_text(line, "message"),
				 });
		if (*json_text(line, "advice"))
			table_add(table, (const char *const[]){"", "", json_text(line, "advice")});
	}
	table_print(table, cli->out, cli->colour);
}

static int ask_agent(struct cli *cli, json_t **ret, struct err *err)
{
	CLEANUP(response_finish) struct response answer = {0};
	int r = client_perform(cli->client,
		&(struct request){.method = "GET", .path = "/v1/node/doctor"}, &answer, err);

	if (r == 0)
		*ret = json_incref(answer.json);
	else if (cli->json && answer.text)
		change_print_json(cli, answer.text);
	return r;
}

int cmd_doctor(struct cli *cli, const struct args *args, struct err *err)
{
	json_auto_t *report = NULL;
	AUTOFREE char *text = NULL;
	struct err absent = {0};
	int r = ask_agent(cli, &report, &absent);

	(void)args;
	if (r < 0 && !client_was_answered(cli->client) && absent.code != ERR_CANCELLED)
		r = examine_ourselves(&absent, &report, err);
	else if (r < 0)
		*err = absent;
	if (r < 0)
		return r;
	text = cli->json ? json_dumps(report, JSON_COMPACT) : NULL;
	if (text)
		change_print_json(cli, text);
	else
		show_doctor(cli, report);
	if (strcmp(json_text(report, "verdict"), "bad") != 0)
		return 0;
	cli->reported = true;
	return err_set(err, ERR_INTERNAL, NULL, "something has to be done");
}
