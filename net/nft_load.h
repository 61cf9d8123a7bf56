/* Loading a ruleset given as text, by libnftables. */
#pragma once

struct err;

/* Carries the text out as one transaction. It happens in a forked child: the parser's memory goes
 * with it, and so does the process if the library runs into an assertion or a bad pointer, as
 * version 1.0.6 does when it meets a set where it expects a map. ERR_UNSUPPORTED with the library's
 * own words. Takes a few milliseconds, at most 10 s. */
int nft_load(const char *text, struct err *err);
