/* Lines that people add to a guest's configuration. They may do what root of the node may (hooks
 * are programs that run as root), but not what would make the agent's picture of the guest wrong.
 */
#include "drivers/lxc/raw.h"

#include <errno.h>
#include <lxc/lxccontainer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "drivers/addition.h"

#define LINE_MAX_BYTES 4096

/* What cannot be set, with all that is below it ("lxc.net" is also lxc.net.0.type). */
static const struct {
	const char *key, *why;
} REFUSED[] = {
	{"lxc.include", "only files of the additions directory are read"},
	{"lxc.net", "the guest's network is the agent's; change its ports instead"},
	{"lxc.rootfs", "the guest's files are the agent's"},
	{"lxc.uts", "rename the guest instead"},
	{"lxc.idmap", "the agent's configuration says which ids guests get"},
	{"lxc.namespace", "a guest has namespaces of its own"},
	{"lxc.cgroup.dir", "the agent names the control groups"},
	{"lxc.cgroup.relative", "the agent names the control groups"},
	{"lxc.console", "the console's history is the agent's"},
	{"lxc.log", "the log is the agent's"},
	{"lxc.monitor", "a guest has to outlive the agent"},
	{"lxc.signal", "how a guest is stopped follows from its init"},
	{"lxc.init.cmd", "a guest's init is its /sbin/init"},
	{"lxc.ephemeral", "destroy the guest instead"},
	{"lxc.start", "use autostart instead"},
	{"lxc.group", "use autostart instead"},
	{"lxc.cgroup.memory.limit_in_bytes", "use limits.memory instead"},
	{"lxc.cgroup.memory.memsw.limit_in_bytes", "use limits.swap instead"},
	{"lxc.cgroup.cpu.cfs_period_us", "use limits.cpus instead"},
	{"lxc.cgroup.cpu.cfs_quota_us", "use limits.cpus instead"},
	{"lxc.cgroup.pids.max", "use limits.pids instead"},
	{"lxc.cgroup.freezer", "freeze the guest instead"},
	{"lxc.cgroup2.memory.max", "use limits.memory instead"},
	{"lxc.cgroup2.memory.swap.max", "use limits.swap instead"},
	{"lxc.cgroup2.cpu.max", "use limits.cpus instead"},
	{"lxc.cgroup2.pids.max", "use limits.pids instead"},
	{"lxc.cgroup2.cgroup", "freeze the guest instead"},
};

/* These take back all that was set below them when they have no value. */
static const char *const ROOTS[] = {"lxc.cgroup", "lxc.cgroup2"};

static bool no(char why[static RAW_WHY_MAX], const char *text)
{
	snprintf(why, RAW_WHY_MAX, "%s", text);
	return false;
}

static bool key_allowed(const char *key, char why[static RAW_WHY_MAX])
{
	for (size_t i = 0; i < ARRAY_SIZE(REFUSED); i++) {
		size_t n = strlen(REFUSED[i].key);

		if (strncmp(key, REFUSED[i].key, n) == 0 && (key[n] == '\0' || key[n] == '.')) {
			snprintf(why, RAW_WHY_MAX, "%.60s cannot be set: %s", key, REFUSED[i].why);
			return false;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ROOTS); i++)
		if (strcmp(key, ROOTS[i]) == 0) {
			snprintf(why, RAW_WHY_MAX, "%s needs the name of a file: %s.FILE = VALUE",
				ROOTS[i], ROOTS[i]);
			return false;
		}
	return true;
}

/* Some have names of the kernel's below them, which liblxc does not list. */
static bool is_known(char *key)
{
	for (char *dot; (dot = strrchr(key, '.')); *dot = '\0')
		if (lxc_config_item_is_supported(key))
			return true;
	return false;
}

bool raw_line_allowed(const char *line, char why[static RAW_WHY_MAX])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/";
	char key[128];
	size_t n;

	if (strlen(line) > LINE_MAX_BYTES)
		return no(why, "the line is too long: at most 4096 bytes");
	for (const char *p = line; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return no(why, "the line has a control character");
	line += strspn(line, " \t");
	if (*line == '\0' || *line == '#')
		return true;
	n = strspn(line, letters);
	if (strncmp(line, "lxc.", 4) != 0 || n >= sizeof(key) ||
		line[n + strspn(line + n, " \t")] != '=')
		return no(why, "expected a line of lxc.container.conf(5): lxc.KEY = VALUE");
	snprintf(key, sizeof(key), "%.*s", (int)n, line);
	if (!key_allowed(key, why))
		return false;
	if (is_known(key))
		return true;
	snprintf(why, RAW_WHY_MAX, "this liblxc has no %.*s", (int)(n < 60 ? n : 60), line);
	return false;
}

int raw_check(const char *const *lines, struct err *err)
{
	char field[32], why[RAW_WHY_MAX];

	for (size_t i = 0; lines && lines[i]; i++) {
		snprintf(field, sizeof(field), "raw[%zu]", i);
		if (!raw_line_allowed(lines[i], why))
			return err_set(err, ERR_INVALID, field, "%s: %s", field, why);
	}
	return 0;
}

/* --- Files ------------------------------------------------------------------------------------ */

static int add_lines(struct strbuf *b, const struct addition *a, struct err *err)
{
	char why[RAW_WHY_MAX];
	AUTOFREE char *text = strdup(a->text);
	int number = 1;

	if (!text)
		return err_errno(err, ENOMEM, "no memory for a configuration");
	strbuf_addf(b, "# From %s:\n", a->origin);
	for (char *line = text, *next; line; line = next, number++) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!raw_line_allowed(line, why))
			return addition_refuse(a, number, why, err);
		if (line[strspn(line, " \t")] != '\0')
			strbuf_addf(b, "%s\n", line);
	}
	return 0;
}

int raw_read_additions(const char *dir, const char *name, char **ret, struct err *err)
{
	CLEANUP(additions_finish) struct additions additions = {0};
	CLEANUP(strbuf_finish) struct strbuf b = {0};
	int r = additions_read_files(&additions, dir, name, "conf", err);

	strbuf_add(&b, "");
	for (size_t i = 0; r == 0 && i < additions.count; i++)
		r = add_lines(&b, &additions.list[i], err);
	if (r < 0)
		return r;
	*ret = strbuf_take(&b);
	return *ret ? 0 : err_errno(err, ENOMEM, "no memory for a configuration");
}
