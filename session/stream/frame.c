/* Frames. */
#include "session/stream/frame.h"

#include <errno.h>
#include <string.h>

static const struct {
	uint8_t type;
	bool data;
	uint32_t max;
} TYPES[] = {
	{FRAME_STDIN, true, FRAME_DATA_MAX},
	{FRAME_STDIN_EOF, false, 0},
	{FRAME_RESIZE, false, 4},
	{FRAME_SIGNAL, false, 16},
	{FRAME_DETACH, false, 0},
	{FRAME_STDOUT, true, FRAME_DATA_MAX},
	{FRAME_STDERR, true, FRAME_DATA_MAX},
	{FRAME_EXIT, false, FRAME_CONTROL_MAX},
	{FRAME_NOTICE, false, FRAME_CONTROL_MAX},
};

void frame_head(uint8_t ret[static FRAME_HEAD], enum frame_type type, uint32_t length)
{
	ret[0] = (uint8_t)type;
	for (unsigned i = 0; i < 4; i++)
		ret[1 + i] = (uint8_t)(length >> (24 - 8 * i));
}

void frame_head_read(const uint8_t head[static FRAME_HEAD], uint8_t *ret_type, uint32_t *ret_length)
{
	*ret_type = head[0];
	*ret_length = 0;
	for (unsigned i = 0; i < 4; i++)
		*ret_length = *ret_length << 8 | head[1 + i];
}

bool frame_is_data(uint8_t type)
{
	return type == FRAME_STDIN || type == FRAME_STDOUT || type == FRAME_STDERR;
}

static int check(uint8_t type, uint32_t length)
{
	for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
		if (TYPES[i].type == type)
			return length <= TYPES[i].max ? 0 : -EBADMSG;
	return -EBADMSG;
}

static void move_on(const char **data, size_t *size, size_t n)
{
	*data += n;
	*size -= n;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* 1: the head is whole. */
static int take_head(struct frame_reader *reader, const char **data, size_t *size)
{
	size_t n = smaller(FRAME_HEAD - reader->head_used, *size);

	memcpy(reader->head + reader->head_used, *data, n);
	reader->head_used += (unsigned)n;
	move_on(data, size, n);
	if (reader->head_used < FRAME_HEAD)
		return 0;
	frame_head_read(reader->head, &reader->type, &reader->left);
	reader->used = 0;
	return check(reader->type, reader->left) < 0 ? -EBADMSG : 1;
}

static int take_data(
	struct frame_reader *reader, const char **data, size_t *size, struct frame *ret)
{
	size_t n = smaller(reader->left, *size);

	if (n == 0)
		return 0;
	*ret = (struct frame){reader->type, *data, n};
	move_on(data, size, n);
	reader->left -= (uint32_t)n;
	if (reader->left == 0)
		reader->head_used = 0;
	return 1;
}

static int take_control(
	struct frame_reader *reader, const char **data, size_t *size, struct frame *ret)
{
	size_t n = smaller(reader->left, *size);

	memcpy(reader->control + reader->used, *data, n);
	move_on(data, size, n);
	reader->used += (uint32_t)n;
	reader->left -= (uint32_t)n;
	if (reader->left > 0)
		return 0;
	reader->control[reader->used] = '\0';
	reader->head_used = 0;
	*ret = (struct frame){reader->type, reader->control, reader->used};
	return 1;
}

int frame_next(struct frame_reader *reader, const char **data, size_t *size, struct frame *ret)
{
	int r;

	do {
		bool begun = reader->head_used == FRAME_HEAD;

		r = begun ? 1 : take_head(reader, data, size);
		if (r <= 0)
			return r;
		if (!frame_is_data(reader->type))
			return take_control(reader, data, size, ret);
		if (reader->left == 0)
			reader->head_used = 0; /* an empty one says nothing */
		else
			return take_data(reader, data, size, ret);
	} while (*size > 0);
	return 0;
}
