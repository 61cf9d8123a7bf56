/* Takes from the process all that it does not need to read an archive on stdin and to make files
 * below one directory. */
#pragma once

#include <stdint.h>

struct err;

/* Makes the directory `target` the root of a mount namespace that holds nothing else, in network
 * and IPC namespaces of its own; becomes root of a user namespace whose ids stand for nobody on the
 * host, while the files that it makes are stored with the ids that it gives them; keeps five
 * capabilities there; bounds memory, time and file sizes; and leaves open no other system call than
 * those that unpacking takes. Closes every descriptor but the standard ones. */
int confine(int target, uint64_t max_size, struct err *err);
