/* The head of an answer that hands its connection over. */
#include "drivers/docker/engine_head.h"

#include <ctype.h>
#include <string.h>

#include "base/err.h"

#define LINE_LEAST (sizeof("HTTP/1.1 200") - 1)

/* "HTTP/1.1 101 …" */
static int read_status(const char *line, size_t size, int *ret)
{
	const char *s = line + strlen("HTTP/1.");

	if (size < LINE_LEAST || memcmp(line, "HTTP/1.", strlen("HTTP/1.")) != 0 ||
		(s[0] != '0' && s[0] != '1') || s[1] != ' ')
		return -1;
	if (s[2] < '1' || s[2] > '5' || !isdigit((unsigned char)s[3]) ||
		!isdigit((unsigned char)s[4]) || (size > LINE_LEAST && s[5] != ' ' && s[5] != '\r'))
		return -1;
	*ret = (s[2] - '0') * 100 + (s[3] - '0') * 10 + (s[4] - '0');
	return 0;
}

int engine_head(const char *bytes, size_t size, int *ret_status, struct err *err)
{
	static const char end[] = "\r\n\r\n";
	const char *found = size ? memmem(bytes, size, end, strlen(end)) : NULL;
	size_t head = found ? (size_t)(found - bytes) + strlen(end) : 0;

	if (found ? head > ENGINE_HEAD_MAX : size > ENGINE_HEAD_MAX)
		return err_set(err, ERR_DRIVER, NULL, "the head of dockerd's answer is too long");
	if (!found)
		return 0;
	if (read_status(bytes, head, ret_status) < 0)
		return err_set(err, ERR_DRIVER, NULL, "what dockerd answers is not HTTP");
	return (int)head;
}
