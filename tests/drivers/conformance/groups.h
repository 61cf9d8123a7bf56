/* The parts of the suite that have files of their own; each returns the number of failed tests. */
#pragma once

int commands_run(const char *name);
int consoles_run(const char *name);
int files_run(const char *name);
