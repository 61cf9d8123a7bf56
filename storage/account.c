/* The accounts of guests with snapshots or clones. */
#include "storage/account.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/log.h"
#include "storage/btrfs.h"
#include "storage/volume.h"
#include "storage/written.h"

DEFINE_CLEANUP(char **, names_free)

#define ATTRIBUTE "trusted.corpus.account"
#define FORMAT	  "size=%" PRIu64 " pinned=%" PRIu64 " cloned=%d origin=%" PRIu64 " inherited=%" PRIu64
#define SCAN	  "size=%" SCNu64 " pinned=%" SCNu64 " cloned=%d origin=%" SCNu64 " inherited=%" SCNu64
#define TEXT_MAX  160

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

static int read_of(int directory, struct account *ret)
{
	struct account account = {.kept = true};
	char text[TEXT_MAX];
	int cloned = 0;
	ssize_t n = fgetxattr(directory, ATTRIBUTE, text, sizeof(text) - 1);

	if (n < 0 && errno != ENODATA)
		return -errno;
	text[n < 0 ? 0 : n] = '\0';
	if (n < 0)
		account.kept = false;
	else if (sscanf(text, SCAN, &account.size, &account.pinned, &cloned, &account.origin,
			 &account.inherited) != 5)
		return -EUCLEAN;
	account.cloned = cloned;
	*ret = account;
	return 0;
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
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text), FORMAT, account->size, account->pinned,
		account->cloned, account->origin, account->inherited);

	return fsetxattr(directory, ATTRIBUTE, text, (size_t)n, 0) < 0 ? -errno : 0;
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

int account_usage(
	const struct volume *volume, const struct quota_figures *figures, struct volume_usage *ret)
{
	uint64_t most = 0, written = 0;
	int r = inherited(volume, &most);

	if (r == 0)
		r = written_bytes(volume->fd, volume->account.origin, &written);
	if (r < 0)
		return r;
	most += figures->used + figures->pending;
	written += figures->pending;
	ret->used = written < most ? written : most;
	ret->size = volume->account.size;
	return 0;
}

/* Whether the guest holds more than its size, which the limit alone does not prevent: it lets the
 * guest write anew what others hold, and cannot tell whether it deleted that first. What is held
 * is estimated, hence the tolerance. */
static int is_over(const struct volume *volume, const struct quota_figures *figures)
{
	uint64_t size = volume->account.size, most = 0;
	struct volume_usage usage = {0};
	int r = inherited(volume, &most);

	if (r < 0 || size == 0 || most + figures->used + figures->pending <= size)
		return r;
	r = account_usage(volume, figures, &usage);
	return r < 0 ? r : usage.used > size + size / 32;
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

static int settle(const struct storage *s, int directory, const char *id, struct volume *volume)
{
	struct account *account = &volume->account;
	uint64_t pinned = account->pinned, left = 0, charged, limit;
	struct quota_figures figures = {0};
	int r = quota_read(&s->quota, volume->subvolume, &figures), shared, over;

	charged = figures.used + figures.pending;
	shared = r < 0 ? r : is_shared(s, directory, account, charged);
	over = shared < 0 ? shared : is_over(volume, &figures);
	r = over < 0 ? over : inherited(volume, &left);
	if (r < 0)
		return r;
	account->pinned = !shared ? 0 : pinned < charged ? pinned : charged;
	limit = limit_of(account, charged, over);
	if (account->pinned != pinned)
		r = account_write(directory, account);
	if (r == 0 && limit != figures.limit)
		r = quota_set_limit(&s->quota, volume->subvolume, limit);
	if (r == 0 && !shared && left == 0)
		r = forget(s, id);
	return r;
}

int account_settle(const struct storage *s, int directory, const char *id)
{
	CLEANUP(volume_finish) struct volume volume = {.fd = -1};
	struct err err = {0};
	int r = volume_open_of(s, id, &volume, &err);

	if (r < 0)
		return err.code == ERR_NOT_FOUND ? forget(s, id) : r;
	return volume.account.kept ? settle(s, directory, id, &volume) : forget(s, id);
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

		int settled = directory >= 0 ? account_settle(s, directory, *name) : directory;

		if (settled < 0 && settled != -ENOENT && settled != -EWOULDBLOCK)
			log_warning("storage.account.unsettled", "guest=%s error=%s", *name,
				LOG_Q(strerror(-settled)));
	}
	return r;
}
