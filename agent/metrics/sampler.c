/* The sampler. */
#include "agent/metrics/sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/worker.h"
#include "agent/node/agent.h"
#include "agent/node/events.h"
#include "agent/node/registry.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "storage/storage.h"

#define WAIT_US	       UINT64_C(1000000) /* for whoever has to answer */
#define FRESH_MS       1000
#define STORAGE_AGE_MS 5000
#define IDLE_MS	       10000 /* looks again whether it should sample by itself */

/* The figures of one driver's guests. */
struct driver_sample {
	struct sampler *sampler;
	struct agent_driver *driver;
	struct driver_stats *stats; /* sorted by id */
	size_t count;
	int64_t sampled_ms; /* 0: never */
	bool asked;	    /* an answer is to come */
	bool awaited;	    /* and the gathering of now waits for it */
	bool known;	    /* it answered the last gathering */
};

struct volume_sample {
	char id[GUEST_ID_LEN + 1];
	uint64_t used;
	bool known;
};

struct waiter {
	void (*ready)(void *data);
	void *data;
	struct waiter *next;
};

struct sampler {
	struct agent *agent;
	int64_t created_ms;
	struct driver_sample *drivers; /* as agent->drivers */
	size_t drivers_count;
	struct net_guest_stats *net; /* sorted by id */
	size_t net_count;
	struct volume_sample *volumes; /* sorted by id */
	size_t volumes_count;
	int64_t volumes_ms; /* 0: never */
	bool host_asked, host_awaited, volumes_asked, volumes_awaited;

	bool gathering;
	int64_t gathered_ms, gathered_ns; /* 0: never */
	sd_event_source *patience, *periodic;
	struct waiter *waiters, **waiters_end;
};

/* --- Those who wait -------------------------------------------------------------------------- */

static int add_waiter(struct sampler *sampler, void (*ready)(void *data), void *data)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){.ready = ready, .data = data};
	*sampler->waiters_end = waiter;
	sampler->waiters_end = &waiter->next;
	return 0;
}

static void call_waiters(struct sampler *sampler)
{
	struct waiter *waiter = sampler->waiters;

	sampler->waiters = NULL;
	sampler->waiters_end = &sampler->waiters;
	while (waiter) {
		struct waiter *next = waiter->next;

		waiter->ready(waiter->data);
		free(waiter);
		waiter = next;
	}
}

/* --- A gathering's end ----------------------------------------------------------------------- */

static bool is_awaited(const struct sampler *sampler)
{
	for (size_t i = 0; i < sampler->drivers_count; i++)
		if (sampler->drivers[i].awaited)
			return true;
	return sampler->host_awaited || sampler->volumes_awaited;
}

static void finish_gathering(struct sampler *sampler)
{
	for (size_t i = 0; i < sampler->drivers_count; i++)
		sampler->drivers[i].awaited = false;
	sampler->host_awaited = sampler->volumes_awaited = false;
	sampler->gathering = false;
	sampler->gathered_ms = clock_realtime_ms();
	sampler->gathered_ns = clock_monotonic_ns();
	sd_event_source_set_enabled(sampler->patience, SD_EVENT_OFF);
	call_waiters(sampler);
}

/* Something that was awaited came, or cannot come. */
static void came(struct sampler *sampler)
{
	if (sampler->gathering && !is_awaited(sampler))
		finish_gathering(sampler);
}

static int patience_over(sd_event_source *source, uint64_t usec, void *data)
{
	struct sampler *sampler = data;

	(void)source;
	(void)usec;
	finish_gathering(sampler);
	return 0;
}

/* --- Drivers --------------------------------------------------------------------------------- */

static int compare_stats(const void *a, const void *b)
{
	return strcmp(((const struct driver_stats *)a)->id, ((const struct driver_stats *)b)->id);
}

static const struct driver_stats *find_stats(
	const struct driver_stats *stats, size_t count, const char *id)
{
	struct driver_stats key = {0};

	if (count == 0)
		return NULL;
	memcpy(key.id, id, sizeof(key.id));
	return bsearch(&key, stats, count, sizeof(key), compare_stats);
}

static void tell_oom(struct agent *agent, const struct guest *guest, uint64_t kills)
{
	struct db_txn *txn = db_txn_create();

	log_warning("guest.oom", "guest=%s kills=%llu", guest->name, (unsigned long long)kills);
	events_publish(agent->events, txn, "guest.oom",
		json_pack("{s:s, s:I, s:s}", "target", guest->name, "kills", (json_int_t)kills,
			"message",
			"the kernel killed processes of the guest, which was at its limit of "
			"memory"));
	agent_commit(agent, txn, false, NULL, NULL);
}

