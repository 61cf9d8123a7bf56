/* The reconciler. */
#include "agent/reconcile/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "agent/config/config.h"
#include "agent/core/worker.h"
#include "agent/engine/engine.h"
#include "agent/node/agent.h"
#include "agent/node/drivers.h"
#include "agent/node/events.h"
#include "agent/node/images.h"
#include "agent/node/names.h"
#include "agent/node/registry.h"
#include "agent/reconcile/host.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "net/net.h"
#include "storage/storage.h"

/* How often the pool is looked after (it may have to grow), and what cannot be opened is tried. */
#define TEND_US UINT64_C(5000000)

/* After somebody touched our rules: a moment, for all of what they do to be done; and so long
 * between two comparisons, whatever they do. */
#define REPAIR_SOON_NS	INT64_C(100000000)
#define REPAIR_APART_NS INT64_C(1000000000)

struct reconciler {
	struct agent *agent;
	sd_event_source *timer;
	sd_event_source *watch; /* of the firewall; NULL while it cannot be */
	int64_t last_round_ns;
	int64_t last_repair_ns;
	bool repair; /* the network is to be compared soon */
};

/* One round: what the worker needs, and what it found. */
struct round {
	struct agent *agent;
	bool whole;	   /* compare everything, not only look after the pool */
	bool repair;	   /* compare the network */
	uint64_t accepted; /* operations, before it looked */
	struct storage *storage;
	struct net *net;
	const struct config *config;

	struct storage_space space;
	char **volumes; /* NULL: not known */
	struct image *images;
	size_t images_count;
	unsigned repaired;
	struct err storage_err, net_err; /* code ERR_OK: in order */
	struct err obstacle;		 /* what stops guests' traffic; ERR_OK: nothing known */
};

/* --- Opening --------------------------------------------------------------------------------- */

/* All guests and ports that state.db knows, those being created and destroyed included. */
struct wanted {
	struct net_guest *guests;
	struct net_port *ports;
	size_t guests_count, ports_count;
};

static void wanted_finish(struct wanted *wanted)
{
	free(wanted->guests);
	free(wanted->ports);
}

static int collect_wanted(const struct agent *agent, struct wanted *ret)
{
	size_t count, ports = 0;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		ports += sorted[i]->guest->ports_count;
	*ret = (struct wanted){.guests = calloc(count + 1, sizeof(*ret->guests)),
		.ports = calloc(ports + 1, sizeof(*ret->ports))};
	if (!ret->guests || !ret->ports)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct guest *guest = sorted[i]->guest;

		ret->guests[ret->guests_count++] = agent_net_guest(guest);
		for (size_t j = 0; j < guest->ports_count; j++)
			ret->ports[ret->ports_count++] =
				(struct net_port){.proto = guest->ports[j].proto,
					.host = guest->ports[j].host,
					.address = guest->address,
					.guest = guest->ports[j].guest};
	}
	return 0;
}

/* Only while no operation can be under way, or with a network that was opened just now: from then
 * on the network itself remembers what it should be. */
static int apply_net(struct agent *agent, struct net *net, struct err *err)
{
	CLEANUP(wanted_finish) struct wanted wanted = {0};
	unsigned changes = 0;
	int r;

	if (collect_wanted(agent, &wanted) < 0)
		return err_errno(err, ENOMEM, "cannot set up the network");
	r = net_apply(net, wanted.guests, wanted.guests_count, wanted.ports, wanted.ports_count,
		&changes, err);
	if (r == 0 && changes > 0)
		log_info("net.applied", "guests=%zu ports=%zu changes=%u", wanted.guests_count,
			wanted.ports_count, changes);
	return r;
}

static void tell(struct agent *agent, const char *code, const struct err *err)
{
	if (err->code == ERR_OK)
		agent_problem_gone(agent, code);
	else
		agent_problem(agent, code, err->message);
}

/* Without it limits of input and output do not hold; all else does. */
static void find_disk(struct agent *agent)
{
	struct err err;

	if (storage_disk(agent->storage, agent->disk, sizeof(agent->disk), &err) < 0) {
		agent->disk[0] = '\0';
		log_warning("storage.no_disk", "error=%s", LOG_Q(err.message));
	}
}

static void first_look_at_pool(struct agent *agent, struct err *err)
{
	struct image *images = NULL;
	size_t count = 0;

	if (image_list(agent->storage, &images, &count, err) == 0)
		images_adopt(agent, images, count);
	if (err->code == ERR_OK)
		storage_space(agent->storage, &agent->space, err);
	find_disk(agent);
}

/* A power cut may have taken the limit of a volume that was made just before. Nothing else changes
 * limits now: operations have not begun. */
