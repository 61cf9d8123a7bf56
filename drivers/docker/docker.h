/* The Docker driver: containers of a dockerd of this machine. See drivers/driver.h. */
#pragma once

#include "drivers/driver.h"

extern const struct driver_ops docker_driver_ops;
