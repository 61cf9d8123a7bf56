/* Rules between keys, checked once all are read and defaults are in place. */
#include "agent/config/rules.h"

#include <string.h>
#include <sys/un.h>

#include "agent/config/config.h"
#include "agent/config/source.h"
#include "base/cleanup.h"
#include "base/err.h"

/* A guest's own ids: root to nobody. */
#define IDMAP_LEAST 65536

/* True when the rule is broken; `text` says how it goes. */
struct rule {
	const char *path;
	bool (*broken)(const struct config *config);
	const char *text;
};

static bool gateway_is_no_host(const struct config *config)
{
	uint32_t hosts = UINT32_MAX >> config->net.prefix;
	uint32_t host = config->net.gateway & hosts;

	return host == 0 || host == hosts;
}

static bool ports_are_reversed(const struct config *config)
{
	return config->net.port_first > config->net.port_last;
}

static bool loop_is_beyond_max(const struct config *config)
{
	return config->storage.loop_max > 0 && config->storage.loop_max < config->storage.loop_size;
}

static bool idmap_is_half(const struct config *config)
{
	return (config->idmap.base == 0) != (config->idmap.count == 0);
}

static bool idmap_is_small(const struct config *config)
{
	return config->idmap.count > 0 && config->idmap.count < IDMAP_LEAST;
}

static bool idmap_wraps(const struct config *config)
{
	return (uint64_t)config->idmap.base + config->idmap.count > UINT32_MAX;
}

static bool delays_are_reversed(const struct config *config)
{
	return config->restart.delay_ms > config->restart.delay_max_ms;
}

static bool socket_is_long(const struct config *config)
{
	return strlen(config->socket) >= sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

static const struct rule RULES[] = {
	{"run_dir", socket_is_long, "is too long for the socket in it: set socket"},
	{"net.gateway", gateway_is_no_host,
		"must be the address of a host in its network: neither the first nor the last "
		"that net.prefix allows"},
	{"net.port_last", ports_are_reversed, "must not be less than net.port_first"},
	{"storage.loop_max", loop_is_beyond_max,
		"must be 0 (the pool never grows) or at least storage.loop_size"},
	{"idmap", idmap_is_half, "needs both base and count, or neither"},
	{"idmap.count", idmap_is_small, "must be at least 65536"},
	{"restart.delay_max", delays_are_reversed, "must not be less than restart.delay"},
	{"idmap.count", idmap_wraps, "leads beyond the greatest id there is"},
};

int rules_check(const struct config *config, struct source *source, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(RULES); i++) {
		struct place place;

		if (!RULES[i].broken(config))
			continue;
		place = source_find(source, RULES[i].path);
		return place_fail(&place, err, "%s", RULES[i].text);
	}
	return 0;
}