static void restore_limits(struct agent *agent)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++) {
		const struct guest *guest = sorted[i]->guest;
		struct volume_usage usage;
		struct err err;

		/* The size of one with a disk is not its limit, and tells nothing of that. */
		if (guest->disk) {
			if (volume_make_room(agent->storage, guest->id, guest->storage_size, &err) <
				0)
				log_error("volume.limit_not_restored", "guest=%s error=%s",
					guest->name, LOG_Q(err.message));
			continue;
		}
		if (volume_usage(agent->storage, guest->id, false, &usage, &err) < 0 ||
			usage.size == guest->storage_size)
			continue;
		log_warning("volume.limit_restored", "guest=%s was=%llu is=%llu", guest->name,
			(unsigned long long)usage.size, (unsigned long long)guest->storage_size);
		if (volume_resize(agent->storage, guest->id, guest->storage_size, NULL, &err) < 0)
			log_error("volume.limit_not_restored", "guest=%s error=%s", guest->name,
				LOG_Q(err.message));
	}
}

void reconcile_open(struct agent *agent)
{
	struct err storage_err = {0}, net_err = {0};

	if (host_open_storage(agent->config, &agent->storage, &storage_err) == 0) {
		first_look_at_pool(agent, &storage_err);
		if (agent->fresh_boot)
			restore_limits(agent);
	}
	tell(agent, "storage", &storage_err);
	if (host_open_net(agent->config, &agent->net, &net_err) == 0 &&
		apply_net(agent, agent->net, &net_err) < 0)
		agent->net = net_close(agent->net);
	tell(agent, "net", &net_err);
}

/* --- A round --------------------------------------------------------------------------------- */

static void look_at_pool(struct round *round)
{
	if (!round->storage &&
		host_open_storage(round->config, &round->storage, &round->storage_err) < 0)
		return;
	if (storage_tend(round->storage, &round->storage_err) < 0)
		return;
	if (storage_space(round->storage, &round->space, &round->storage_err) < 0)
		return;
	if (round->whole && volume_list(round->storage, &round->volumes, &round->storage_err) < 0)
		return;
	if (round->whole)
		image_list(
			round->storage, &round->images, &round->images_count, &round->storage_err);
}

static void round_work(void *data)
{
	struct round *round = data;

	look_at_pool(round);
	(void)fault_point("reconcile.pool.seen");
	if (!round->net)
		host_open_net(round->config, &round->net, &round->net_err);
	else if (round->whole || round->repair)
		net_repair(round->net, &round->repaired, &round->net_err);
	if (round->net)
		net_obstacle(round->net, &round->obstacle);
}

/* Data is never deleted because nobody knows it. All are one problem, which goes when they are
 * gone.
 */
static void tell_orphan_volumes(struct agent *agent, char **volumes)
{
	struct names orphans = {0};
	char message[320];

	for (char **id = volumes; *id; id++)
		if (strlen(*id) != GUEST_ID_LEN || !registry_by_id(agent->registry, *id))
			names_add(&orphans, *id);
	if (orphans.count == 0) {
		agent_problem_gone(agent, "orphan.volumes");
		return;
	}
	snprintf(message, sizeof(message),
		"the pool has %zu volumes whose guests state.db does not know, left as they are: "
		"%s",
		orphans.count, names_end(&orphans));
	agent_problem(agent, "orphan.volumes", message);
}

static void round_free(struct round *round)
{
	for (char **id = round->volumes; id && *id; id++)
		free(*id);
	free(round->volumes);
	free(round->images);
	free(round);
}

static void told_repaired(struct agent *agent, unsigned repaired)
{
	struct db_txn *txn = db_txn_create();

	log_warning("net.repaired", "changes=%u", repaired);
	events_publish(agent->events, txn, "node.repaired",
		json_pack("{s:s, s:i}", "message", "the network was not as it should be", "changes",
			(int)repaired));
	agent_commit(agent, txn, false, NULL, NULL);
}

static void round_results(struct agent *agent, struct round *round)
{
	bool net_opened = !agent->net && round->net;

	if (!agent->storage && round->storage) {
		agent->storage = round->storage;
		find_disk(agent);
	}
	if (round->storage_err.code == ERR_OK) {
		agent->space = round->space;
		agent_changed(agent);
		/* What was seen is of now only when no operation came between. */
		if (round->whole && engine_pending(agent->engine) == 0 &&
			engine_accepted(agent->engine) == round->accepted) {
			tell_orphan_volumes(agent, round->volumes);
			images_adopt(agent, TAKE_PTR(round->images), round->images_count);
		}
	}
	agent->net = round->net;
	if (net_opened && apply_net(agent, agent->net, &round->net_err) < 0)
		agent->net = net_close(agent->net);
	if (round->repaired > 0)
		told_repaired(agent, round->repaired);
	tell(agent, "storage", &round->storage_err);
	if (round->whole || round->repair || !agent->net || net_opened)
		tell(agent, "net", &round->net_err);
	tell(agent, "net.docker_user", &round->obstacle);
}

