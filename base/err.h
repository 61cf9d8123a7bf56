/* Errors: what a function above base/ reports to its caller, and in the end to a person.
 *
 * A function that can fail returns 0 (or a count) or a negative errno, and takes a
 * `struct err *err` as its last parameter, which it fills exactly when it fails. Every error has a
 * stable code, from which HTTP status and exit status follow by one table (err.c), a sentence that
 * says what is wrong and what to do, and where it applies the name of the field at fault. */
#pragma once

#include <stdarg.h>

enum err_code {
	ERR_OK,
	ERR_MALFORMED,	   /* not parsable: JSON, HTTP, YAML */
	ERR_UNAUTHORIZED,  /* who asks is not known */
	ERR_DENIED,	   /* who asks may not */
	ERR_NOT_FOUND,	   /* the named thing does not exist */
	ERR_METHOD,	   /* the path does not know this method */
	ERR_EXISTS,	   /* the name is taken */
	ERR_ILLEGAL_STATE, /* the verb is not legal in the guest's state */
	ERR_CONFLICT,	   /* busy or used by something else: port, image, node mode */
	ERR_NO_SLOT,	   /* the node has no free slot or takes no guests now */
	ERR_PRECONDITION,  /* If-Match did not match */
	ERR_TOO_LARGE,	   /* a body, or an archive, beyond its bound */
	ERR_MEDIA_TYPE,	   /* the body's type is not understood */
	ERR_INVALID,	   /* a field's value cannot be accepted */
	ERR_KEY_REUSED,	   /* an Idempotency-Key with another request */
	ERR_RATE,	   /* too many requests at once */
	ERR_INTERNAL,	   /* our bug, or the host failed us in an unforeseen way */
	ERR_UNSUPPORTED,   /* the driver or the host cannot */
	ERR_DRIVER,	   /* the driver, or what it drives, failed */
	ERR_UNAVAILABLE,   /* not now: starting, or a part is away; try again */
	ERR_TIMEOUT,	   /* the deadline passed */
	ERR_NO_ROOM,	   /* no space, no quota, no address, no port left */
	ERR_CANCELLED,	   /* the operation was cancelled by request */
	ERR_CODE_MAX_,
};

#define ERR_FIELD_MAX	64
#define ERR_MESSAGE_MAX 400

struct err {
	enum err_code code;
	int errnum;		       /* positive errno */
	char field[ERR_FIELD_MAX];     /* "storage.size"; empty when no field is at fault */
	char message[ERR_MESSAGE_MAX]; /* a sentence for a person, without a full stop */
};

/* What is put into an error, from whatever source, is made harmless: one line of valid UTF-8, cut
 * at the end where it does not fit. Arguments may point into the error that is replaced. */

/* Fills *err (NULL is allowed: then nobody wants to know) and returns the code's negative errno,
 * so that an error is made and returned in one line. `field` may be NULL. */
int err_set(struct err *err, enum err_code code, const char *field, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The same for a failed system call: `errnum` may be of either sign; the text of the errno is
 * appended. ENOSPC and EDQUOT become ERR_NO_ROOM, ETIMEDOUT ERR_TIMEOUT, all others ERR_INTERNAL.
 */
int err_errno(struct err *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__ /* tells it what it cannot see: these never return success */
#define err_set(...)   (err_set(__VA_ARGS__), -1)
#define err_errno(...) (err_errno(__VA_ARGS__), -1)
#endif

/* Puts "text: " before the message of an error that is already set, to say where it happened. */
void err_prefix(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "not_found" and so on: stable, part of the API. */
const char *err_code_to_string(enum err_code code);

/* The code of that name, ERR_INTERNAL for an unknown one. */
enum err_code err_code_from_string(const char *name);

/* HTTP status of a code (RFC 9110). */
int err_http_status(enum err_code code);

/* Short title of a code, for a problem document (RFC 9457). */
const char *err_title(enum err_code code);

/* The exit status of the command line: 0 ok, 1 failed, 2 usage or invalid value, 3 not found,
 * 4 denied, 5 conflict or illegal state, 6 no room or no slot, 7 unavailable or timeout,
 * 8 unsupported. */
int err_exit_status(enum err_code code);

/* The negative errno that functions return for a code. */
int err_errnum(enum err_code code);
