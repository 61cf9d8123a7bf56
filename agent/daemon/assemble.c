/* Putting the parts together, and taking them apart. */
#include "agent/daemon/assemble.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/api/api.h"
#include "agent/audit/audit.h"
#include "agent/core/worker.h"
#include "agent/daemon/load.h"
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
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "base/parse.h"
#include "net/ipam.h"
#include "net/net.h"
#include "storage/storage.h"

/* How long the API may be away longer after a start, for what it answers then to be true. */
#define FIRST_SURVEY_US UINT64_C(200000)

/* --- The state directory --------------------------------------------------------------------- */

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

int assemble_claim(const struct config *config, struct err *err)
{
	int r = make_directories(config, err);

	return r < 0 ? r : lock_state(config, err);
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

/* --- Parts ------------------------------------------------------------------------------------ */

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

/* --- All of it ------------------------------------------------------------------------------- */

int assemble(struct agent *agent, bool salvage, struct err *err)
{
	int r = assemble_claim(agent->config, err);

	if (r == 0)
		r = return_to_service(agent->config, err);
	if (r == 0)
		r = open_node_key(agent, err);
	if (r == 0)
		r = workers_create(agent->loop, agent->config->workers, &agent->workers, err);
	if (r == 0)
		r = create_tables(agent, err);
	if (r == 0)
		r = load_state(agent, salvage, err);
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
	r = load_operations(agent, err);
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

void dismantle(struct agent *agent)
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
