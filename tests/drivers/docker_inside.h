/* Containers of a test's own dockerd as the parts of the Docker driver see them that work inside of
 * guests: without the rest of the driver, so that a test can say what kind of container it is. */
#pragma once

#include <sys/wait.h>

#include "base/err.h"
#include "drivers/docker/inside.h"

#define PATIENCE_MS 60000
#define IDLE	    "while :; do sleep 100; done"

/* Starts a container of the small image with those options (end with NULL) and that script as its
 * program; NULL: it is only made. It is forgotten by the next one, and removed at the end of the
 * node. */
struct inside *inside_begin(const char *const *options, const char *script);
/* Puts a new corpus-gate in the place of the one that the containers have, as an upgrade does. */
void inside_upgrade(void);
/* Looks at it again: after it was started, or ended. */
void inside_look(void);
/* For another dockerd than the node's: a server of the test's own. */
void inside_connect(const char *socket);

#define OPTIONS(...)                                                                               \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__ __VA_OPT__(, ) NULL                                                    \
	}

#define ARGV(...)                                                                                  \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

/* A command that was begun: its result, and our ends of its streams. */
struct run {
	int result;
	struct err err;
	pid_t pid;
	int in, out, errs, status;
};

/* Begins a shell's command, or what `exec` says; its streams are pipes, or a terminal. */
struct run run_begin(struct driver_exec exec);
struct run run_shell(const char *script);
/* Waits for its end, closes all, and returns the wait status; -1: it was not seen. */
int run_end(struct run *run);

/* Reads until the text has come, or to the end with NULL; fails when it does not come. What was
 * read lives until the next call. */
const char *read_until(int fd, const char *text);

/* Of itself, in a while. */
void assert_gone(pid_t pid);

/* The groups of tests; each returns the number that failed. */
int inside_commands_run(void);
int inside_gate_run(void);
int inside_files_run(void);
int inside_consoles_run(void);
int inside_held_run(const struct driver_config *config);
