/* Names that people give. */
#include "model/name.h"

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"

#define LOWER	  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS	  "0123456789"
#define LABEL_MAX 63 /* RFC 1035, 2.3.4 */

static bool consists_of(const char *text, size_t length, const char *set)
{
	return strspn(text, set) >= length;
}

static bool begins_with(const char *text, const char *set)
{
	return *text && strchr(set, *text);
}

static int check_label(const char *label, size_t length, const char *field, struct err *err)
{
	if (length == 0)
		return err_set(err, ERR_INVALID, field,
			"%s must be a host name: dots only between its parts", field);
	if (length > LABEL_MAX)
		return err_set(err, ERR_INVALID, field,
			"%s must be a host name: each part at most %d characters", field,
			LABEL_MAX);
	if (!consists_of(label, length, LOWER DIGITS "-"))
		return err_set(err, ERR_INVALID, field,
			"%s must be a host name of lower-case letters, digits, hyphens and dots",
			field);
	if (label[0] == '-' || label[length - 1] == '-')
		return err_set(err, ERR_INVALID, field,
			"%s must be a host name: no part begins or ends with a hyphen", field);
	return 0;
}

int name_check_guest(const char *name, const char *field, struct err *err)
{
	size_t length = strlen(name);

	if (length == 0)
		return err_set(err, ERR_INVALID, field, "%s must not be empty", field);
	if (length > GUEST_NAME_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d characters", field,
			GUEST_NAME_MAX);
	for (const char *label = name;; label++) {
		size_t n = strcspn(label, ".");
		int r = check_label(label, n, field, err);

		if (r < 0)
			return r;
		label += n;
		if (!*label)
			break;
	}
	if (consists_of(name, length, DIGITS "."))
		return err_set(err, ERR_INVALID, field,
			"%s must not consist of numbers only: it would read as an address", field);
	return 0;
}

static bool is_image_part(const char *text, size_t length)
{
	return length > 0 && begins_with(text, LOWER DIGITS) &&
	       consists_of(text, length, LOWER DIGITS "._-");
}

int name_check_image(const char *name, const char *field, struct err *err)
{
	size_t length = strlen(name), n = strcspn(name, ":");

	if (length > IMAGE_NAME_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d characters", field,
			IMAGE_NAME_MAX);
	if (!is_image_part(name, n) ||
		(name[n] == ':' && !is_image_part(name + n + 1, length - n - 1)))
		return err_set(err, ERR_INVALID, field,
			"%s must be an image's name: a-z 0-9 . _ - beginning with a letter or "
			"digit, "
			"and at most one :tag of the same",
			field);
	return 0;
}

/* The grammar of github.com/distribution/reference, as an extended regular expression. */
#define HOST_PART "[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
#define HOST	  "(" HOST_PART "(\\." HOST_PART ")*|\\[[0-9a-fA-F:]+\\])"
#define PATH_PART "[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*"
#define TAG	  "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
#define DIGEST	  "[A-Za-z][A-Za-z0-9]*([-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
#define REFERENCE "^(" HOST "(:[0-9]+)?/)?" PATH_PART "(/" PATH_PART ")*(:" TAG ")?(@" DIGEST ")?$"

static bool is_reference(const char *name)
{
	regex_t regex;
	bool matches;

	/* A name that Docker would take for an id. */
	if (strlen(name) == 64 && consists_of(name, 64, DIGITS "abcdef"))
		return false;
	if (regcomp(&regex, REFERENCE, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	matches = regexec(&regex, name, 0, NULL, 0) == 0;
	regfree(&regex);
	return matches;
}

int name_check_reference(const char *name, const char *field, struct err *err)
{
	if (strlen(name) > IMAGE_NAME_MAX)
		return err_set(err, ERR_INVALID, field, "%s must have at most %d characters", field,
			IMAGE_NAME_MAX);
	if (!is_reference(name))
		return err_set(err, ERR_INVALID, field,
			"%s must be an image's name as Docker has it, like \"debian:12\" or "
			"\"registry.example.org:5000/team/app:1.2\"",
			field);
	return 0;
}

int name_check_any_image(const char *name, const char *field, struct err *err)
{
	if (name_check_image(name, field, NULL) == 0 || is_reference(name))
		return strlen(name) <= IMAGE_NAME_MAX ? 0 : name_check_image(name, field, err);
	if (strpbrk(name, "/@"))
		return name_check_reference(name, field, err);
	return name_check_image(name, field, err);
}

int name_check_word(const char *name, const char *field, struct err *err)
{
	size_t length = strlen(name);

	if (length == 0 || length > WORD_MAX || !begins_with(name, LOWER) ||
		!consists_of(name, length, LOWER DIGITS "-"))
		return err_set(err, ERR_INVALID, field,
			"%s must be a word of 1 to %d characters a-z 0-9 - beginning with a letter",
			field, WORD_MAX);
	return 0;
}

int name_check_snapshot(const char *name, const char *field, struct err *err)
{
	if (strlen(name) > SNAPSHOT_NAME_MAX || !is_image_part(name, strlen(name)))
		return err_set(err, ERR_INVALID, field,
			"%s must be a snapshot's name: 1 to %d of a-z 0-9 . _ - beginning with a "
			"letter or digit",
			field, SNAPSHOT_NAME_MAX);
	return 0;
}

int name_check_id(const char *id, int digits, const char *field, struct err *err)
{
	size_t length = strlen(id);

	if (length != (size_t)digits || !consists_of(id, length, DIGITS "abcdef"))
		return err_set(err, ERR_INVALID, field,
			"%s must be an id of %d hexadecimal digits in lower case", field, digits);
	return 0;
}
