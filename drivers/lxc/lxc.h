/* The LXC driver: containers by liblxc, unprivileged unless asked otherwise. */
#pragma once

#include "drivers/driver.h"

extern const struct driver_ops lxc_driver_ops;
