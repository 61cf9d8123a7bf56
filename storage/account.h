/* What is remembered of a guest with snapshots or clones: the account of its room.
 *
 * Simple quotas charge an extent to the subvolume that wrote it, for as long as anything holds it.
 * So a volume is charged with what only its snapshots and clones hold still, and its limit must be
 * more than its size by as much; and after a restore it is not charged with what it has from its
 * snapshot. Neither can be read from the kernel, so there is this account, an extended attribute of
 * the directory snapshots/ID, where no quota can keep it from being written. Classic quotas charge
 * what a volume holds, neither more nor less: with them there is only the directory, and `kept` is
 * false.
 *
 * Every figure in it may be recomputed or bounded from the pool alone (account_settle), so a crash
 * between any two steps is made good by the next storage_tend. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct quota_figures;
struct storage;
struct volume;
struct volume_usage;

/* Others may hold all that the volume is charged with. */
#define ACCOUNT_ALL UINT64_MAX

struct account {
	bool kept;     /* there is one; else nothing below counts */
	uint64_t size; /* what was asked for; 0: no limit */
	/* What others hold, at most, of what the volume is charged with. */
	uint64_t pinned;
	/* 1: it, or a snapshot, was copied to another guest. Who shares the copies is not known. */
	uint64_t cloned;
	/* All that was written after this transaction is the guest's, what is older its image's. */
	uint64_t origin;
	/* What a restored volume had at first, and is not charged with. */
	uint64_t inherited;
	/* What the guest held when it was measured last, which costs time; see account_usage. */
	struct {
		uint64_t subvolume;  /* 0: never */
		uint64_t generation; /* of it, at the last commit */
		uint64_t written, charged;
	} measured;
};

/* Opens the directory snapshots/ID, and holds it until it is closed: nobody else changes account,
 * limit or the presence of snapshots meanwhile. -ENOENT when there is none, unless to be made. */
enum account_hold {
	ACCOUNT_IF_THERE,
	ACCOUNT_MAKE,
	ACCOUNT_TRY, /* if there; -EWOULDBLOCK instead of waiting for who holds it */
};
int account_hold(const struct storage *s, const char *id, enum account_hold how);

/* None is success: `kept` is false then. */
int account_read(const struct storage *s, const char *id, struct account *ret);
int account_write(int directory, const struct account *account);

/* Before a snapshot or clone, with the directory held: makes the account where there is none, and
 * the limit high enough whatever the copy will hold. Nothing under classic quotas. */
int account_open_up(const struct storage *s, int directory, struct volume *volume);

/* Before a restore, with the directory held: what the volume is going to have from its snapshot. */
int account_inherit(int directory, struct volume *volume, uint64_t held, uint64_t size);

/* Gives a volume with an account another size, and the limit that goes with it. */
int account_set_size(const struct storage *s, int directory, struct volume *volume, uint64_t size);

/* With the directory held: bounds what others hold by what the volume is charged with, sets the
 * limit accordingly, and removes account and directory when they are not needed any more. What the
 * guest holds is measured again only when `measuring`, and only when it may have changed. */
int account_settle(const struct storage *s, int directory, const char *id, bool measuring);

/* The same for all guests whose directories nobody holds, measuring. */
int account_tend(const struct storage *s);

/* What a volume with an account holds that is the guest's, given what it is charged with. With
 * `fresh` it is measured; else, where it has been, what was charged since is added to that. */
int account_usage(const struct volume *volume, const struct quota_figures *figures, bool fresh,
	struct volume_usage *ret);
