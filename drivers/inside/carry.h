/* What a process does that carries the streams of a command between the node and a guest: bytes on
 * their way to who may be slow, and a terminal here that only passes on what one in the guest says.
 */
#pragma once

#include <stdbool.h>
#include <sys/ioctl.h>

#include "base/strbuf.h"

struct err;

/* The beginning of such a process, which has come from a driver's call and outlives it: it keeps
 * the descriptors of the `fds`, and bears what carries' name. SIGWINCH is blocked, to be read where
 * there is a terminal. Ends the process where that cannot be had. */
void carry_begin(int *const *fds, size_t count);

/* Bytes on their way. */
struct carry {
	int fd; /* where they go, owned; -1: nobody takes them any more */
	struct strbuf pending;
	size_t sent; /* of pending */
};

bool carry_is_empty(const struct carry *carry);

/* Writes what can be written without waiting. When nobody takes it, fd becomes -1 and false is
 * returned, once. */
bool carry_flush(struct carry *carry);

#define CARRY_INPUT_MAX 32768

/* What was read on the node and is on its way into the guest. */
struct carry_input {
	char data[CARRY_INPUT_MAX];
	size_t begin, end;
};

/* Reads what is there when nothing is on its way. At the end, which for a terminal is that of its
 * other side, *fd is closed and becomes -1. */
void carry_fetch(struct carry_input *input, int *fd);

/* Makes a terminal raw, and the controlling one of this process, which gets no signals by it:
 * *ret_signals becomes readable when its size has changed (carry_was_resized). SIGWINCH has to be
 * blocked in all threads. ERR_INVALID (terminal). */
int carry_take_terminal(int terminal, int *ret_signals, struct err *err);

/* Takes what *ret_signals says; whether there was something. */
bool carry_was_resized(int signals);

/* That of a terminal; where it has none, 24 lines of 80. */
struct winsize carry_size(int terminal);
