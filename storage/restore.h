/* Restores, when the pool is opened. */
#pragma once

struct storage;

/* Removes copies that were made for a restore and did not get in place, or left it again. What was
 * put aside stays: its operation decides. */
int restore_settle(struct storage *s);
