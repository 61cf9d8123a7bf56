/* The accounts of guests with snapshots or clones. */
#include "storage/account.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/parse.h"
#include "storage/btrfs.h"
#include "storage/volume.h"
#include "storage/written.h"

DEFINE_CLEANUP(char **, names_free)

#define ATTRIBUTE "trusted.corpus.account"
#define TEXT_MAX  300

/* --- Kept on disk ---------------------------------------------------------------------------- */

int account_hold(const struct storage *s, const char *id, enum account_hold how)
{
	for (;;) {
		AUTOCLOSE int fd = -1;
		struct stat st;

		if (how == ACCOUNT_MAKE && mkdirat(s->snapshots, id, 0700) < 0 && errno != EEXIST)
			return -errno;
		fd = openat(s->snapshots, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || flock(fd, LOCK_EX | (how == ACCOUNT_TRY ? LOCK_NB : 0)) < 0 ||
			fstat(fd, &st) < 0)
			return -errno;
		/* Else it was removed by whoever held it before. */
		if (st.st_nlink > 0)
			return TAKE_FD(fd);
	}
}

/* In the order in which they are written. */
static const struct {
	const char *name;
	size_t offset;
} FIELDS[] = {
	{"size", offsetof(struct account, size)},
	{"pinned", offsetof(struct account, pinned)},
	{"cloned", offsetof(struct account, cloned)},
	{"origin", offsetof(struct account, origin)},
	{"inherited", offsetof(struct account, inherited)},
	{"measured", offsetof(struct account, measured.subvolume)},
	{"generation", offsetof(struct account, measured.generation)},
	{"written", offsetof(struct account, measured.written)},
	{"charged", offsetof(struct account, measured.charged)},
};

static int parse(char *text, struct account *account)
{
	char *rest = text;

	for (size_t i = 0; i < ARRAY_SIZE(FIELDS); i++) {
		size_t length = strlen(FIELDS[i].name);
		char *word = strsep(&rest, " ");

		if (!word || strncmp(word, FIELDS[i].name, length) != 0 || word[length] != '=' ||
			parse_u64(word + length + 1, UINT64_MAX,
				(uint64_t *)((char *)account + FIELDS[i].offset)) < 0)
			return -EUCLEAN;
	}
	return 0;
}

static int read_of(int directory, struct account *ret)
{
	struct account account = {.kept = true};
	char text[TEXT_MAX];
	ssize_t n = fgetxattr(directory, ATTRIBUTE, text, sizeof(text) - 1);
	int r = n < 0 ? -errno : 0;

	if (r == 0) {
		text[n] = '\0';
		r = parse(text, &account);
	} else if (r == -ENODATA) {
		account.kept = false;
		r = 0;
	}
	if (r == 0)
		*ret = account;
	return r;
}

