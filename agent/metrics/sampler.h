/* What guests use: gathered from their drivers, the network and the storage when somebody asks and
 * what is known is too old, at most once a second however many ask; and now and then by itself
 * (stats_interval), which is how a guest whose processes the kernel kills becomes an event.
 *
 * Nobody waits longer than a second: a driver that has not answered by then counts as not known,
 * and is not asked again before it has answered. How much storage is used changes slowly and costs
 * most, so it may be some seconds older than the rest. */
#pragma once

#include <stdint.h>

#include "drivers/driver.h"
#include "net/net.h"

struct agent;
struct err;
struct guest;
struct sampler;

/* What is known of one guest; pointers are valid until the loop goes on. NULL: not known. */
struct guest_usage {
	const struct driver_stats *driver; /* since its start */
	const struct net_guest_stats *net;
	const uint64_t *storage; /* bytes used */
	int64_t sampled_ms;	 /* when the driver's figures were taken; 0: never */
	/* Its driver has not told what a running guest uses since then; 0: it has, or it does not
	 * run. */
	int64_t unknown_since_ms;
};

int sampler_create(struct agent *agent, struct sampler **ret, struct err *err);

/* Whoever waits is called now; nothing is begun any more by itself. */
void sampler_stop(struct sampler *sampler);

/* To be called when neither drivers nor workers can answer any more. Accepts NULL, returns NULL. */
struct sampler *sampler_destroy(struct sampler *sampler);

/* Calls `ready` once figures are known that are at most so old (0: a second), or cannot be had:
 * now or within a second. */
void sampler_want(
	struct sampler *sampler, int64_t max_age_ms, void (*ready)(void *data), void *data);

/* What is known now. */
void sampler_usage(
	const struct sampler *sampler, const struct guest *guest, struct guest_usage *ret);

/* When figures were gathered last; 0: never. */
int64_t sampler_sampled_ms(const struct sampler *sampler);