/* How many kills of one guest nobody has heard of yet. Of a guest that ran before we first looked,
 * earlier ones are old news. */
static uint64_t new_kills(const struct driver_sample *sample, const struct guest *guest,
	const struct driver_stats *now)
{
	const struct driver_stats *before = find_stats(sample->stats, sample->count, now->id);

	if (before && before->cpu_ns <= now->cpu_ns)
		return now->oom_kills > before->oom_kills ? now->oom_kills - before->oom_kills : 0;
	/* Started, or started anew, since. */
	return before || guest->since_ms >= sample->sampler->created_ms ? now->oom_kills : 0;
}

static void look_for_kills(
	const struct driver_sample *sample, const struct driver_stats *stats, size_t count)
{
	struct agent *agent = sample->sampler->agent;

	for (size_t i = 0; i < count; i++) {
		struct guest_entry *entry = stats[i].oom_kills > 0
						    ? registry_by_id(agent->registry, stats[i].id)
						    : NULL;
		uint64_t kills = entry ? new_kills(sample, entry->guest, &stats[i]) : 0;

		if (kills > 0)
			tell_oom(agent, entry->guest, kills);
	}
}

static int take_stats(struct driver_sample *sample, const struct driver_reply *reply)
{
	size_t count = reply->stats_count;
	struct driver_stats *stats = calloc(count + 1, sizeof(*stats));

	if (!stats)
		return -ENOMEM;
	if (count > 0)
		memcpy(stats, reply->stats, count * sizeof(*stats));
	qsort(stats, count, sizeof(*stats), compare_stats);
	look_for_kills(sample, stats, count);
	free(sample->stats);
	sample->stats = stats;
	sample->count = count;
	sample->sampled_ms = clock_realtime_ms();
	return 0;
}

static void driver_replied(void *data, const struct driver_reply *reply)
{
	struct driver_sample *sample = data;

	sample->asked = false;
	if (reply->error.code == ERR_CANCELLED)
		return; /* the agent is ending */
	sample->known = reply->result == 0 && take_stats(sample, reply) == 0;
	if (reply->result < 0)
		log_debug("stats.not_known", "driver=%s error=%s", sample->driver->settings->name,
			LOG_Q(reply->error.message));
	sample->awaited = false;
	came(sample->sampler);
}

static bool has_guests(const struct agent *agent, const char *driver)
{
	size_t count;
	struct guest_entry *const *sorted = registry_sorted(agent->registry, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(sorted[i]->guest->driver, driver) == 0)
			return true;
	return false;
}

static void ask_driver(struct driver_sample *sample)
{
	const struct driver_request request = {.call = DRIVER_CALL_STATS};
	struct agent_driver *driver = sample->driver;
	struct err err;

	sample->known = false;
	/* No process is started for nothing, and one that hangs has its question already. */
	if (sample->asked || !(driver->info.capabilities & DRIVER_CAN_STATS) ||
		!has_guests(driver->agent, driver->settings->name))
		return;
	sample->asked = sample->awaited =
		driver_client_call(driver->client, &request, driver_replied, sample, &err) == 0;
}

/* --- Network and storage --------------------------------------------------------------------- */

struct net_work {
	struct sampler *sampler;
	struct net *net;
	struct net_guest_stats *stats;
	size_t count;
	int r;
	struct err err;
};

static int compare_net(const void *a, const void *b)
{
	return strcmp(
		((const struct net_guest_stats *)a)->id, ((const struct net_guest_stats *)b)->id);
}

static void net_work(void *data)
{
	struct net_work *work = data;

	work->r = net_stats(work->net, &work->stats, &work->count, &work->err);
	if (work->r == 0 && work->count > 0)
		qsort(work->stats, work->count, sizeof(*work->stats), compare_net);
}

static void net_done(void *data)
{
	AUTOFREE struct net_work *work = data;
	struct sampler *sampler = work->sampler;

	sampler->host_asked = sampler->host_awaited = false;
	free(sampler->net);
	sampler->net = work->r == 0 ? work->stats : NULL;
	sampler->net_count = work->r == 0 ? work->count : 0;
	if (work->r < 0)
		log_debug("stats.not_known", "error=%s", LOG_Q(work->err.message));
	came(sampler);
}