int account_read(const struct storage *s, const char *id, struct account *ret)
{
	AUTOCLOSE int directory =
		openat(s->snapshots, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (directory < 0 && errno != ENOENT)
		return -errno;
	if (directory >= 0)
		return read_of(directory, ret);
	*ret = (struct account){0};
	return 0;
}

int account_write(int directory, const struct account *account)
{
	char text[TEXT_MAX], before[TEXT_MAX];
	size_t used = 0;

	for (size_t i = 0; i < ARRAY_SIZE(FIELDS); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s=%" PRIu64,
			i ? " " : "", FIELDS[i].name,
			*(const uint64_t *)((const char *)account + FIELDS[i].offset));
	/* Most have not changed since; to write the same would keep the disk busy. */
	if (fgetxattr(directory, ATTRIBUTE, before, sizeof(before)) == (ssize_t)used &&
		memcmp(before, text, used) == 0)
		return 0;
	return fsetxattr(directory, ATTRIBUTE, text, used, 0) < 0 ? -errno : 0;
}

/* --- What it means --------------------------------------------------------------------------- */

/* What a restored volume had is counted until it was never restored after all. */
static int inherited(const struct volume *volume, uint64_t *ret)
{
	uint64_t made;
	int r = btrfs_subvolume_made(volume->fd, &made);

	if (r == 0)
		*ret = made > volume->account.origin ? volume->account.inherited : 0;
	return r;
}

/* Never too little, but for what snapshots that were deleted since took off the charge. */
static uint64_t guess(const struct volume *volume, uint64_t charged)
{
	uint64_t then = volume->account.measured.charged;

	return volume->account.measured.written + (charged > then ? charged - then : 0);
}

static bool is_measured(const struct volume *volume)
{
	return volume->account.measured.subvolume == volume->subvolume;
}

int account_usage(const struct volume *volume, const struct quota_figures *figures, bool fresh,
	struct volume_usage *ret)
{
	uint64_t charged = figures->used + figures->pending, most = 0, written = 0;
	int r = inherited(volume, &most);

	if (r == 0 && (fresh || !is_measured(volume))) {
		r = written_bytes(volume->fd, volume->account.origin, &written);
		written += figures->pending;
	} else {
		written = guess(volume, charged);
	}
	if (r < 0)
		return r;
	most += charged;
	ret->used = written < most ? written : most;
	ret->size = volume->account.size;
	return 0;
}

/* Whether the guest holds more than its size, which the limit alone does not prevent: it lets the
 * guest write anew what others hold, and cannot tell whether it deleted that first. What is held is
 * estimated, hence the tolerance. */
static int is_over(const struct volume *volume, const struct quota_figures *figures)
{
	uint64_t size = volume->account.size, bound = size + size / 32, most = 0;
	struct volume_usage usage = {0};
	int r = inherited(volume, &most);

	most += figures->used + figures->pending;
	if (r < 0 || size == 0 || !is_measured(volume) || most <= bound)
		return r;
	r = account_usage(volume, figures, false, &usage);
	/* It may have deleted something since. */
	if (r == 0 && usage.used > bound)
		r = account_usage(volume, figures, true, &usage);
	return r < 0 ? r : usage.used > bound;
}

static uint64_t limit_of(const struct account *account, uint64_t charged, bool over)
{
	if (account->size == 0)
		return UINT64_MAX;
	if (over)
		return charged;
	return account->size + (account->pinned < charged ? account->pinned : charged);
}

/* --- Before and after a snapshot ------------------------------------------------------------- */

static int begin(struct account *account, int fd, const struct quota_figures *figures)
{
	account->kept = true;
	account->size = figures->limit == UINT64_MAX ? 0 : figures->limit;
	return btrfs_subvolume_made(fd, &account->origin);
}

int account_open_up(const struct storage *s, int directory, struct volume *volume)
{
	struct quota_figures figures;
	int r;

	if (s->quota.mode != QUOTA_SIMPLE)
		return 0;
	r = quota_read(&s->quota, volume->subvolume, &figures);
	if (r == 0 && !volume->account.kept)
		r = begin(&volume->account, volume->fd, &figures);
	volume->account.pinned = ACCOUNT_ALL;
	if (r == 0)
		r = account_write(directory, &volume->account);
	fault_point("storage.account.opened");
	if (r == 0)
		r = quota_set_limit(&s->quota, volume->subvolume,
			limit_of(&volume->account, figures.used + figures.pending, false));
	return r;
}

int account_inherit(int directory, struct volume *volume, uint64_t held, uint64_t size)
{
	struct account *account = &volume->account;

	if (!account->kept)
		return 0;
	/* Should the restore fail or be undone, the higher figure does no harm. */
	if (account->inherited < held)
		account->inherited = held;
	account->size = size;
	return account_write(directory, account);
}

int account_set_size(const struct storage *s, int directory, struct volume *volume, uint64_t size)
{
	struct quota_figures figures;
	int r = quota_read(&s->quota, volume->subvolume, &figures);

	volume->account.size = size;
	if (r == 0)
		r = account_write(directory, &volume->account);
	if (r < 0)
		return r;
	return quota_set_limit(&s->quota, volume->subvolume,
		limit_of(&volume->account, figures.used + figures.pending, false));
}

/* --- Settling -------------------------------------------------------------------------------- */

static bool is_snapshot(const char *name)
{
	return name[0] != '.';
}

/* 1 while something beside the volume may hold what it wrote: a clone, a snapshot, or one that is
 * deleted but not yet freed. What has been freed is taken off the charge by the next commit, which
 * is waited for: until then a limit of the bare size would keep the guest from writing. */
static int is_shared(
	const struct storage *s, int directory, const struct account *account, uint64_t charged)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(directory, is_snapshot, &names);

	if (r < 0 || names[0] || account->cloned || charged > account->size)
		return r < 0 ? r : 1;
	return btrfs_is_cleaning(s->root);
}

