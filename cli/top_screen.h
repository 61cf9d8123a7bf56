/* A terminal taken over for a picture that is drawn again and again, and given back whatever
 * happens: at the end, and before a signal that ends or stops the process takes effect. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* Whether standard output is a terminal that can do it. */
bool screen_is_possible(void);

/* Another picture for the time being, no cursor, keys as they are pressed. */
int screen_open(struct err *err);
void screen_close(void);

/* Its size now, in columns and lines. */
void screen_size(size_t *ret_width, size_t *ret_height);

void screen_write(const char *text, size_t size);

enum screen_key {
	SCREEN_NOTHING, /* the time is over, or the size has changed, or a signal came */
	SCREEN_UP = 256,
	SCREEN_DOWN,
	SCREEN_PAGE_UP,
	SCREEN_PAGE_DOWN,
	SCREEN_END, /* nobody is there any more */
};

/* Waits for a key for at most so long: a character, or one of the above. */
int screen_key(int64_t timeout_ms);
