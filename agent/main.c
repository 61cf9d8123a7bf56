/* corpusd: reads its arguments and configuration, puts the parts together, runs the loop, and ends
 * in order. Guests run on when it ends, in order or not. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/api/api.h"
#include "agent/audit/audit.h"
#include "agent/core/worker.h"
#include "agent/life/life.h"
#include "agent/metrics/counters.h"
#include "agent/metrics/sampler.h"
#include "agent/node/agent.h"
#include "agent/node/drivers.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/ops/verbs.h"
#include "agent/reconcile/reconcile.h"
#include "agent/reconcile/retire.h"
#include "agent/seed/seed.h"
#include "agent/sessions/sessions.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/process.h"
#include "net/ipam.h"
#include "net/net.h"
#include "storage/storage.h"

/* How long the API may be away longer after a start, for what it answers then to be true. */
#define FIRST_SURVEY_US UINT64_C(200000)

struct options {
	const char *config_path;
	bool check_config, salvage, retire;
};

/* --- Loading what should be ------------------------------------------------------------------ */

/* What a guest was when the agent ran last. After a boot nothing runs; a state on the way somewhere
 * is not known until its operation is taken up, or its driver asked. */
static enum guest_state loaded_state(const struct agent *agent, enum guest_state state)
{
	switch (state) {
	case GUEST_ERROR:
	case GUEST_CREATING:
	case GUEST_DESTROYING: return state;
	case GUEST_STOPPED:
	case GUEST_RUNNING:
	case GUEST_FROZEN: return agent->fresh_boot ? GUEST_STOPPED : state;
	default: return agent->fresh_boot ? GUEST_STOPPED : GUEST_UNKNOWN;
	}
}

static int load_guest(void *data, struct guest *guest)
{
	struct agent *agent = data;
	struct guest_entry *entry;
	struct err err;

	guest->state = loaded_state(agent, guest->state);
	guest->pid = 0;
	guest->health_state = GUEST_HEALTH_NONE;
	if (guest_claim_numbers(agent, guest, &err) < 0) {
		/* Two guests with one address: served all the same, and told. */
		agent_problem(agent, "guest.numbers", err.message);
	}
	if (registry_add(agent->registry, guest, &entry, &err) < 0) {
		log_error("guest.not_loaded", "guest=%s error=%s", guest->name, LOG_Q(err.message));
		guest_free(guest);
	}
	return 0;
}

static int load_operation(void *data, const struct operation *info, json_t *args)
{
	struct agent *agent = data;
	struct err err;

	if (engine_resume(agent->engine, info, args, &err) < 0)
		log_error("operation.not_resumed", "op=%s error=%s", info->id, LOG_Q(err.message));
	return 0;
}

/* A guest on its way somewhere without an operation that brings it there: its journal was lost. */
static void settle_loaded(struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		enum guest_state state = sorted[i]->guest->state;

		if (sorted[i]->pending == 0 &&
			(state == GUEST_CREATING || state == GUEST_DESTROYING))
			agent_observe_guest(agent, sorted[i], GUEST_ERROR, 0,
				"the operation that it was in the middle of was lost: destroy it");
	}
}

/* Compares the machine's boot id with that of the last run. */
static int read_boot_id(struct agent *agent, struct err *err)
{
	AUTOFREE char *text = NULL, *last = NULL;
	int r = file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL);

	if (r < 0)
		return err_errno(err, r, "cannot read the machine's boot id");
	snprintf(agent->boot_id, sizeof(agent->boot_id), "%.36s", text);
	r = db_get_setting(agent->db, "boot_id", &last, err);
	if (r < 0)
		return r;
	agent->fresh_boot = !last || strcmp(last, agent->boot_id) != 0;
	return 0;
}

static int read_mode(struct agent *agent, struct err *err)
{
	AUTOFREE char *mode = NULL, *guests = NULL;
	int r = db_get_setting(agent->db, "mode", &mode, err);

	if (r == 0 && mode)
		node_mode_from_string(mode, &agent->mode);
	if (r == 0)
		r = db_get_setting(agent->db, "guests", &guests, err);
	agent->guests_rest = guests && strcmp(guests, "stop") == 0;
	return r;
}

/* --- Putting the parts together -------------------------------------------------------------- */

static int make_directories(const struct config *config, struct err *err)
{
	const struct {
		const char *path;
		mode_t mode;
	} directories[] = {
		{config->state_dir, 0711}, {config->run_dir, 0755}, {config->log_dir, 0750}};

	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		int r = file_mkdirs(directories[i].path, directories[i].mode);

		if (r < 0)
			return err_errno(err, r, "cannot make %s", directories[i].path);
	}
	return 0;
}

/* One agent for one state directory; the descriptor holds the lock until the process ends. */
static int lock_state(const struct config *config, struct err *err)
{
	AUTOCLOSE int fd = -1;
	char path[4096];

	if (file_path(path, sizeof(path), "%s/lock", config->state_dir) < 0)
		return err_set(err, ERR_INVALID, "state_dir", "the path is too long");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, errno, "cannot open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_CONFLICT, NULL, "another corpusd uses %s: stop it first",
			config->state_dir);
	(void)TAKE_FD(fd);
	return 0;
}

