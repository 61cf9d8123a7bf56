/* What drivers without real guests are tested in: a directory of one's own, with root trees that
 * hold no more than an empty /sbin/init, and /etc/ignore-shutdown where it is a stubborn one. */
#pragma once

#include "conformance/conformance.h"

/* Makes it; exits when it cannot. */
void plain_enter(void);
const char *plain_dir(void);
/* State and run directories in it. */
struct driver_config plain_config(void);
const char *plain_rootfs(enum rootfs_kind kind);
void plain_leave(void);
