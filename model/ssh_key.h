/* Public keys that may log in, as a line of authorized_keys (sshd(8)) without options: the type,
 * the key in base64, and a comment. */
#pragma once

#include <stdbool.h>

struct err;

/* Reads one key, without the blanks and line ends around it; allocates. ERR_INVALID with `field`:
 * options before the type, a type that OpenSSH does not take any more, a key that is cut off or of
 * another type than it says. */
int ssh_key_parse(const char *text, const char *field, char **ret, struct err *err);

/* Whether two keys that ssh_key_parse returned are one, whatever their comments. */
bool ssh_key_same(const char *a, const char *b);
