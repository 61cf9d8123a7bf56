/* What an archive of images says about itself, as `docker save` has it (manifest.json) or as an OCI
 * image layout (index.json, github.com/opencontainers/image-spec), and what of it dockerd is told:
 * one image, by one name. Used inside drivers/docker only. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct err;
struct layout_entry;

#define LAYOUT_TEXT_MAX	   (4 * 1024 * 1024)  /* bytes of one of its texts */
#define LAYOUT_TEXTS_MAX   (16 * 1024 * 1024) /* of all */
#define LAYOUT_ENTRIES_MAX 100000
#define LAYOUT_NAME_MAX	   255
#define LAYOUT_MANIFEST	   "manifest.json"

struct layout {
	struct layout_entry *entries; /* files by their names in the archive */
	size_t texts;		      /* bytes kept */
};

/* Whether an archive in which this comes first holds images; else it is a root file system. */
bool layout_begins_with(const char *name);

/* Whether the file is one that dockerd is not given, as it is told anew. */
bool layout_withholds(const char *name);
/* Whether the text of a file of that name and size, beginning with that byte, may be needed. */
bool layout_wants(const struct layout *layout, const char *name, size_t size);

/* Takes note of a file; `text` (NULL: it is not kept) is allocated and taken over. ERR_INVALID for
 * a second one of that name, or too many. */
int layout_add(struct layout *layout, const char *name, char *text, size_t size, struct err *err);

struct layout_choice {
	const char *wanted;	  /* of several images the one of that name */
	const char *name;	  /* what dockerd is to call it */
	const char *architecture; /* as OCI calls this machine: layout_architecture() */
	bool zstd;		  /* dockerd can unpack that */
};

/* The manifest.json for dockerd, allocated. ERR_INVALID with what is wrong with the archive. */
int layout_manifest(const struct layout *layout, const struct layout_choice *choice, char **ret,
	struct err *err);

void layout_finish(struct layout *layout);

/* What OCI calls a machine that uname(2) calls so: "x86_64" is "amd64". */
const char *layout_architecture(const char *machine);