static int open_node_key(struct agent *agent, struct err *err)
{
	char path[4096];

	if (file_path(path, sizeof(path), "%s/" AGENT_NODE_KEY, agent->config->state_dir) < 0)
		return err_set(err, ERR_INVALID, "state_dir", "the path is too long");
	return seed_node_key(path, &agent->node_key, err);
}

static int return_to_service(const struct config *config, struct err *err)
{
	char path[4096];
	int r = file_path(path, sizeof(path), "%s/" RETIRED_MARK, config->state_dir);

	if (r < 0 || (unlink(path) < 0 && errno != ENOENT))
		return err_errno(err, r < 0 ? r : errno, "cannot remove %s", path);
	return 0;
}

static int create_tables(struct agent *agent, struct err *err)
{
	const struct config *config = agent->config;
	const struct ipam_config ipam = {.gateway = config->net.gateway,
		.prefix = config->net.prefix,
		.port_first = config->net.port_first,
		.port_last = config->net.port_last};
	int r = ipam_create(&ipam, &agent->ipam, err);

	if (r == 0)
		r = registry_create(config->node_address ? FMT_IPV4(config->node_address) : NULL,
			&agent->registry, err);
	return r;
}

static int open_state(struct agent *agent, bool salvage, struct err *err)
{
	char path[4096];
	int r = file_path(path, sizeof(path), "%s/state.db", agent->config->state_dir);

	if (r < 0)
		return err_set(err, ERR_INVALID, "state_dir", "the path is too long");
	r = db_open(agent->loop, path, salvage, &agent->db, err);
	if (r == 0)
		r = read_boot_id(agent, err);
	if (r == 0)
		r = read_mode(agent, err);
	if (r == 0)
		r = events_create(agent->db, agent->fresh_boot, &agent->events, err);
	if (r == 0)
		r = db_load_guests(agent->db, load_guest, agent, err);
	return r;
}

/* By its class, since its guest may be gone. */
static const char *driver_of(const struct agent *agent, const struct op *op)
{
	for (size_t i = 0; i < agent->drivers_count; i++)
		if (op->op_class == &agent->drivers[i].op_class)
			return agent->drivers[i].settings->name;
	return NULL;
}

static void operation_changed(void *data, const struct op *op, struct db_txn *txn)
{
	const struct agent *agent = data;

	agent_operation_changed(data, op, txn);
	if (operation_state_is_final(op->info.state))
		counters_operation(agent->counters, &op->info, driver_of(agent, op));
}

static int create_engine(struct agent *agent, struct err *err)
{
	const struct engine_hooks hooks = {.agent = agent,
		.commit = agent_commit,
		.changed = operation_changed,
		.rows = agent_operation_rows};

	return engine_create(agent->loop, &hooks, OPS_VERBS, &agent->engine, err);
}

static enum role role_of(void *data, uid_t uid, const gid_t *gids, size_t gids_count)
{
	const struct agent *agent = data;

	return config_role(agent->config, uid, gids, gids_count);
}

static void answered(
	void *data, const struct http_request *request, unsigned status, int64_t duration_ns)
{
	struct agent *agent = data;

	counters_request(agent->counters, http_route_path(request),
		http_method_to_string(http_method(request)), status, duration_ns);
	audit_answered(agent, request, status);
	if (http_method(request) == HTTP_GET) {
		log_debug("api.read", "path=%s status=%u us=%lld", LOG_Q(http_path(request)),
			status, (long long)duration_ns / 1000);
		return;
	}
	log_info("api.change", "method=%s path=%s uid=%u pid=%d status=%u ms=%lld",
		http_method_to_string(http_method(request)), LOG_Q(http_path(request)),
		http_peer_uid(request), http_peer_pid(request), status,
		(long long)duration_ns / 1000000);
}

/* Without it the agent works on, and says so. */
static void open_audit(struct agent *agent)
{
	const struct config *config = agent->config;
	struct err err;

	if (asprintf(&agent->audit_path, "%s/audit.log", config->log_dir) < 0) {
		agent->audit_path = NULL;
		err_errno(&err, ENOMEM, "cannot open the audit log");
	} else if (audit_open(agent->audit_path, config->audit.size, config->audit.files,
			   &agent->audit, &err) == 0) {
		return;
	}
	log_error("audit.not_opened", "error=%s", LOG_Q(err.message));
	agent_problem(agent, "audit", err.message);
}

static void reopen_audit(struct agent *agent)
{
	struct err err;

	if (agent->audit && audit_reopen(agent->audit, &err) < 0)
		agent_problem(agent, "audit", err.message);
}

static int create_http(struct agent *agent, struct err *err)
{
	int activated = sd_listen_fds(1);
	const struct http_config http = {.socket_path = agent->config->socket,
		.socket_mode = agent->config->socket_mode,
		.listen_fd = activated > 0 ? SD_LISTEN_FDS_START : -1,
		.routes = API_ROUTES,
		.routes_count = API_ROUTES_COUNT,
		.agent = agent,
		.role_of = role_of,
		.answered = answered};

	return http_server_create(agent->loop, &http, &agent->http, err);
}

