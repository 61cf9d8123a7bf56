/* A driver whose guests are sleeping processes of the node: for tests of everything above drivers,
 * without root and in milliseconds. What it keeps survives its own death as with real drivers.
 * docs/WRITING-A-DRIVER.md has a section about it. */
#pragma once

#include "drivers/driver.h"

/* What a running fake guest is said to use: a lower memory limit is refused. */
#define FAKE_MEMORY_USED (1024 * 1024)

/* With this for an endpoint its guests are made of disks. */
#define FAKE_DISKS "disk"

/* With this they are containers, made of images that it pretends to keep (images.h). What is said
 * of their layers: */
#define FAKE_CONTAINERS "oci"
#define FAKE_LAYER_SIZE (64 * 1024 * 1024)
#define FAKE_LAYER_USED (1024 * 1024)

extern const struct driver_ops fake_driver_ops;

/* A descriptor of the wire, for faults that send garbage; -1 (as it begins): there is none. */
void fake_set_wire(int fd);
