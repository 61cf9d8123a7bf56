/* corpusd: reads its arguments and configuration, runs the loop with all parts, and ends in order.
 * Guests run on when it ends, in order or not. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/daemon/assemble.h"
#include "agent/daemon/signals.h"
#include "agent/engine/engine.h"
#include "agent/life/life.h"
#include "agent/node/agent.h"
#include "agent/reconcile/retire.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/process.h"

struct options {
	const char *config_path;
	bool check_config, salvage, retire;
};

/* --- Running --------------------------------------------------------------------------------- */

static int serve(struct agent *agent, struct err *err)
{
	int r;

	engine_start(agent->engine);
	life_start(agent->life);
	sd_event_set_watchdog(agent->loop, true);
	sd_notify(0, "READY=1");
	log_info("agent.ready", "version=%s socket=%s ms=%lld", CORPUS_VERSION,
		agent->config->socket, (long long)(clock_realtime_ms() - agent->started_ms));
	r = sd_event_loop(agent->loop);
	return r < 0 ? err_errno(err, r, "the event loop failed") : 0;
}

static int run(const struct options *options, struct config *config, struct err *err)
{
	struct agent agent = {.config = config,
		.config_path = options->config_path,
		.started_ms = clock_realtime_ms()};
	int r = sd_event_default(&agent.loop);

	if (r < 0)
		return err_errno(err, r, "cannot make the event loop");
	snprintf(agent.environment, sizeof(agent.environment), "%s", config->environment);
	r = signals_watch(&agent, err);
	if (r == 0)
		r = assemble(&agent, options->salvage, err);
	if (r == 0)
		r = serve(&agent, err);
	dismantle(&agent);
	sd_event_unref(agent.loop);
	return r;
}

static int retire_node(const struct config *config, struct err *err)
{
	int r = assemble_claim(config, err);

	return r < 0 ? r : retire(config, err);
}

/* --- Arguments ------------------------------------------------------------------------------- */

#define DEFAULT_CONFIG "/etc/corpus/corpusd.yaml"

static void usage(FILE *out)
{
	fputs("usage: corpusd [OPTION…]\n"
	      "The agent of a corpus compute node.\n\n"
	      "  -c, --config FILE   configuration (default " DEFAULT_CONFIG ", if it is there)\n"
	      "      --check-config  check the configuration and exit\n"
	      "      --retire        take away what the agent made on this host, when no guest is "
	      "left\n"
	      "      --salvage       start with what can be read of a damaged state.db\n"
	      "  -h, --help          this text\n"
	      "  -V, --version       version\n",
		out);
}

/* 0: go on; above: exit with that status less one. */
static int parse_arguments(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check-config", no_argument, NULL, 'C'},
		{"retire", no_argument, NULL, 'R'},
		{"salvage", no_argument, NULL, 'S'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:hV", options, NULL)) != -1)
		switch (c) {
		case 'c': ret->config_path = optarg; break;
		case 'C': ret->check_config = true; break;
		case 'R': ret->retire = true; break;
		case 'S': ret->salvage = true; break;
		case 'h': usage(stdout); return 1;
		case 'V': puts("corpusd " CORPUS_VERSION); return 1;
		default: usage(stderr); return 3;
		}
	if (optind < argc) {
		fprintf(stderr, "corpusd: unexpected argument %s\n", argv[optind]);
		return 3;
	}
	if (!ret->config_path && access(DEFAULT_CONFIG, F_OK) == 0)
		ret->config_path = DEFAULT_CONFIG;
	return 0;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	struct config *config = NULL;
	struct err err;
	int r = parse_arguments(argc, argv, &options);

	if (r > 0)
		return r - 1;
	log_init("corpusd", LOG_LEVEL_INFO);
	process_raise_files();
	/* A heap for each thread would cost more memory than all tables. */
	mallopt(M_ARENA_MAX, 2);
	r = config_load(options.config_path, &config, &err);
	if (r == 0 && options.check_config) {
		puts("the configuration is in order");
	} else if (r == 0) {
		log_set_level(config->log_level);
		r = options.retire ? retire_node(config, &err) : run(&options, config, &err);
	}
	if (r < 0)
		fprintf(stderr, "corpusd: %s\n", err.message);
	config_free(config);
	return r < 0 ? err_exit_status(err.code) : 0;
}
