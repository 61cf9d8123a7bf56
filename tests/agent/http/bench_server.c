/* What bench-http can be run against to see the HTTP server alone: the tests' handlers, until
 * SIGTERM or SIGINT.
 *
 *     bench-http-server SOCKET */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "fixture.h"

static enum role role_of(void *agent, uid_t uid, const gid_t *gids, size_t gids_count)
{
	(void)agent, (void)uid, (void)gids, (void)gids_count;
	return ROLE_ADMIN;
}

static int serve(sd_event *loop, const char *path)
{
	struct handlers *handlers = handlers_create(loop);
	struct http_config config = {
		.socket_path = path,
		.socket_mode = 0600,
		.listen_fd = -1,
		.routes = HANDLERS_ROUTES,
		.routes_count = HANDLERS_ROUTES_COUNT,
		.agent = handlers,
		.role_of = role_of,
	};
	struct http_server *server;
	struct err err;
	int r = http_server_create(loop, &config, &server, &err);

	if (r < 0) {
		fprintf(stderr, "bench-http-server: %s\n", err.message);
	} else {
		r = sd_event_loop(loop);
		http_server_destroy(server);
	}
	handlers_destroy(handlers);
	return r;
}

int main(int argc, char **argv)
{
	sd_event *loop;
	sigset_t mask;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: bench-http-server SOCKET\n");
		return 2;
	}
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (sd_event_new(&loop) < 0)
		return 1;
	sd_event_add_signal(loop, NULL, SIGTERM, NULL, NULL);
	sd_event_add_signal(loop, NULL, SIGINT, NULL, NULL);
	r = serve(loop, argv[1]);
	sd_event_unref(loop);
	return r < 0 ? 1 : 0;
}