static void ask_net(struct sampler *sampler)
{
	struct net_work *work;

	if (sampler->host_asked || !sampler->agent->net)
		return;
	work = calloc(1, sizeof(*work));
	if (!work)
		return;
	*work = (struct net_work){.sampler = sampler, .net = sampler->agent->net};
	if (workers_submit(sampler->agent->workers, net_work, net_done, work) < 0)
		free(work);
	else
		sampler->host_asked = sampler->host_awaited = true;
}

struct volumes_work {
	struct sampler *sampler;
	struct storage *storage;
	struct volume_sample *volumes;
	size_t count;
};

static int compare_volumes(const void *a, const void *b)
{
	return strcmp(((const struct volume_sample *)a)->id, ((const struct volume_sample *)b)->id);
}

static void volumes_work(void *data)
{
	struct volumes_work *work = data;

	for (size_t i = 0; i < work->count; i++) {
		struct volume_usage usage;

		work->volumes[i].known =
			volume_usage(work->storage, work->volumes[i].id, false, &usage, NULL) == 0;
		work->volumes[i].used = work->volumes[i].known ? usage.used : 0;
	}
	qsort(work->volumes, work->count, sizeof(*work->volumes), compare_volumes);
}

static void volumes_done(void *data)
{
	AUTOFREE struct volumes_work *work = data;
	struct sampler *sampler = work->sampler;

	sampler->volumes_asked = sampler->volumes_awaited = false;
	free(sampler->volumes);
	sampler->volumes = work->volumes;
	sampler->volumes_count = work->count;
	sampler->volumes_ms = clock_realtime_ms();
	came(sampler);
}

static struct volume_sample *all_volumes(const struct agent *agent, size_t *ret_count)
{
	struct guest_entry *const *sorted = registry_sorted(agent->registry, ret_count);
	struct volume_sample *volumes = calloc(*ret_count + 1, sizeof(*volumes));

	for (size_t i = 0; volumes && i < *ret_count; i++)
		memcpy(volumes[i].id, sorted[i]->guest->id, sizeof(volumes[i].id));
	return volumes;
}

/* Waited for only when nothing is known yet. */
static void ask_storage(struct sampler *sampler)
{
	struct agent *agent = sampler->agent;
	struct volumes_work *work;

	if (sampler->volumes_asked || !agent->storage ||
		clock_realtime_ms() - sampler->volumes_ms < STORAGE_AGE_MS)
		return;
	work = calloc(1, sizeof(*work));
	if (!work)
		return;
	*work = (struct volumes_work){.sampler = sampler, .storage = agent->storage};
	work->volumes = all_volumes(agent, &work->count);
	if (!work->volumes ||
		workers_submit(agent->workers, volumes_work, volumes_done, work) < 0) {
		free(work->volumes);
		free(work);
		return;
	}
	sampler->volumes_asked = true;
	sampler->volumes_awaited = sampler->volumes_ms == 0;
}

/* --- Gathering ------------------------------------------------------------------------------- */

static void gather(struct sampler *sampler)
{
	sampler->gathering = true;
	for (size_t i = 0; i < sampler->drivers_count; i++)
		ask_driver(&sampler->drivers[i]);
	ask_net(sampler);
	ask_storage(sampler);
	sd_event_source_set_time_relative(sampler->patience, WAIT_US);
	sd_event_source_set_enabled(sampler->patience, SD_EVENT_ONESHOT);
	came(sampler);
}

void sampler_want(
	struct sampler *sampler, int64_t max_age_ms, void (*ready)(void *data), void *data)
{
	int64_t age_ms = (clock_monotonic_ns() - sampler->gathered_ns) / 1000000;
	int64_t allowed = max_age_ms > FRESH_MS ? max_age_ms : FRESH_MS;

	if ((sampler->gathered_ns && age_ms < allowed && !sampler->gathering) ||
		add_waiter(sampler, ready, data) < 0)
		ready(data);
	else if (!sampler->gathering)
		gather(sampler);
}

static void nobody(void *data)
{
	(void)data;
}

static void arm_periodic(struct sampler *sampler)
{
	uint64_t interval = sampler->agent->config->stats_interval_ms;

	sd_event_source_set_time_relative(
		sampler->periodic, (interval ? interval : IDLE_MS) * 1000);
	sd_event_source_set_enabled(sampler->periodic, SD_EVENT_ONESHOT);
}

