/* Files of the tree that a seed is written into, by their paths in it. */
#pragma once

#include <sys/types.h>

/* Where that is on this machine; written by the test. */
char *in_tree(char buf[static 256], const char *path);
#define IN(path) in_tree((char[256]){0}, path)

void put(const char *path, const char *text, mode_t mode);
char *get(const char *path); /* to be freed */
void assert_holds(const char *path, const char *expected);
void assert_mode(const char *path, mode_t mode);
