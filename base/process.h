/* Other programs: run one to its end, or start one that outlives us. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct process_options {
	const char *const *argv; /* argv[0] is looked up in PATH; ends with NULL */
	int stdin_fd;		 /* -1: /dev/null */
	int stdout_fd;		 /* -1: /dev/null */
	uint64_t timeout_ms;	 /* 0: none. At the deadline it is killed: ERR_TIMEOUT. Not for
				    detached ones */
	/* The rest is not for detached ones either; each may be NULL. Called in the new process
	 * before the program, with only what a signal handler might do: 0 or a negative errno,
	 * which ends it. Descriptors of the caller are open still. */
	int (*enter)(void *data);
	/* Called several times a second; non-zero ends it: ERR_CANCELLED. */
	int (*cancelled)(void *data);
	void *data;
	/* Gets the exit status; every one is success then but 126 and 127: it could not be run. */
	int *ret_status;
};

/* Runs a program and waits for its end. Exit status 0 is success; anything else is ERR_INTERNAL
 * with the end of what it wrote to stderr in the message. All other descriptors are closed in it.
 * It leads a process group of its own, which is killed at the deadline, and is itself killed when
 * the calling thread ends: nothing goes on that nobody waits for. A daemon that it leaves behind
 * runs on, and is not waited for. */
int process_run(const struct process_options *options, struct err *err);

/* Runs a program of which only the words count: what it wrote to its standard output, at most `max`
 * bytes, which the caller frees. */
int process_read(
	const char *const *argv, uint64_t timeout_ms, size_t max, char **ret_text, struct err *err);

/* Whether a program is where a system's programs are. */
bool process_is_installed(const char *program);

/* Starts a program in a session of its own; its parent becomes init, so it outlives the caller and
 * leaves no zombie with it. Returns its pid (> 0) once it runs, or a negative errno. stderr is
 * inherited. */
pid_t process_start_detached(const struct process_options *options, struct err *err);

/* A pidfd of process `pid`, or a negative errno (-ESRCH: it is gone). */
int process_pidfd(pid_t pid);

/* Sends it a signal, by its pidfd; 0 only asks whether it is there. -ESRCH when it is gone, or the
 * pidfd is none. */
int process_signal(int pidfd, int signal);

/* Time of its start in clock ticks since boot (proc(5), field 22 of stat): with the pid it names a
 * process for ever. -ESRCH when it is gone. */
int process_start_time(pid_t pid, uint64_t *ret);

/* A limit of the calling process (setrlimit(2)), soft and hard. */
struct process_limit {
	int what; /* RLIMIT_… */
	uint64_t most;
};

/* Sets all of them, with only what a signal handler might do. */
int process_set_limits(const struct process_limit *limits, size_t count);

/* Raises the number of descriptors that may be open to the most that we may have: a shell's usual
 * 1024 are fewer than many guests need. Inherited by what is started afterwards. */
void process_raise_files(void);
