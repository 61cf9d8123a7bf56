/* Any bytes as corpusd's configuration: refused with a sentence, or within all bounds. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "fuzz.h"

/* A file without a place on a disk, and the path that leads to it. */
static const char *put(const uint8_t *data, size_t size)
{
	static char path[64];
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("corpusd.yaml", MFD_CLOEXEC);
	REQUIRE(fd >= 0 && ftruncate(fd, 0) == 0);
	REQUIRE(pwrite(fd, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static void check(const struct config *config)
{
	REQUIRE(config->workers >= 1 && config->workers <= 64);
	REQUIRE(config->socket_mode <= 0777);
	REQUIRE(config->state_dir[0] == '/' && config->socket[0] == '/');
	REQUIRE(config->net.prefix >= 8 && config->net.prefix <= 30);
	REQUIRE(config->net.port_first >= 1024 && config->net.port_first <= config->net.port_last);
	REQUIRE(config->drivers_count >= 1);
	for (size_t i = 0; i < config->drivers_count; i++)
		REQUIRE(config->drivers[i].name && config->drivers[i].program[0] == '/');
	for (size_t i = 0; i < config->grants_count; i++)
		REQUIRE(config->grants[i].role > ROLE_NONE && config->grants[i].role <= ROLE_ADMIN);
	REQUIRE(config_role(config, 0, NULL, 0) == ROLE_ADMIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL;
	struct err err = {0};

	if (config_load(put(data, size), &config, &err) == 0)
		check(config);
	else
		REQUIRE(!config && err.code != ERR_OK && *err.message);
	config_free(config);
	return 0;
}
