/* The node's end of the link of a guest that is a container; for drivers. */
#pragma once

struct err;

/* Removes the veth of that name, and with it the guest's end. Absent is success; a link of another
 * kind is left alone and is success too: it is none of ours. */
int link_remove(const char *name, struct err *err);
