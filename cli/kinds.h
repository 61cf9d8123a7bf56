/* Kinds of images that can be built here: programs that write a tar archive to standard output. */
#pragma once

#include <stdbool.h>

/* Path of the program of a kind; the caller frees it. NULL when there is none. */
char *kinds_program(const char *kind);

/* Names of all kinds, sorted and joined; the caller frees it. NULL without memory. */
char *kinds_list(const char *separator);

/* Path of one of our programs that are not for people, or of a folder of them: in the directory
 * that CORPUS_LIBEXEC in the environment names, else beside our own program, else where they are
 * installed. NULL when it is not there; the caller frees it. */
char *kinds_libexec(const char *name);
