/* What a guest is, asked for anew. */
#pragma once

struct agent;
struct guest_entry;

/* Asks the driver what the guest is, and takes the answer over when no operation has begun
 * meanwhile and nothing newer was seen. */
void refresh_guest(struct agent *agent, struct guest_entry *entry);
