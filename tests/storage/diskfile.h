/* Disks for tests, made by qemu-img, in memory files. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A raw disk of that size with some data at its beginning, and a MiB of noise in its middle. */
int diskfile_raw(uint64_t size);

/* The same as qcow2; `options` are those of qemu-img convert -o, or NULL. */
int diskfile_qcow2(uint64_t size, const char *options);

/* Runs a program with /dev/fd/N names for what it is given; fails the test unless it succeeds. */
void diskfile_run(const char *const *argv);

/* Changes bytes of it: a big-endian number of 1, 2, 4 or 8 bytes. */
void diskfile_patch(int fd, uint64_t offset, size_t bytes, uint64_t value);
uint64_t diskfile_peek(int fd, uint64_t offset, size_t bytes);
