/* A node of one's own (node.h) with a dockerd of its own, for tests with real containers:
 * everything it keeps, its containers and their control groups go with this process, however it
 * ends. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "node.h"

struct docker_node {
	const char *storage; /* NULL: overlay2, in memory; btrfs: can bound layers; vfs */
	bool bridge;	     /* docker0 and its rules, as on any host */
	bool live_restore;   /* containers outlive it */
	bool userns;	     /* containers have user namespaces, which begin at 20000000 */
};

/* NULL: all as on a host without settings, but without a bridge. Exits with a message when it
 * cannot be had. */
void docker_node_enter(const struct docker_node *what);
const char *docker_node_socket(void);
pid_t docker_node_dockerd(void);
/* Who runs a container for it: while that is stopped dockerd does nothing to the container, and
 * keeps who asks about it waiting. */
pid_t docker_node_shim(pid_t container);

/* Ends dockerd by that signal and waits until it and its containerd are gone. SIGSTOP and SIGCONT:
 * it hangs, and goes on. */
void docker_node_signal(int signal);
/* Starts it again and waits until it answers. */
void docker_node_start(void);

/* Runs Docker's own command with those words (which end with NULL); returns what it printed to
 * stdout, without the last newline, until the next call; NULL when it failed, and prints why. */
const char *docker_node_run(const char *const *words);
#define DOCKER(...) docker_node_run((const char *const[]){__VA_ARGS__, NULL})

/* The small image, as `corpus image build busybox` makes it, by its name there: loaded when it is
 * not. From the cache: it is built when it is not there. */
const char *docker_node_image(void);

/* Starts Docker's own registry, empty, without TLS, where USER is let in. Where it is is its
 * result. */
const char *docker_node_registry(void);
#define DOCKER_NODE_USER     "puller"
#define DOCKER_NODE_PASSWORD "a secret word"
/* Puts the small image there by that name, which is the registry's; USER stays logged in. */
bool docker_node_push(const char *registry, const char *name);
/* Starts one that has the small image by every name, and does that to who pulls it: a word of
 * tests/harness/odd_registry.py. It ends with the node or by keeper_stop(*ret_pid). */
const char *docker_node_odd_registry(const char *fault, pid_t *ret_pid);

/* The control group that containers lie in, below each hierarchy: "/NAME". */
const char *docker_node_group(void);

/* NULL, or what is left of a guest: its link, processes that name it; when it is destroyed also
 * containers, volumes and images with its label. */
const char *docker_node_leftovers(const char *id, bool defined);
