/* Images by way of a real dockerd, for tests: files of the node's directory that the Docker driver
 * loads, and what dockerd has then. */
#pragma once

#include "conformance/program.h"
#include "docker_node.h"
#include "drivers/driver.h"

extern struct driver *g_driver;

/* A path in the node's directory, good until four more were asked for. */
const char *file_of(const char *name);

/* Runs a line of the shell in the node's directory. */
#define SHELL(fmt, ...) program_shell("cd %s; " fmt, node_dir() __VA_OPT__(, ) __VA_ARGS__)

int work(const struct driver_image_work *work, struct driver_image *ret, struct err *err);
int find(const char *name, struct driver_image *ret, struct err *err);
void assert_removed(const char *name);

/* Loads a file of the node's directory; `more` says how, beside name and descriptors. */
int load(const char *file, const char *name, struct driver_image_work more,
	struct driver_image *ret, struct err *err);
void assert_loaded(const char *file, const char *name, struct driver_image *ret);

/* All names that dockerd has, in one text; the caller's. */
char *names(void);
/* Whatever a failed call did, nothing of it is left. Frees `before`, which is what names() gave. */
void assert_unchanged(char *before);

/* The groups of tests; each returns the number that failed. */
int image_archives_run(void);
int image_registries_run(void);
