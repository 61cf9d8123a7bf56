/* Sees changes of guests: a process of its own has the one connection that libvirt's events come
 * by, so that whatever happens to that, the host never waits; used inside drivers/kvm only. */
#pragma once

#include "drivers/kvm/instance.h"

struct err;
struct watcher;

int watcher_create(struct kvm *kvm, struct watcher **ret, struct err *err);
/* Accepts NULL, returns NULL. */
struct watcher *watcher_free(struct watcher *watcher);

/* Readable when watcher_dispatch has something to do. */
int watcher_fd(const struct watcher *watcher);

/* As driver_ops.watch_dispatch. */
void watcher_dispatch(struct watcher *watcher, const char *id, driver_event_fn event, void *data);
