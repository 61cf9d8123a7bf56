/* Daemons in a node of one's own (node.h), whose guests are nobody's children: when this process is
 * gone, whatever became of it, a keeper ends all that lives in the node's network. */
#pragma once

#include <sys/types.h>

/* What else there is to be done in the end; each may be NULL. */
struct keeper {
	int (*first)(void); /* ends what is elsewhere; until there is nothing: returns how many */
	void (*last)(void); /* when all processes are gone */
};

/* After node_enter(). Exits with a message when it cannot be. */
void keeper_begin(const struct keeper *keeper);

/* Starts a daemon in the node, which writes to NAME.log in its folder; returns its pid. What it
 * leaves behind is reaped at once. Exits with a message when it cannot be. */
pid_t keeper_start(const char *const *argv, const char *name);

/* Calls `act` for each process that lives in the node's network but this one and minders; returns
 * how many there are. */
int keeper_each(void (*act)(pid_t pid));

/* Ends a process, and reaps it when it is a child of this one. */
void keeper_end_process(pid_t pid);
/* Sends a daemon a signal; after SIGSTOP nothing of it goes on. */
void keeper_signal(pid_t pid, int signal);
/* Ends a daemon and waits until it is gone. */
void keeper_stop(pid_t pid);
/* Removes a control group with all below, as far as nobody lives there. */
void keeper_remove_group(const char *path);
