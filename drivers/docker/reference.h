/* References to images, as Docker has them (github.com/distribution/reference): a registry, a path
 * in it, and a tag or a digest; used inside drivers/docker only. Pure. */
#pragma once

#include "model/image.h"

struct err;

#define REFERENCE_HUB	     "docker.io"
#define REFERENCE_TAG_MAX    128
#define REFERENCE_DIGEST_MAX 135 /* "sha512:" and 128 digits */

struct reference {
	char registry[IMAGE_NAME_MAX + 1]; /* "docker.io", "localhost:5000" */
	char path[IMAGE_NAME_MAX + 9];	   /* "library/debian", "team/app" */
	char tag[REFERENCE_TAG_MAX + 1];   /* "latest" where neither is given; "" with a digest */
	char digest[REFERENCE_DIGEST_MAX + 1]; /* "" or "sha256:…", which counts more than a tag */
};

/* ERR_INVALID (image) for what Docker would not take. */
int reference_parse(const char *text, struct reference *ret, struct err *err);

/* As Docker shows it: "debian:12", "team/app:1", "localhost:5000/a@sha256:…". */
#define REFERENCE_TEXT_MAX (2 * IMAGE_NAME_MAX + REFERENCE_DIGEST_MAX + 16)
const char *reference_print(const struct reference *reference, char buf[static REFERENCE_TEXT_MAX]);
/* The same without tag and digest: "debian". */
const char *reference_repository(
	const struct reference *reference, char buf[static REFERENCE_TEXT_MAX]);
