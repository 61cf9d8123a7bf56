/* The command line as a whole: what every command needs to do its work and to say what it did. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct client;
struct err;

struct cli {
	struct client *client;
	const char *socket;
	FILE *out, *err_out;
	bool json;	     /* print the API's answers, not tables */
	bool yaml;	     /* as YAML; json is set, too */
	bool quiet;	     /* say nothing about success */
	bool wait;	     /* wait for the end of operations */
	bool dry_run;	     /* ask what would happen */
	bool colour;	     /* of tables, on a terminal only */
	bool progress;	     /* a line that tells how far an operation is, on a terminal only */
	uint64_t timeout_ms; /* how long to wait for an operation; 0: as long as it takes */
	const char *command; /* its name, for messages */
	bool reported;	     /* the error has been printed already */
	int status; /* the exit status, where it is not to follow from the error: a command's */
};

/* The whole program: parses, does, reports. Returns the exit status. */
int cli_main(int argc, char **argv);

/* Prints "corpus: COMMAND: SUBJECT: sentence" and a line about what to do next to standard error.
 * `subject` may be NULL. */
void cli_report(struct cli *cli, const char *subject, const struct err *err);

/* Prints a line to standard output unless quiet; what the arguments bring is not escaped. */
void cli_say(struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* From now on a signal to stop is only noted: there is something to say or to take back first. */
void cli_catch_signals(void);

/* Whether the user has asked to stop (SIGINT, SIGTERM). */
bool cli_interrupted(void);

/* True when the variable is set and not empty. */
bool cli_env_set(const char *name);
