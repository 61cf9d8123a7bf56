/* Two guests' volumes for tests: paths in them, and what is said there. */
#pragma once

#include "fixture.h"

#define ID  "0123456789ab"
#define ID2 "ba9876543210"

/* A path in a part of a volume, good until seven more were asked for. */
const char *in_volume(const char *id, enum volume_part part, const char *name);
#define IN(id, name)   in_volume(id, VOLUME_ROOTFS, name)
#define DATA(id, name) in_volume(id, VOLUME_DATA, name)

/* ID's, of the little image. */
void make_volume(uint64_t size);
/* A subvolume, as a guest may make one. */
void make_nested(const char *path);

void say(const char *path, const char *text);
void assert_says(const char *path, const char *text);
bool is_there(const char *path);
/* The names of the guest's snapshots, with a blank between them. */
void assert_snapshots(const char *id, const char *wanted);
