/* Upgrades (RFC 9110, 7.8): a connection that leaves HTTP, and this server. libmicrohttpd forgets a
 * connection that it handed over by close(2) alone, never by shutdown(2), so a duplicate lives on,
 * here or in another process. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#include "agent/http/internal.h"
#include "base/cleanup.h"
#include "base/log.h"

/* Whether a list of tokens, separated by commas, holds one of them. */
static bool lists(const char *list, const char *token)
{
	size_t size = strlen(token);

	while (list && *list) {
		size_t n;

		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == size && strncasecmp(list, token, n) == 0)
			return true;
		list += n;
	}
	return false;
}

bool http_wants_upgrade(const struct http_request *request, const char *protocol)
{
	return request->modern && !request->head &&
	       lists(http_header(request, "Connection"), "upgrade") &&
	       lists(http_header(request, "Upgrade"), protocol);
}

void http_respond_upgrade(
	struct http_request *request, const char *protocol, http_upgraded_fn taken, void *data)
{
	if (!request->connection) {
		http_respond_empty(request, 101);
		taken(data, -1, NULL, 0);
		return;
	}
	request->upgrade = (struct upgrade){taken, data};
	http_add_header(request, "Upgrade", protocol);
	http_respond_empty(request, 101);
}

void upgrade_finish(struct http_request *request, int fd, const char *extra, size_t size)
{
	struct upgrade upgrade = request->upgrade;

	request->upgrade = (struct upgrade){0};
	if (upgrade.taken)
		upgrade.taken(upgrade.data, fd, extra, size);
}

static void on_upgraded(void *data, struct MHD_Connection *mhd, void *context, const char *extra,
	size_t size, MHD_socket socket, struct MHD_UpgradeResponseHandle *handle)
{
	struct http_request *request = data;
	int fd = fcntl(socket, F_DUPFD_CLOEXEC, 3);

	(void)mhd, (void)context;
	request->connection->hangup = sd_event_source_disable_unref(request->connection->hangup);
	if (fd < 0)
		log_warning("http.upgrade_failed", "errno=%d", errno);
	MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
	sd_event_source_set_enabled(request->server->again, SD_EVENT_ONESHOT);
	upgrade_finish(request, fd, extra, size);
}

struct MHD_Response *upgrade_response(struct http_request *request)
{
	return MHD_create_response_for_upgrade(on_upgraded, request);
}
