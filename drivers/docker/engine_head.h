/* The head of an answer that hands its connection over (RFC 9110, 7.8; RFC 9112): what libcurl does
 * not do; used by the engine only. */
#pragma once

#include <stddef.h>

struct err;

#define ENGINE_HEAD_MAX (16 * 1024)

/* Looks at what has come so far. > 0: the head is whole and ends there, *ret_status is what it
 * says; 0: more is needed; negative: it is no head of HTTP/1.x, or too long (ERR_DRIVER). */
int engine_head(const char *bytes, size_t size, int *ret_status, struct err *err);
