/* Taking a node out of service. */
#include "agent/reconcile/retire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "agent/config/config.h"
#include "agent/reconcile/host.h"
#include "agent/state/db.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "model/guest.h"
#include "net/net.h"
#include "storage/storage.h"

struct census {
	size_t count;
	char first[254];
};

static int count_guest(void *data, struct guest *guest)
{
	struct census *census = data;

	if (census->count++ == 0)
		snprintf(census->first, sizeof(census->first), "%.253s", guest->name);
	guest_free(guest);
	return 0;
}

static int refuse_guests(const struct config *config, struct err *err)
{
	CLEANUP(sd_event_unrefp) sd_event *loop = NULL;
	struct census census = {0};
	struct db *db = NULL;
	char path[4096];
	int r = file_path(path, sizeof(path), "%s/state.db", config->state_dir);

	if (r == 0)
		r = sd_event_new(&loop);
	if (r < 0)
		return err_errno(err, r, "cannot read %s/state.db", config->state_dir);
	r = db_open(loop, path, false, &db, err);
	if (r == 0)
		r = db_load_guests(db, count_guest, &census, err);
	db_close(db);
	if (r == 0 && census.count > 0)
		return err_set(err, ERR_CONFLICT, NULL,
			"there are guests on this node (%zu, the first is %s): destroy them, or "
			"move them away, "
			"first",
			census.count, census.first);
	return r;
}

static void free_names(char ***names)
{
	for (char **name = *names; name && *name; name++)
		free(*name);
	free(*names);
}

static int refuse_volumes(struct storage *storage, struct err *err)
{
	CLEANUP(free_names) char **volumes = NULL;
	int r = volume_list(storage, &volumes, err);

	if (r == 0 && volumes && volumes[0])
		return err_set(err, ERR_CONFLICT, NULL,
			"the pool holds volume %s, which belongs to no guest: delete it first",
			volumes[0]);
	return r;
}

static int retire_storage(const struct config *config, struct err *err)
{
	struct storage *storage = NULL;
	int r = host_open_storage(config, &storage, err);

	if (r == 0)
		r = refuse_volumes(storage, err);
	if (r < 0) {
		storage_close(storage);
		return r;
	}
	return storage_release(storage, err);
}

static int retire_net(const struct config *config, struct err *err)
{
	struct net *net = NULL;
	int r = host_open_net(config, &net, err);

	if (r == 0)
		r = net_teardown(net, err);
	net_close(net);
	return r;
}

static int leave_mark(const struct config *config, struct err *err)
{
	char path[4096];
	int r = file_path(path, sizeof(path), "%s/" RETIRED_MARK, config->state_dir);

	if (r == 0)
		r = file_replace(path, "", 0600, true);
	return r < 0 ? err_errno(err, r, "cannot write %s", path) : 0;
}

int retire(const struct config *config, struct err *err)
{
	int r = refuse_guests(config, err);

	if (r == 0)
		r = retire_storage(config, err);
	if (r == 0)
		r = retire_net(config, err);
	if (r == 0)
		r = leave_mark(config, err);
	if (r == 0)
		log_info("node.retired", "state_dir=%s", config->state_dir);
	return r;
}
