/* What an image is made of, on its way here: counted, hashed, bounded, and not yet trusted. */
#pragma once

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct image_source;

#define SOURCE_CHUNK 65536

struct source {
	const struct image_source *of;
	uint64_t max;	/* bytes */
	uint64_t bytes; /* so far */
	struct sha256_ctx hash;
	/* Read and not used up: from `sent` to `used`. */
	uint8_t chunk[SOURCE_CHUNK];
	size_t sent, used;
	bool ended;
};

void source_init(struct source *source, const struct image_source *of, uint64_t max);

/* Reads once what is there, behind what the chunk holds; to be called where it has room. */
int source_read(struct source *source, struct err *err);

/* Waits until the chunk, which begins anew when it is used up, is full or the end was read. */
int source_fill(struct source *source, struct err *err);

/* ERR_CANCELLED when it was. */
int source_progress(struct source *source, struct err *err);

/* After its end: whether that is what was to be sent. */
int source_end(struct source *source, char ret_sha256[static 65], struct err *err);