static int periodic_elapsed(sd_event_source *source, uint64_t usec, void *data)
{
	struct sampler *sampler = data;

	(void)source;
	(void)usec;
	if (sampler->agent->config->stats_interval_ms > 0)
		sampler_want(sampler, 0, nobody, NULL);
	arm_periodic(sampler);
	return 0;
}

/* --- What is known --------------------------------------------------------------------------- */

static const struct driver_sample *sample_of(
	const struct sampler *sampler, const struct guest *guest)
{
	for (size_t i = 0; i < sampler->drivers_count; i++)
		if (strcmp(sampler->drivers[i].driver->settings->name, guest->driver) == 0)
			return &sampler->drivers[i];
	return NULL;
}

static bool should_be_known(enum guest_state state)
{
	return state == GUEST_RUNNING || state == GUEST_FROZEN || state == GUEST_UNKNOWN;
}

static void driver_usage(
	const struct sampler *sampler, const struct guest *guest, struct guest_usage *ret)
{
	const struct driver_sample *sample = sample_of(sampler, guest);

	if (!sample)
		return;
	ret->sampled_ms = sample->sampled_ms;
	if (sample->known)
		ret->driver = find_stats(sample->stats, sample->count, guest->id);
	else if (should_be_known(guest->state))
		ret->unknown_since_ms =
			sample->sampled_ms ? sample->sampled_ms : sampler->created_ms;
}

void sampler_usage(
	const struct sampler *sampler, const struct guest *guest, struct guest_usage *ret)
{
	struct net_guest_stats net = {0};
	struct volume_sample volume = {0};
	const struct volume_sample *found;

	*ret = (struct guest_usage){0};
	driver_usage(sampler, guest, ret);
	memcpy(net.id, guest->id, sizeof(net.id));
	memcpy(volume.id, guest->id, sizeof(volume.id));
	if (sampler->net_count > 0)
		ret->net =
			bsearch(&net, sampler->net, sampler->net_count, sizeof(net), compare_net);
	if (sampler->volumes_count == 0)
		return;
	found = bsearch(
		&volume, sampler->volumes, sampler->volumes_count, sizeof(volume), compare_volumes);
	if (found && found->known)
		ret->storage = &found->used;
}

int64_t sampler_sampled_ms(const struct sampler *sampler)
{
	return sampler->gathered_ms;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int add_timers(struct sampler *sampler)
{
	sd_event *loop = sampler->agent->loop;
	int r = sd_event_add_time_relative(
		loop, &sampler->patience, CLOCK_MONOTONIC, 0, 0, patience_over, sampler);

	if (r >= 0)
		r = sd_event_source_set_enabled(sampler->patience, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(
			loop, &sampler->periodic, CLOCK_MONOTONIC, 0, 0, periodic_elapsed, sampler);
	if (r >= 0)
		arm_periodic(sampler);
	return r;
}

int sampler_create(struct agent *agent, struct sampler **ret, struct err *err)
{
	struct sampler *sampler = calloc(1, sizeof(*sampler));
	int r = -ENOMEM;

	if (sampler) {
		sampler->agent = agent;
		sampler->created_ms = clock_realtime_ms();
		sampler->waiters_end = &sampler->waiters;
		sampler->drivers = calloc(agent->drivers_count + 1, sizeof(*sampler->drivers));
		r = sampler->drivers ? add_timers(sampler) : -ENOMEM;
	}
	if (r < 0) {
		sampler_destroy(sampler);
		return err_errno(err, r, "cannot make the sampler");
	}
	sampler->drivers_count = agent->drivers_count;
	for (size_t i = 0; i < agent->drivers_count; i++)
		sampler->drivers[i] =
			(struct driver_sample){.sampler = sampler, .driver = &agent->drivers[i]};
	*ret = sampler;
	return 0;
}

void sampler_stop(struct sampler *sampler)
{
	if (!sampler)
		return;
	sd_event_source_set_enabled(sampler->periodic, SD_EVENT_OFF);
	if (sampler->gathering)
		finish_gathering(sampler);
}

struct sampler *sampler_destroy(struct sampler *sampler)
{
	if (!sampler)
		return NULL;
	for (size_t i = 0; i < sampler->drivers_count; i++)
		free(sampler->drivers[i].stats);
	free(sampler->drivers);
	free(sampler->net);
	free(sampler->volumes);
	sd_event_source_disable_unref(sampler->patience);
	sd_event_source_disable_unref(sampler->periodic);
	free(sampler);
	return NULL;
}
