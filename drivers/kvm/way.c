/* Ways into guests. */
#include "drivers/kvm/way.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/process.h"
#include "base/strbuf.h"
#include "drivers/kvm/ledger.h"
#include "drivers/kvm/quote.h"

#define BOOT_S	 180 /* who began later may be booting still */
#define CLEAN_MS 5000

/* --- Scripts --------------------------------------------------------------------------------- */

#define PREPARE                                                                                    \
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C\n"             \
	"export PATH LC_ALL\n"

char *way_script(const struct way_run *run)
{
	struct strbuf buf = {0};

	strbuf_add(&buf, PREPARE);
	quote_add_set(&buf, run->args);
	strbuf_add(&buf, run->script);
	return strbuf_take(&buf);
}

void way_result_finish(struct way_result *result)
{
	free(result->output);
	*result = (struct way_result){0};
}

static int run_by_agent(struct way *way, const char *script, const struct way_run *run,
	struct way_result *ret, struct err *err)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct qga_exec exec = {
		.argv = argv, .input = run->input, .input_size = run->input_size, .capture = true};
	struct qga_status status = {0};
	int r = qga_run(&way->qga, &exec, run->timeout_ms, &status, err);

	if (r == 0 && status.truncated)
		r = err_set(err, ERR_TOO_LARGE, NULL, "the guest says more than its agent keeps");
	if (r < 0) {
		qga_status_finish(&status);
		return r;
	}
	*ret = (struct way_result){.status = status.status,
		.output = status.output ? status.output : strdup(""),
		.output_size = status.output_size};
	return ret->output ? 0 : err_errno(err, ENOMEM, "no memory for what the guest says");
}

static int run_by_ssh(struct way *way, const char *script, const struct way_run *run,
	struct way_result *ret, struct err *err)
{
	CLEANUP(strbuf_finish) struct strbuf command = {0};
	struct ssh_run ssh = {.input = run->input,
		.input_size = run->input_size,
		.timeout_ms = run->timeout_ms,
		.output_max = QGA_OUTPUT_MAX};

	strbuf_add(&command, "exec /bin/sh -c ");
	quote_add(&command, script);
	ssh.command = command.text;
	if (command.failed)
		return err_errno(err, ENOMEM, "no memory for a script");
	return ssh_run(way->ssh, &ssh, &ret->status, &ret->output, &ret->output_size, err);
}

int way_run(struct way *way, const struct way_run *run, struct way_result *ret, struct err *err)
{
	AUTOFREE char *script = way_script(run);

	*ret = (struct way_result){0};
	if (!script)
		return err_errno(err, ENOMEM, "no memory for a script");
	return way->kind == WAY_AGENT ? run_by_agent(way, script, run, ret, err)
				      : run_by_ssh(way, script, run, ret, err);
}

size_t way_input_max(const struct way *way)
{
	return way->kind == WAY_AGENT ? QGA_INPUT_MAX : WAY_INPUT_MAX;
}

/* --- What others have left ------------------------------------------------------------------- */

/* A note is a word and what it is about. What reads and writes a command's streams (exec.c) is
 * found by the numbers that lie beside them; a number may be another process's by now, which does
 * not look like them. */
static const struct {
	const char *word;
	const char *script;
} CLEANERS[] = {
	{"draft ", "rm -f -- \"$1\"\n"},
	{"command ",
		"for d in /run/corpus-$1 /tmp/corpus-$1; do\n"
		"[ -d \"$d\" ] || continue\n"
		"for f in \"$d\"/*.pid; do\n"
		"read -r p 2>/dev/null <\"$f\" || continue\n"
		"case $(tr '\\0' ' ' 2>/dev/null </proc/$p/cmdline) in\n"
		"'sleep 2147483647 '|'dd bs=65536 count=1 '|'cat ') kill \"$p\" 2>/dev/null;;\n"
		"esac\n"
		"done\n"
		"rm -rf \"$d\"\n"
		"done\n"
		"exit 0\n"},
};

