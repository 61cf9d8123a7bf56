/* Errors: making them, and the one table that says what each code means outside. */
#include "base/err.h"

#undef err_set /* as the analyzer sees them: err.h */
#undef err_errno

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"

struct code_info {
	const char *name;
	const char *title;
	int errnum;
	int http;
	int exit;
};

static const struct code_info CODES[ERR_CODE_MAX_] = {
	[ERR_OK] = {"ok", "OK", 0, 200, 0},
	[ERR_MALFORMED] = {"malformed", "Malformed request", EBADMSG, 400, 2},
	[ERR_UNAUTHORIZED] = {"unauthorized", "Not authenticated", EACCES, 401, 4},
	[ERR_DENIED] = {"denied", "Not permitted", EPERM, 403, 4},
	[ERR_NOT_FOUND] = {"not_found", "Not found", ENOENT, 404, 3},
	[ERR_METHOD] = {"method_not_allowed", "Method not allowed", EOPNOTSUPP, 405, 2},
	[ERR_EXISTS] = {"exists", "Already exists", EEXIST, 409, 5},
	[ERR_ILLEGAL_STATE] = {"illegal_state", "Not possible in this state", EBUSY, 409, 5},
	[ERR_CONFLICT] = {"conflict", "Conflict", EBUSY, 409, 5},
	[ERR_NO_SLOT] = {"no_slot", "No free slot", EAGAIN, 409, 6},
	[ERR_PRECONDITION] = {"precondition_failed", "Precondition failed", ESTALE, 412, 5},
	[ERR_TOO_LARGE] = {"too_large", "Too large", EFBIG, 413, 2},
	[ERR_MEDIA_TYPE] = {"media_type", "Unsupported media type", EPROTOTYPE, 415, 2},
	[ERR_INVALID] = {"invalid", "Invalid value", EINVAL, 422, 2},
	[ERR_KEY_REUSED] = {"key_reused", "Idempotency key used before", EINVAL, 422, 2},
	[ERR_RATE] = {"too_many_requests", "Too many requests", EAGAIN, 429, 7},
	[ERR_INTERNAL] = {"internal", "Internal error", EIO, 500, 1},
	[ERR_UNSUPPORTED] = {"unsupported", "Not supported", ENOTSUP, 501, 8},
	[ERR_DRIVER] = {"driver_failed", "The driver failed", EREMOTEIO, 502, 1},
	[ERR_UNAVAILABLE] = {"unavailable", "Temporarily unavailable", EAGAIN, 503, 7},
	[ERR_TIMEOUT] = {"timeout", "Deadline passed", ETIMEDOUT, 504, 7},
	[ERR_NO_ROOM] = {"no_room", "No room left", ENOSPC, 507, 6},
	[ERR_CANCELLED] = {"cancelled", "Cancelled", ECANCELED, 409, 1},
};

static const struct code_info *info(enum err_code code)
{
	return &CODES[code >= 0 && code < ERR_CODE_MAX_ ? code : ERR_INTERNAL];
}

/* Copies what fits, appending at `used`; returns what is used then. */
static size_t append(char *buf, size_t size, size_t used, const char *text)
{
	size_t n = strlen(text), room = size - 1 - used;

	if (n > room)
		n = room;
	memmove(buf + used, text, n);
	buf[used + n] = '\0';
	return used + n;
}

/* `field` and `text` may point into *err; the field goes first since it comes from no other place
 * than a field. */
static int fill(
	struct err *err, enum err_code code, int errnum, const char *field, const char *text)
{
	err->code = code;
	err->errnum = errnum;
	append(err->field, sizeof(err->field), 0, field ? field : "");
	append(err->message, sizeof(err->message), 0, text);
	utf8_scrub(err->field);
	utf8_scrub(err->message);
	return -errnum;
}

int err_set(struct err *err, enum err_code code, const char *field, const char *fmt, ...)
{
	if (err) {
		char text[ERR_MESSAGE_MAX];
		va_list ap;

		/* Formatted first: an argument may point into *err. */
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		fill(err, code, info(code)->errnum, field, text);
	}
	return -info(code)->errnum;
}

static enum err_code code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT: return ERR_NO_ROOM;
	case ETIMEDOUT: return ERR_TIMEOUT;
	default: return ERR_INTERNAL;
	}
}

static void append_cause(struct err *err, const char *why)
{
	size_t used = strlen(err->message);

	used = append(err->message, sizeof(err->message), used, ": ");
	append(err->message, sizeof(err->message), used, why);
}

int err_errno(struct err *err, int errnum, const char *fmt, ...)
{
	int positive = errnum < 0 ? -errnum : errnum;
	const char *why;

	if (positive == 0)
		positive = EIO;
	why = strerrordesc_np(positive);
	if (err) {
		/* Room is kept for the cause, which comes last. */
		char text[ERR_MESSAGE_MAX - 80];
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		fill(err, code_of_errno(positive), positive, NULL, text);
		append_cause(err, why ? why : "unknown error");
	}
	return -positive;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
	char prefix[ERR_MESSAGE_MAX / 2], old[ERR_MESSAGE_MAX];
	size_t used;
	va_list ap;

	if (!err)
		return;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	memcpy(old, err->message, sizeof(old));
	used = append(err->message, sizeof(err->message), 0, prefix);
	used = append(err->message, sizeof(err->message), used, ": ");
	append(err->message, sizeof(err->message), used, old);
	utf8_scrub(err->message);
}

const char *err_code_to_string(enum err_code code)
{
	return info(code)->name;
}

enum err_code err_code_from_string(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(CODES); i++)
		if (strcmp(CODES[i].name, name) == 0)
			return (enum err_code)i;
	return ERR_INTERNAL;
}

int err_http_status(enum err_code code)
{
	return info(code)->http;
}

const char *err_title(enum err_code code)
{
	return info(code)->title;
}

int err_exit_status(enum err_code code)
{
	return info(code)->exit;
}

int err_errnum(enum err_code code)
{
	return -info(code)->errnum;
}
