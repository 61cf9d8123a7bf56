/* Names that people give: guests (a host name), images, labels, snapshots. */
#pragma once

struct err;

#define GUEST_NAME_MAX	  253 /* RFC 1035, 2.3.4 */
#define IMAGE_NAME_MAX	  255
#define IMAGE_ID_MAX	  71 /* "sha256:" and 64 digits */
#define WORD_MAX	  31
#define DRIVER_NAME_MAX	  WORD_MAX
#define SNAPSHOT_NAME_MAX 63
#define PURPOSE_MAX	  WORD_MAX
#define GUEST_ID_LEN	  12 /* hexadecimal digits */
#define OPERATION_ID_LEN  16

/* A host name by RFC 1123: labels of 1-63 lower-case letters, digits and inner hyphens, joined by
 * dots, 253 at most. A name of numbers only is refused (it reads as an address). */
int name_check_guest(const char *name, const char *field, struct err *err);

/* Images: 1-128 of a-z 0-9 . _ - beginning with a letter or digit; one optional ":tag" of the same
 * characters. */
int name_check_image(const char *name, const char *field, struct err *err);

/* Images that a daemon keeps (IMAGE_OCI), as Docker refers to them:
 * [HOST[:PORT]/]PATH[:TAG][@DIGEST], of which only the host may have upper-case letters. */
int name_check_reference(const char *name, const char *field, struct err *err);

/* One of those two: which of them it has to be is known when the driver is. */
int name_check_any_image(const char *name, const char *field, struct err *err);

/* Drivers, purposes, label keys: 1-31 of a-z 0-9 - beginning with a letter. */
int name_check_word(const char *name, const char *field, struct err *err);

/* Snapshots: 1-63 of a-z 0-9 . _ - beginning with a letter or digit. */
int name_check_snapshot(const char *name, const char *field, struct err *err);

/* Exactly `digits` lower-case hexadecimal digits: ids that we made. */
int name_check_id(const char *id, int digits, const char *field, struct err *err);
