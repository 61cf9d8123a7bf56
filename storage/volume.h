/* A subvolume with a limit, open: what volumes, their snapshots and restores have in common. */
#pragma once

#include "storage/account.h"
#include "storage/pool.h"

struct volume {
	int fd;
	uint64_t subvolume;
	uint64_t base;		/* bytes charged for the image that are not the guest's own */
	struct account account; /* kept only for a guest's volume */
};

/* `name` below `parent`; `what` it is for people: ERR_NOT_FOUND "there is no WHAT". */
int volume_open(const struct storage *s, int parent, const char *name, const char *what,
	struct volume *ret, struct err *err);
/* The volume of guest `id`, with its account. */
int volume_open_of(const struct storage *s, const char *id, struct volume *ret, struct err *err);
void volume_finish(struct volume *volume);

/* The bare limit, of a volume without an account. */
int volume_set_limit(
	const struct storage *s, const struct volume *volume, uint64_t size, struct err *err);

/* What was written a moment ago always counts; what was freed a moment ago does not. */
enum usage_how {
	USAGE_EXACT,   /* that holds, at the price of a commit */
	USAGE_CAREFUL, /* what was freed a moment ago may count still */
	USAGE_CHEAP,   /* that, and with snapshots for some seconds what was written may not */
};
int volume_read_usage(const struct storage *s, const struct volume *volume, enum usage_how how,
	struct volume_usage *ret, struct err *err);

/* Lets those reach it who have to. */
int volume_protect(int fd);
/* The same for all that are there; and removes what a crash left in them. */
int volume_settle_all(const struct storage *s);

/* Makes `size` that of guest `id`'s volume, which is there, without asking what it holds: for one
 * with a disk the limit gets room for such a disk. */
int volume_apply_size(const struct storage *s, const char *id, uint64_t size, struct err *err);

/* ERR_INVALID or ERR_NO_ROOM (storage.size) for a size that no volume of this pool can have. */
int volume_check_size(struct storage *s, uint64_t size, struct err *err);
