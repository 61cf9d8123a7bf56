/* What an image is made of, on its way here. */
#include "storage/source.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "storage/storage.h"

#define POLL_MS 200

void source_init(struct source *source, const struct image_source *of, uint64_t max)
{
	*source = (struct source){.of = of, .max = max};
	sha256_init(&source->hash);
}

int source_read(struct source *source, struct err *err)
{
	uint8_t *to = source->chunk + source->used;
	ssize_t n = read(source->of->fd, to, sizeof(source->chunk) - source->used);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return err_errno(err, errno, "cannot read what is sent");
	source->ended = n == 0;
	source->used += (size_t)n;
	source->bytes += (uint64_t)n;
	sha256_update(&source->hash, (size_t)n, to);
	if (source->bytes > source->max)
		return err_set(err, ERR_TOO_LARGE, NULL,
			"what is sent has more than %" PRIu64 " bytes", source->max);
	return 0;
}

int source_progress(struct source *source, struct err *err)
{
	const struct image_source *of = source->of;

	if (of->progress && of->progress(of->progress_data, source->bytes) != 0)
		return err_set(err, ERR_CANCELLED, NULL, "the import was cancelled");
	return 0;
}

int source_fill(struct source *source, struct err *err)
{
	struct pollfd p = {.fd = source->of->fd, .events = POLLIN};
	int r = 0;

	if (source->sent == source->used)
		source->sent = source->used = 0;
	while (r == 0 && !source->ended && source->used < sizeof(source->chunk)) {
		int ready = poll(&p, 1, POLL_MS);

		if (ready < 0 && errno != EINTR)
			return err_errno(err, errno, "cannot wait for what is sent");
		if (ready > 0)
			r = source_read(source, err);
		if (r == 0)
			r = source_progress(source, err);
	}
	return r;
}

int source_end(struct source *source, char ret_sha256[static 65], struct err *err)
{
	const struct image_source *of = source->of;
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_digest(&source->hash, sizeof(digest), digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(ret_sha256 + 2 * i, 3, "%02x", digest[i]);
	if (of->sha256 && strcasecmp(of->sha256, ret_sha256) != 0)
		return err_set(err, ERR_INVALID, "sha256",
			"the SHA-256 of what was sent is %s, not %s", ret_sha256, of->sha256);
	if (of->whole && !of->whole(of->whole_data))
		return err_set(err, ERR_MALFORMED, NULL,
			"the transfer was cut before its end: send it again");
	return 0;
}
