/* Guests of the Docker driver for tests: in a node with a dockerd of its own, made of its small
 * image. */
#pragma once

#include "conformance/conformance.h"
#include "docker_node.h"

struct CMUnitTest;

/* Enters such a node and makes the driver's directories, and what finds corpus-gate. */
void docker_guests_enter(const struct docker_node *what, struct driver_config *ret);

/* Fails the test when it cannot. */
void docker_guests_copy_program(const char *from, const char *to, mode_t mode);

/* As environment.container; the data of each guest are a directory of its own. */
const struct driver_container *docker_guests_container(const char *id, enum rootfs_kind kind);

/* Runs tests (guest_test) of the driver's program in such a node; the number that failed. */
int docker_guests_run(const struct docker_node *what, const char *program,
	const struct CMUnitTest *tests, size_t count, int (*teardown)(void **state));
