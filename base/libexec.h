/* Where our own programs are that are not for people. */
#pragma once

struct err;

/* Path of such a program ("corpus-driver-lxc", "corpus-unpack"): in the directory that
 * CORPUS_LIBEXEC in the environment names, else beside our own program, else where it is installed.
 * The caller frees it. */
int libexec_find(const char *program, char **ret, struct err *err);