static int create_counters(struct agent *agent, struct err *err)
{
	agent->counters = counters_create();
	return agent->counters ? 0 : err_errno(err, ENOMEM, "cannot make the counters");
}

static int assemble(struct agent *agent, const struct options *options, struct err *err)
{
	int r = make_directories(agent->config, err);

	if (r == 0)
		r = lock_state(agent->config, err);
	if (r == 0)
		r = return_to_service(agent->config, err);
	if (r == 0)
		r = open_node_key(agent, err);
	if (r == 0)
		r = workers_create(agent->loop, agent->config->workers, &agent->workers, err);
	if (r == 0)
		r = create_tables(agent, err);
	if (r == 0)
		r = open_state(agent, options->salvage, err);
	if (r == 0)
		r = create_counters(agent, err);
	if (r == 0)
		open_audit(agent);
	if (r == 0)
		r = create_engine(agent, err);
	if (r == 0)
		r = drivers_create(agent, err);
	if (r == 0)
		r = sampler_create(agent, &agent->sampler, err);
	if (r < 0)
		return r;
	reconcile_open(agent);
	r = db_load_unfinished(agent->db, load_operation, agent, err);
	settle_loaded(agent);
	if (r == 0)
		r = life_create(agent, &agent->life, err);
	if (r == 0)
		r = reconciler_create(agent, &agent->reconciler, err);
	if (r < 0)
		return r;
	drivers_first_survey(agent, FIRST_SURVEY_US);
	r = sessions_create(agent, &agent->sessions, err);
	if (r < 0)
		return r;
	return create_http(agent, err);
}

/* In the opposite order; what is under way on workers ends first, operations stay in the journal.
 */
static void dismantle(struct agent *agent)
{
	sampler_stop(agent->sampler);
	agent->http = http_server_destroy(agent->http);
	if (agent->engine)
		engine_stop(agent->engine);
	agent->life = life_destroy(agent->life);
	agent->reconciler = reconciler_destroy(agent->reconciler);
	drivers_destroy(agent);
	agent->workers = workers_destroy(agent->workers);
	agent->sampler = sampler_destroy(agent->sampler);
	agent->sessions = sessions_destroy(agent->sessions);
	if (agent->db)
		db_flush(agent->db, NULL);
	agent->engine = engine_destroy(agent->engine);
	agent->events = events_destroy(agent->events);
	agent->db = db_close(agent->db);
	agent->counters = counters_destroy(agent->counters);
	agent->registry = registry_destroy(agent->registry);
	agent->ipam = ipam_destroy(agent->ipam);
	agent->net = net_close(agent->net);
	agent->storage = storage_close(agent->storage);
	agent->audit = audit_close(agent->audit);
	free(agent->audit_path);
	free(agent->node_key);
	free(agent->images);
	free(agent->node_text.text);
	free(agent->slots_text.text);
}

/* --- Signals --------------------------------------------------------------------------------- */

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

struct reload {
	struct agent *agent;
	const char *path;
};

/* Takes up what can change while running; a configuration with an error changes nothing. */
static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	struct reload *reload = data;
	struct config *config = NULL;
	struct err err;

	(void)source;
	(void)info;
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_ns() / 1000);
	if (config_load(reload->path, &config, &err) < 0) {
		log_error("config.not_reloaded", "error=%s", LOG_Q(err.message));
	} else {
		take_reloadable(reload->agent->config, config);
		agent_changed(reload->agent);
		log_info("config.reloaded", "path=%s", reload->path ? reload->path : "-");
	}
	reopen_audit(reload->agent);
	config_free(config);
	sd_notify(0, "READY=1");
	return 0;
}

static int watch_signals(sd_event *loop, struct reload *reload, struct err *err)
{
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPWR);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = sd_event_add_signal(loop, NULL, SIGTERM, on_end, reload->agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGINT, on_end, reload->agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGPWR, on_power, reload->agent);
	if (r >= 0)
		r = sd_event_add_signal(loop, NULL, SIGHUP, on_reload, reload);
	return r < 0 ? err_errno(err, r, "cannot watch signals") : 0;
}

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
	struct reload reload = {.agent = &agent, .path = options->config_path};
	int r = sd_event_default(&agent.loop);

	if (r < 0)
		return err_errno(err, r, "cannot make the event loop");
	snprintf(agent.environment, sizeof(agent.environment), "%s", config->environment);
	/* Before any thread is made, so that all of them leave signals to the loop. */
	r = watch_signals(agent.loop, &reload, err);
	if (r == 0)
		r = assemble(&agent, options, err);
	if (r == 0)
		r = serve(&agent, err);
	dismantle(&agent);
	sd_event_unref(agent.loop);
	return r;
}

static int retire_node(const struct config *config, struct err *err)
{
	int r = make_directories(config, err);

	if (r == 0)
		r = lock_state(config, err);
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
