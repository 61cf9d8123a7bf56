/* Starting guests; used inside drivers/lxc only. */
#pragma once

#include "drivers/definition.h"
#include "drivers/lxc/instance.h"

/* What asks the guest's init to shut down: systemd by SIGRTMIN+3, busybox's init by SIGUSR2, any
 * other by SIGPWR, as sysvinit and liblxc have it. ERR_DRIVER when there is no init to start. */
int init_halt_signal(const char *rootfs, int *ret, struct err *err);

/* Starts a guest of which nothing runs. On failure nothing is left. */
int lxc_guest_start(const struct lxc *lxc, const struct definition *definition,
	const struct lxc_paths *paths, struct err *err);