static bool clean_one(struct way *way, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(CLEANERS); i++) {
		size_t n = strlen(CLEANERS[i].word);
		const char *args[] = {text + n, NULL};
		struct way_run run = {
			.script = CLEANERS[i].script, .args = args, .timeout_ms = CLEAN_MS};
		CLEANUP(way_result_finish) struct way_result result = {0};

		if (strncmp(text, CLEANERS[i].word, n) == 0)
			return way_run(way, &run, &result, NULL) == 0 && result.status == 0;
	}
	return true; /* cut short as it was written: nothing was done yet */
}

static void clean(struct way *way)
{
	struct ledger note = {.fd = -1};
	char text[LEDGER_TEXT_MAX];

	while (ledger_take(&way->guest->paths, &note, text)) {
		if (!clean_one(way, text)) {
			ledger_leave(&note); /* the next one tries again */
			return;
		}
		ledger_strike(&note);
	}
}

/* --- Opening --------------------------------------------------------------------------------- */

/* Seconds since the machine began; a machine of another node may have begun at any time. */
static double age_s(const char *id)
{
	pid_t pid = guest_pid(id);
	struct timespec now;
	uint64_t ticks;

	if (pid <= 0 || process_start_time(pid, &ticks) < 0)
		return BOOT_S;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (double)now.tv_sec - (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static int open_ssh(const struct kvm_guest *g, struct way *ret, struct err *err)
{
	const char *key = g->kvm->ssh_key;
	int r;

	if (g->definition.guest.net.address == 0)
		return err_set(err, ERR_UNSUPPORTED, NULL, "the node does not know its address");
	if (!key || access(key, R_OK) < 0)
		return err_set(err, ERR_UNSUPPORTED, NULL, "the node has no key for it");
	r = ssh_open(g->definition.guest.net.address, key, &ret->ssh, err);
	if (r == 0)
		ret->kind = WAY_SSH;
	return r;
}

static int open_agent(const struct kvm_guest *g, struct way *ret, struct err *err)
{
	int r;

	ret->qga = qga_of_domain(g->domain);
	r = qga_can(&ret->qga, "guest-exec", err);
	if (r == 0)
		ret->kind = WAY_AGENT;
	return r;
}

static int no_way(
	const struct kvm_guest *g, const struct err *agent, const struct err *ssh, struct err *err)
{
	const char *name = g->definition.guest.name;
	enum err_code code =
		age_s(g->definition.guest.id) < BOOT_S ? ERR_UNAVAILABLE : ERR_UNSUPPORTED;
	const char *advice = code == ERR_UNAVAILABLE
				     ? "it may still be booting"
				     : "it needs a running qemu-guest-agent, or an ssh server that "
				       "lets in root with the node's key";

	if (!agent)
		return err_set(err, code, NULL,
			"no terminal in guest %s: that needs ssh as root with the node's key, and "
			"%.150s%s",
			name, ssh->message,
			code == ERR_UNAVAILABLE ? "; it may still be booting" : "");
	return err_set(err, code, NULL, "no way into guest %s: %s (%.90s; by ssh: %.120s)", name,
		advice, agent->message, ssh->message);
}

int way_open(const struct kvm_guest *g, bool by_ssh, struct way *ret, struct err *err)
{
	struct err agent = {0}, ssh = {0};
	int r = -EIO;

	if (!guest_is_active(g) || guest_state_of(g->state, g->reason) == GUEST_FROZEN)
		return err_set(err, ERR_ILLEGAL_STATE, NULL, "guest %s %s",
			g->definition.guest.name,
			guest_is_active(g) ? "is frozen" : "does not run");
	ret->guest = g;
	if (!by_ssh)
		r = open_agent(g, ret, &agent);
	if (r < 0)
		r = open_ssh(g, ret, &ssh);
	if (r < 0)
		return no_way(g, by_ssh ? NULL : &agent, &ssh, err);
	clean(ret);
	return 0;
}

void way_close(struct way *way)
{
	ssh_close(way->ssh);
	*way = (struct way){0};
}