static int forget(const struct storage *s, const char *id)
{
	if (unlinkat(s->snapshots, id, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != ENOENT)
		return -errno;
	return 0;
}

/* A guest that has not written since is not measured again. */
static int measure(struct volume *volume, const struct quota_figures *figures)
{
	struct account *account = &volume->account;
	uint64_t generation, written;
	int r = btrfs_subvolume_changed(volume->fd, &generation);

	if (r < 0 || (is_measured(volume) && account->measured.generation == generation))
		return r;
	r = written_bytes(volume->fd, account->origin, &written);
	if (r < 0)
		return r;
	account->measured.subvolume = volume->subvolume;
	account->measured.generation = generation;
	account->measured.written = written;
	account->measured.charged = figures->used;
	return 0;
}

/* Yields whether anybody else may hold what the volume wrote. */
static int limit_anew(const struct storage *s, int directory, struct volume *volume,
	const struct quota_figures *figures)
{
	struct account *account = &volume->account;
	uint64_t charged = figures->used + figures->pending, limit;
	int shared = is_shared(s, directory, account, charged), r;
	int over = shared < 0 ? shared : is_over(volume, figures);

	if (over < 0)
		return over;
	account->pinned = !shared ? 0 : account->pinned < charged ? account->pinned : charged;
	limit = limit_of(account, charged, over);
	r = limit == figures->limit ? 0 : quota_set_limit(&s->quota, volume->subvolume, limit);
	return r < 0 ? r : shared;
}

static int settle(const struct storage *s, int directory, struct volume *volume, bool measuring)
{
	struct quota_figures figures;
	int r = quota_read(&s->quota, volume->subvolume, &figures), shared;

	if (r == 0 && measuring)
		r = measure(volume, &figures);
	if (r < 0)
		return r;
	shared = limit_anew(s, directory, volume, &figures);
	r = shared < 0 ? shared : account_write(directory, &volume->account);
	return r < 0 ? r : shared;
}

int account_settle(const struct storage *s, int directory, const char *id, bool measuring)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct err err = {0};
	uint64_t had = 0;
	int r = volume_open_of(s, id, &volume, &err);

	if (r < 0 && err.code != ERR_NOT_FOUND)
		return r;
	if (r == 0 && volume.account.kept) {
		r = settle(s, directory, &volume, measuring);
		if (r == 0)
			r = inherited(&volume, &had);
		/* Others, or the time before a restore, still count. */
		if (r != 0 || had > 0)
			return r < 0 ? r : 0;
	}
	return forget(s, id);
}

static bool is_id(const char *name)
{
	return name_check_id(name, GUEST_ID_LEN, NULL, NULL) == 0;
}

int account_tend(const struct storage *s)
{
	CLEANUP(names_freep) char **names = NULL;
	int r = names_read(s->snapshots, is_id, &names);

	for (char **name = names; name && *name; name++) {
		AUTOCLOSE int directory = account_hold(s, *name, ACCOUNT_TRY);

		int settled =
			directory >= 0 ? account_settle(s, directory, *name, true) : directory;

		if (settled < 0 && settled != -ENOENT && settled != -EWOULDBLOCK)
			log_warning("storage.account.unsettled", "guest=%s error=%s", *name,
				LOG_Q(strerror(-settled)));
	}
	return r;
}
