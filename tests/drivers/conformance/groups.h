/* The groups of the suite's tests; each runs those that the driver is bound to, and returns the
 * number that failed. */
#pragma once

int life_run(const char *name);
int limits_run(const char *name);
int commands_run(const char *name);
int files_run(const char *name);
int files_refused_run(const char *name);
int consoles_run(const char *name);
