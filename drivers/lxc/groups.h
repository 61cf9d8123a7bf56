/* The control groups that liblxc makes for guests: in every hierarchy a guest has corpus/ID with
 * guest (its processes), monitor (liblxc's process) and pivot (where a monitor goes to die); used
 * inside drivers/lxc only. The group corpus itself stays: it is common to all drivers of the host,
 * and one that removes it, empty, breaks another's start that is about to make its own in it. */
#pragma once

#include "drivers/cgroup/cgroup.h"

#define GROUPS_ROOT	"corpus"
#define GROUPS_ROOT_MAX 160

struct groups {
	struct cgroups cgroups;
	char root[GROUPS_ROOT_MAX]; /* of all guests' groups, from the mount: "corpus" */
};

/* Names the group that the guests' are made in ("corpus.slice/corpus-guests.service"): one that
 * systemd has delegated to us, and keeps its hands off. Without it they lie at the top. */
#define GROUPS_ENVIRONMENT "CORPUS_CGROUP"

int groups_find(struct groups *ret, struct err *err);

/* The group of the guest's processes. */
int groups_of(const struct groups *groups, const char *id, struct cgroup *ret);

/* Moves this process into the group of the guest's monitor. */
void groups_join_monitor(const struct groups *groups, const char *id);

/* Freezes or thaws the guest's processes and waits until they are. */
int groups_freeze(const struct groups *groups, const char *id, bool freeze);
bool groups_are_frozen(const struct groups *groups, const char *id);

/* Kills all that is in the guest's groups and waits for its end, up to timeout_ms. */
int groups_kill_all(const struct groups *groups, const char *id, uint64_t timeout_ms);

/* Whether any process is in the guest's groups. */
bool groups_are_populated(const struct groups *groups, const char *id);

/* Removes the guest's groups, which must be empty; absent is success. */
int groups_remove(const struct groups *groups, const char *id);
