/* Scope-bound cleanup: a variable that owns something says so where it is declared, and is
 * released on every way out of its scope. TAKE_PTR and TAKE_FD hand the ownership on. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Attribute for a variable: calls `func(&variable)` when the scope is left. */
#define CLEANUP(func) __attribute__((cleanup(func)))

/* Yields the pointer and leaves NULL behind. */
#define TAKE_PTR(ptr)                                                                              \
	({                                                                                         \
		__auto_type take_tmp_ = (ptr);                                                     \
		(ptr) = NULL;                                                                      \
		take_tmp_;                                                                         \
	})

/* Yields the file descriptor and leaves -1 behind. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int take_tmp_ = (fd);                                                              \
		(fd) = -1;                                                                         \
		take_tmp_;                                                                         \
	})

/* Defines `name`p, for use with CLEANUP, from a destructor that accepts NULL. */
#define DEFINE_CLEANUP(type, func)                                                                 \
	static inline void func##p(type *p)                                                        \
	{                                                                                          \
		if (*p)                                                                            \
			func(*p);                                                                  \
	}

/* Closes unless negative; keeps errno. Always returns -1, so that `fd = fd_close(fd)` reads well.
 */
static inline int fd_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		close(fd);
		errno = saved;
	}
	return -1;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void fd_closep(int *fd)
{
	*fd = fd_close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define AUTOFREE  CLEANUP(freep)
#define AUTOCLOSE CLEANUP(fd_closep)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
