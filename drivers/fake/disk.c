/* Guests of the fake driver that have a disk, see disk.h. Which boot a guest runs since is a token,
 * said on its console: one that goes on from its memory has the token it had. RUN_DIR/ID.token
 * keeps it, RUN_DIR/ID.held is there while it is held. */
#include "drivers/fake/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "drivers/fake/work.h"

#define TOKEN_LEN  16
#define MEMORY_MAX 256
#define MEMORY	   "memory of a pretended guest "

#define RESIZE_MS 30000

static int token_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.token", f->dirs.run, id);
}

static int held_path(const struct fake *f, const char *id, char path[static PATH_MAX])
{
	return file_path(path, PATH_MAX, "%s/%s.held", f->dirs.run, id);
}

static int too_long(struct err *err)
{
	return err_set(err, ERR_INTERNAL, NULL, "the driver's directories are too long");
}

bool fake_disk_has_word(const struct driver_disk *disk, const char *word)
{
	return disk->cmdline && strstr(disk->cmdline, word);
}

int fake_disk_check(const struct driver_disk *disk, struct err *err)
{
	const char *const parts[] = {
		disk->path, disk->base, disk->kernel, disk->initrd, disk->seed};

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i] && access(parts[i], R_OK) < 0)
			return err_set(err, ERR_DRIVER, NULL, "cannot read %s: %s", parts[i],
				strerror(errno));
	return 0;
}

/* --- Memory ---------------------------------------------------------------------------------- */

/* 1: it has saved memory, and the token of then is in `token`; 0: it has none. */
static int recall(
	const struct driver_guest *guest, char token[static TOKEN_LEN + 1], struct err *err)
{
	AUTOFREE char *text = NULL;
	int r = file_read(guest->disk->memory, MEMORY_MAX, &text, NULL);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_errno(err, r, "cannot read %s", guest->disk->memory);
	if (strncmp(text, MEMORY, strlen(MEMORY)) != 0 ||
		strlen(text) != strlen(MEMORY) + TOKEN_LEN)
		return err_set(err, ERR_DRIVER, NULL, "%s is damaged", guest->disk->memory);
	memcpy(token, text + strlen(MEMORY), TOKEN_LEN + 1);
	return 1;
}

int fake_disk_wake(const struct fake *f, const struct driver_guest *guest, char text[static 64],
	struct err *err)
{
	char path[PATH_MAX], token[TOKEN_LEN + 1];
	int r = recall(guest, token, err), again = r;

	if (r < 0)
		return r;
	if (!again)
		random_hex(token, TOKEN_LEN);
	if (token_path(f, guest->id, path) < 0)
		return too_long(err);
	r = file_replace(path, token, 0600, false);
	if (r < 0)
		return err_errno(err, r, "cannot write %s", path);
	snprintf(text, 64, "the fake guest %s: %s\n", again ? "goes on" : "boots", token);
	return 0;
}

void fake_disk_woken(const struct driver_guest *guest)
{
	unlink(guest->disk->memory);
}

int fake_disk_save(const struct fake *f, const struct driver_guest *guest, struct err *err)
{
	AUTOFREE char *token = NULL;
	char path[PATH_MAX], text[MEMORY_MAX];
	int r = token_path(f, guest->id, path) < 0 ? -ENAMETOOLONG
						   : file_read(path, TOKEN_LEN, &token, NULL);

	if (r < 0)
		return err_errno(err, r, "cannot read the token of guest %s", guest->id);
	snprintf(text, sizeof(text), MEMORY "%s", token);
	r = file_replace(guest->disk->memory, text, 0600, false);
	return r < 0 ? err_errno(err, r, "cannot write %s", guest->disk->memory) : 0;
}

/* --- The disk -------------------------------------------------------------------------------- */

static int enlarge(const struct driver_disk *disk, uint64_t size, struct err *err)
{
	char bytes[24];
	const char *const argv[] = {
		"qemu-img", "resize", "-q", "-f", "qcow2", disk->path, bytes, NULL};

	snprintf(bytes, sizeof(bytes), "%" PRIu64, size);
	return process_run(
		&(struct process_options){
			.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .timeout_ms = RESIZE_MS},
		err);
}

static int hold(const struct fake *f, const char *id, bool held, struct err *err)
{
	char path[PATH_MAX];
	int r;

	if (held_path(f, id, path) < 0)
		return too_long(err);
	r = held ? file_replace(path, "", 0600, false) : unlink(path) < 0 ? -errno : 0;
	return r < 0 && r != -ENOENT ? err_errno(err, r, "cannot change %s", path) : 0;
}

int fake_disk_work(const struct fake *f, const struct driver_guest *guest,
	const struct driver_disk_work *work, struct driver_disk_result *ret, struct err *err)
{
	bool helps = !guest->disk || !fake_disk_has_word(guest->disk, FAKE_HELPS_NOT);

	*ret = (struct driver_disk_result){0};
	if (!guest->disk && (work->op == DRIVER_DISK_RESIZE || work->op == DRIVER_DISK_DISCARD))
		return err_set(err, ERR_UNSUPPORTED, NULL, "a container has no disk");
	switch (work->op) {
	case DRIVER_DISK_RESIZE:
		ret->file_system = helps;
		return enlarge(guest->disk, work->size, err);
	case DRIVER_DISK_DISCARD:
		ret->freed = FAKE_DISCARDED;
		return helps ? 0
			     : err_set(err, ERR_UNSUPPORTED, NULL,
				       "the guest has nothing that answers requests");
	case DRIVER_DISK_HOLD: ret->file_system = helps; return hold(f, guest->id, true, err);
	case DRIVER_DISK_RELEASE: return hold(f, guest->id, false, err);
	}
	return err_set(err, ERR_INVALID, NULL, "nothing is known of that work");
}

void fake_disk_forget(const struct fake *f, const char *id)
{
	char path[PATH_MAX];

	if (token_path(f, id, path) == 0)
		unlink(path);
	if (held_path(f, id, path) == 0)
		unlink(path);
}