static uint64_t until_repair_us(const struct reconciler *reconciler)
{
	int64_t past = clock_monotonic_ns() - reconciler->last_repair_ns;
	int64_t left = REPAIR_APART_NS - past;

	return left > REPAIR_SOON_NS ? (uint64_t)left / 1000 : REPAIR_SOON_NS / 1000;
}

static void arm(struct reconciler *reconciler)
{
	sd_event_source_set_time_relative(
		reconciler->timer, reconciler->repair ? until_repair_us(reconciler) : TEND_US);
	sd_event_source_set_enabled(reconciler->timer, SD_EVENT_ONESHOT);
}

/* Soon the network is compared; while a round is under way, by the next one. */
static void repair_soon(struct reconciler *reconciler)
{
	int armed = SD_EVENT_OFF;

	if (reconciler->repair)
		return;
	reconciler->repair = true;
	sd_event_source_get_enabled(reconciler->timer, &armed);
	if (armed != SD_EVENT_OFF)
		arm(reconciler);
}

/* The rates and the permission to find itself are its link's. */
static void guest_rebooted(struct agent *agent)
{
	repair_soon(agent->reconciler);
}

/* Somebody changed rules: a flush, a firewall's reload. */
static int rules_changed(sd_event_source *source, int fd, uint32_t events, void *data)
{
	struct reconciler *reconciler = data;

	(void)source;
	(void)fd;
	(void)events;
	if (net_watch_dispatch(reconciler->agent->net)) {
		log_debug("net.touched", "what=\"rules of ours were changed by somebody else\"");
		repair_soon(reconciler);
	}
	return 0;
}

static void watch(struct reconciler *reconciler)
{
	struct agent *agent = reconciler->agent;
	struct err err;
	int fd;

	if (reconciler->watch || !agent->net)
		return;
	fd = net_watch_fd(agent->net, &err);
	if (fd < 0)
		log_warning("net.not_watched", "error=%s", LOG_Q(err.message));
	else
		sd_event_add_io(
			agent->loop, &reconciler->watch, fd, EPOLLIN, rules_changed, reconciler);
}

static void round_done(void *data)
{
	struct round *round = data;
	struct agent *agent = round->agent;
	struct reconciler *reconciler = agent->reconciler;

	round_results(agent, round);
	round_free(round);
	if (!reconciler)
		return; /* the agent is ending */
	watch(reconciler);
	arm(reconciler);
}

static void prune(struct agent *agent)
{
	db_prune(agent->db, clock_realtime_ms() - (int64_t)agent->config->operations_kept_ms,
		agent->config->events_kept);
}

static int timer_elapsed(sd_event_source *source, uint64_t usec, void *data)
{
	struct reconciler *reconciler = data;
	struct agent *agent = reconciler->agent;
	int64_t now = clock_monotonic_ns();
	struct round *round = calloc(1, sizeof(*round));

	(void)source;
	(void)usec;
	if (!round) {
		arm(reconciler);
		return 0;
	}
	*round = (struct round){.agent = agent,
		.storage = agent->storage,
		.net = agent->net,
		.config = agent->config,
		.accepted = engine_accepted(agent->engine),
		.repair = reconciler->repair,
		.whole = now - reconciler->last_round_ns >=
			 (int64_t)agent->config->reconcile_ms * 1000000};
	if (round->whole || round->repair) {
		reconciler->last_repair_ns = now;
		reconciler->repair = false;
	}
	if (round->whole) {
		reconciler->last_round_ns = now;
		drivers_survey(agent);
		prune(agent);
	}
	if (workers_submit(agent->workers, round_work, round_done, round) < 0) {
		round_free(round);
		arm(reconciler);
	}
	return 0;
}

int reconciler_create(struct agent *agent, struct reconciler **ret, struct err *err)
{
	struct reconciler *reconciler = calloc(1, sizeof(*reconciler));
	int r = -ENOMEM;

	if (reconciler) {
		reconciler->agent = agent;
		reconciler->last_round_ns = clock_monotonic_ns();
		r = sd_event_add_time_relative(agent->loop, &reconciler->timer, CLOCK_MONOTONIC,
			TEND_US, 0, timer_elapsed, reconciler);
	}
	if (r < 0) {
		free(reconciler);
		return err_errno(err, r, "cannot make the reconciler");
	}
	prune(agent);
	watch(reconciler);
	agent->hooks.rebooted = guest_rebooted;
	*ret = reconciler;
	return 0;
}

struct reconciler *reconciler_destroy(struct reconciler *reconciler)
{
	if (!reconciler)
		return NULL;
	reconciler->agent->hooks.rebooted = NULL;
	sd_event_source_disable_unref(reconciler->watch);
	sd_event_source_disable_unref(reconciler->timer);
	free(reconciler);
	return NULL;
}
