/* What the sieve's process does; used by the sieve only. */
#pragma once

#include "drivers/docker/sieve.h"

struct err;

/* Reads the archive and writes to `out`. */
int sieve_run(const struct sieve_work *work, int out, struct err *err);
