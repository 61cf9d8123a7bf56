/* Signals: the end, power that fails, another configuration. */
#include "agent/daemon/signals.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "agent/audit/audit.h"
#include "agent/life/life.h"
#include "agent/node/agent.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* --- Ends ------------------------------------------------------------------------------------ */

/* Power fails, or the machine is shut down. */
static void node_ends(struct agent *agent)
{
	if (agent->node_ends)
		return;
	log_info("node.ends", "mode=%s", node_mode_to_string(agent->mode));
	agent->node_ends = true;
	if (agent->life)
		life_mode_changed(agent->life);
}

static int on_power(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)source;
	(void)info;
	node_ends(data);
	return 0;
}

/* Of two signals that wait, the one of the lower number is delivered first. */
static bool power_waits(void)
{
	sigset_t waiting;

	return sigpending(&waiting) == 0 && sigismember(&waiting, SIGPWR) == 1;
}

/* The first time that it is asked to end while the machine goes down, it does so when the guests
 * have come to rest, and not before. */
static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct agent *agent = data;

	sd_notify(0, "STOPPING=1");
	if (!agent->node_ends && power_waits())
		node_ends(agent);
	if (agent->node_ends && !agent->asked_to_end) {
		agent->asked_to_end = true;
		return 0;
	}
	log_info("agent.ending", "signal=%u", info->ssi_signo);
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

/* --- The configuration ----------------------------------------------------------------------- */

static void take_reloadable(struct config *into, struct config *from)
{
	struct access_grant *grants = into->grants;
	struct verb_role *verbs = into->verbs;

	log_set_level(from->log_level);
	into->log_level = from->log_level;
	into->slots = from->slots;
	into->reconcile_ms = from->reconcile_ms;
	into->stats_interval_ms = from->stats_interval_ms;
	into->operations_kept_ms = from->operations_kept_ms;
	into->events_kept = from->events_kept;
	into->session_keep_ms = from->session_keep_ms;
	into->sessions_per_guest = from->sessions_per_guest;
	into->sessions_max = from->sessions_max;
	into->stop_timeout_ms = from->stop_timeout_ms;
	into->restart = from->restart;
	into->health_parallel = from->health_parallel;
	into->grants = from->grants;
	into->grants_count = from->grants_count;
	into->verbs = from->verbs;
	into->verbs_count = from->verbs_count;
	from->grants = grants;
	from->verbs = verbs;
	from->grants_count = 0;
}

static void reopen_audit(struct agent *agent)
{
	struct err err;

	if (agent->audit && audit_reopen(agent->audit, &err) < 0)
		agent_problem(agent, "audit", err.message);
}

/* Takes up what can change while running; a configuration with an error changes nothing. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct agent *agent = data;
	struct config *config = NULL;
	struct err err;

	(void)source;
	(void)info;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_ns() / 1000);
	if (config_load(agent->config_path, &config, &err) < 0) {
		log_error("config.not_reloaded", "error=%s", LOG_Q(err.message));
	} else {
		take_reloadable(agent->config, config);
		agent_changed(agent);
		log_info("config.reloaded", "path=%s",
			agent->config_path ? agent->config_path : "-");
	}
	reopen_audit(agent);
	config_free(config);
	sd_notify(0, "READY=1");
	return 0;
}

/* --- All of them ----------------------------------------------------------------------------- */

int signals_watch(struct agent *agent, struct err *err)
{
	sd_event *loop = agent->loop;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPWR);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_add_signal(loop, NULL, SIGTERM, on_end, agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGINT, on_end, agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGPWR, on_power, agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGHUP, on_reload, agent);
	return r < 0 ? err_errno(err, r, "cannot watch signals") : 0;
}
