/* liblxc's configuration of a guest. */
#include "drivers/lxc/config.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/signals.h"
#include "base/strbuf.h"
#include "drivers/inside/hostname.h"
#include "drivers/lxc/groups.h"

/* What no guest may do, not even one whose root is root outside: they are about the machine. */
#define DROPPED                                                                                    \
	"mac_admin mac_override sys_module sys_rawio sys_time syslog wake_alarm block_suspend"

/* Devices that a privileged guest may use (major:minor, Documentation/admin-guide/devices.txt):
 * null, zero, full, random, urandom, tty, console, ptmx, pts; and it may make nodes of any. An
 * unprivileged one cannot make nodes at all. */
static const char *const DEVICES[] = {"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm",
	"c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm"};

static void render_root(struct strbuf *b, const struct lxc_config *c)
{
	const struct driver_guest *g = c->guest;

	strbuf_addf(b, "lxc.uts.name = %.*s\n", hostname_length(g->name), g->name);
	strbuf_addf(b, "lxc.rootfs.path = dir:%s\n", g->rootfs);
	if (!g->privileged) {
		strbuf_add(b, "lxc.rootfs.options = idmap=container\n");
		strbuf_addf(b, "lxc.idmap = u 0 %u %u\n", c->idmap_base, c->idmap_count);
		strbuf_addf(b, "lxc.idmap = g 0 %u %u\n", c->idmap_base, c->idmap_count);
	}
	strbuf_add(b, "lxc.mount.auto = proc:mixed sys:mixed cgroup:mixed\n"
		      "lxc.autodev = 1\n"
		      "lxc.tty.max = 0\n"
		      "lxc.pty.max = 1024\n");
}

static void render_init(struct strbuf *b, const struct lxc_config *c)
{
	char name[SIGNAL_NAME_MAX];

	strbuf_addf(b, "lxc.signal.halt = %s\n", signal_format(name, c->halt_signal));
	strbuf_add(b, "lxc.environment = PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		      "/sbin:/bin\n");
}

static void render_security(struct strbuf *b, const struct lxc_config *c)
{
	strbuf_addf(b, "lxc.seccomp.profile = %s\n", c->seccomp);
	strbuf_add(b, "lxc.cap.drop = " DROPPED "\n");
	if (c->apparmor_without_profile)
		strbuf_add(b, "lxc.apparmor.profile = unconfined\n");
	if (!c->guest->privileged)
		return;
	strbuf_addf(b, "lxc.cgroup%s.devices.deny = a\n", c->cgroup_v2 ? "2" : "");
	for (size_t i = 0; i < ARRAY_SIZE(DEVICES); i++)
		strbuf_addf(b, "lxc.cgroup%s.devices.allow = %s\n", c->cgroup_v2 ? "2" : "",
			DEVICES[i]);
}

static void render_net(struct strbuf *b, const struct driver_guest *g)
{
	/* Without an entry the guest would live in the network of the node. */
	if (!g->net.bridge) {
		strbuf_add(b, "lxc.net.0.type = empty\n");
		return;
	}
	strbuf_addf(b,
		"lxc.net.0.type = veth\n"
		"lxc.net.0.name = eth0\n"
		"lxc.net.0.flags = up\n"
		"lxc.net.0.link = %s\n"
		"lxc.net.0.veth.pair = %s\n"
		"lxc.net.0.hwaddr = %s\n",
		g->net.bridge, g->net.link, FMT_MAC(g->net.mac));
	if (g->net.address)
		strbuf_addf(b, "lxc.net.0.ipv4.address = %s/%u\n", FMT_IPV4(g->net.address),
			g->net.prefix);
	if (g->net.address && g->net.gateway)
		strbuf_addf(b, "lxc.net.0.ipv4.gateway = %s\n", FMT_IPV4(g->net.gateway));
}

/* What not every kernel has would keep the guest from starting: it is set once it runs. */
static void render_cgroups(struct strbuf *b, const struct lxc_config *c)
{
	const char *id = c->guest->id;
	struct limit_write list[LIMIT_WRITES_MAX];
	size_t n = limits_plan(&c->limits, &c->guest->limits, NULL, false, list);

	strbuf_addf(b,
		"lxc.cgroup.dir.container = %1$s/%2$s/guest\n"
		"lxc.cgroup.dir.monitor = %1$s/%2$s/monitor\n"
		"lxc.cgroup.dir.monitor.pivot = %1$s/%2$s/pivot\n",
		c->cgroup_root, id);
	for (size_t i = 0; i < n; i++)
		if (!list[i].later)
			strbuf_addf(b, "lxc.cgroup%s.%s = %s\n", list[i].v2 ? "2" : "",
				list[i].file, list[i].value);
}

static void render_logs(struct strbuf *b, const struct lxc_config *c)
{
	strbuf_addf(b, "lxc.log.file = %s\nlxc.log.level = ERROR\n", c->log);
	strbuf_addf(b, "lxc.console.logfile = %s\nlxc.console.size = 1MB\nlxc.console.rotate = 1\n",
		c->console);
}

/* Last: what is added by hand may differ from what is above. */
static void render_additions(struct strbuf *b, const struct lxc_config *c)
{
	const char *const *raw = c->guest->raw;

	if (raw && raw[0])
		strbuf_add(b, "# Lines of the guest:\n");
	for (; raw && *raw; raw++)
		strbuf_addf(b, "%s\n", *raw);
	if (c->additions)
		strbuf_add(b, c->additions);
}

char *lxc_config_render(const struct lxc_config *c)
{
	struct strbuf b = {0};

	strbuf_addf(&b, "# Guest %s of corpus: written anew at each start.\n", c->guest->id);
	render_root(&b, c);
	render_init(&b, c);
	render_security(&b, c);
	render_net(&b, c->guest);
	render_cgroups(&b, c);
	render_logs(&b, c);
	render_additions(&b, c);
	return strbuf_take(&b);
}
