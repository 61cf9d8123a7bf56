/* Files in machines. This node does not look into a machine's disk while it runs (two who write to
 * a file system destroy it) or while it does not (what a guest prepared there would be read by the
 * node's kernel): its own shell does what is asked for. Nothing that it does can lead out of the
 * guest.
 *
 * Each step is a script that is over in a moment and leaves nothing behind, so that a call may end
 * anywhere. Only the file that a long write grows in has to be noted (ledger.h). What went wrong is
 * told by the tools' own words for it. */
#include "drivers/kvm/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "drivers/inside/tree.h"
#include "drivers/kvm/file_internal.h"

#define RUN_MS	  20000
#define TRIES_MAX 5 /* directories that change while they are listed */
#define PAGE	  "200"

/* --- What went wrong ---------------------------------------------------------------------------
 */

/* As libraries of C say it; the last two lines of some are musl's. */
static const struct {
	const char *text;
	int errnum;
} WORDS[] = {
	{"No such file or directory", ENOENT},
	{"Not a directory", ENOTDIR},
	{"Is a directory", EISDIR},
	{"is a directory", EISDIR},
	{"Too many levels of symbolic links", ELOOP},
	{"Symbolic link loop", ELOOP},
	{"File name too long", ENAMETOOLONG},
	{"Filename too long", ENAMETOOLONG},
	{"Read-only file system", EROFS},
	{"Directory not empty", ENOTEMPTY},
	{"Device or resource busy", EBUSY},
	{"Resource busy", EBUSY},
	{"Permission denied", EACCES},
	{"Operation not permitted", EPERM},
	{"Text file busy", ETXTBSY},
	{"No space left on device", ENOSPC},
	{"Disk quota exceeded", EDQUOT},
	{"Quota exceeded", EDQUOT},
	{"File exists", ENOTDIR}, /* of mkdir: something else is there */
	{"Invalid argument", EINVAL},
};

int file_fail(const char *words, const char *path, struct err *err)
{
	if (strstr(words, "not a regular file"))
		return err_set(err, ERR_INVALID, "path", "%.200s: is not a regular file", path);
	for (size_t i = 0; i < ARRAY_SIZE(WORDS); i++)
		if (strstr(words, WORDS[i].text))
			return tree_fail(err, WORDS[i].errnum, path);
	return err_set(err, ERR_DRIVER, "path", "%.150s: the guest says: %.200s", path,
		*words ? words : "nothing");
}

int file_script(struct way *way, const char *path, const struct way_run *run,
	struct way_result *ret, struct err *err)
{
	struct way_run timed = *run;
	int r;

	timed.timeout_ms = RUN_MS;
	r = way_run(way, &timed, ret, err);
	if (r < 0 || ret->status == 0)
		return r;
	return file_fail(ret->output, path, err);
}

/* --- Looking -----------------------------------------------------------------------------------
 */

/* Mode in hexadecimal, owner, group, size, time; and its fraction, where stat has one. */
#define STAT "stat -c '%f %u %g %s %Y %y' "

/* One line of it; returns where the next begins, NULL when it is none. */
static const char *parse_stat(const char *line, struct stat *ret)
{
	unsigned mode, uid, gid;
	long long size, seconds, fraction = 0;
	char digits[10] = "000000000";
	const char *end = strchr(line, '\n'), *dot;

	if (!end || sscanf(line, "%x %u %u %lld %lld", &mode, &uid, &gid, &size, &seconds) != 5)
		return NULL;
	dot = memchr(line, '.', (size_t)(end - line));
	if (dot)
		memcpy(digits, dot + 1, strspn(dot + 1, "0123456789") >= 9 ? 9 : 0);
	fraction = atoll(digits);
	*ret = (struct stat){.st_mode = mode,
		.st_uid = uid,
		.st_gid = gid,
		.st_size = size,
		.st_mtim = {.tv_sec = seconds, .tv_nsec = fraction}};
	return end + 1;
}

static int strange(struct err *err, const char *path)
{
	return err_set(
		err, ERR_DRIVER, "path", "%.200s: the guest answers what makes no sense", path);
}

static int look(struct way *way, const struct driver_file *file, struct driver_file_info *ret,
	struct err *err)
{
	const char *args[] = {file->path, NULL};
	struct way_run run = {.script = STAT "-- \"$1\" 2>&1\n", .args = args};
	CLEANUP(way_result_finish) struct way_result result = {0};
	struct stat st;
	int r = file_script(way, file->path, &run, &result, err);

	if (r < 0)
		return r;
	if (!parse_stat(result.output, &st))
		return strange(err, file->path);
	tree_describe(&st, ret);
	return 0;
}

/* --- Listing -----------------------------------------------------------------------------------
 */

/* A page of a directory, those behind the first $2: names, each with a NUL behind it, and one more;
 * a line of stat for each, in the same order; targets of those that are links, each with a NUL. */
#define PAGE_OF                                                                                    \
	"stat -L -c %f -- \"$1/.\" 2>&1 >/dev/null || exit 1\n"                                    \
	"cd -P \"$1\" || exit 1\n"                                                                 \
	"skip=$2 i=0\n"                                                                            \
	"set --\n"                                                                                 \
	"for f in * .[!.]* ..?*; do\n"                                                             \
	"	[ -e \"$f\" ] || [ -L \"$f\" ] || continue\n"                                            \
	"	i=$((i + 1))\n"                                                                          \
	"	[ \"$i\" -gt \"$skip\" ] || continue\n"                                                  \
	"	set -- \"$@\" \"./$f\"\n"                                                                \
	"	[ $# -lt " PAGE " ] || break\n"                                                    \
	"done\n"                                                                                   \
	"[ $# -gt 0 ] || exit 0\n"                                                                 \
	"printf '%s\\0' \"$@\"\n"                                                                  \
	"printf '\\0'\n" STAT "-- \"$@\" 2>/dev/null\n"                                            \
	"for f; do\n"                                                                              \
	"	[ ! -L \"$f\" ] || { readlink \"$f\"; printf '\\0'; }\n"                                 \
	"done\n"                                                                                   \
	"exit 0\n"

/* A page that was taken apart: the three parts, and where they end. */
struct page {
	const char *names, *stats, *targets, *end;
};

/* Past the next NUL; NULL when there is none. */
static const char *past_nul(const char *at, const char *end)
{
	const char *nul = memchr(at, '\0', (size_t)(end - at));

	return nul ? nul + 1 : NULL;
}

/* False where something was removed or made between two looks: the parts do not fit together. */
static bool split(const struct way_result *result, struct page *ret, size_t *ret_count)
{
	const char *end = result->output + result->output_size, *at = result->output;
	struct stat st;
	size_t links = 0;

	*ret = (struct page){.names = at, .end = end};
	for (*ret_count = 0; at && at < end && *at; ++*ret_count)
		at = past_nul(at, end);
	if (!at || at >= end)
		return false;
	ret->stats = ++at;
	for (size_t i = 0; at && i < *ret_count; i++) {
		at = at < end ? parse_stat(at, &st) : NULL;
		links += at && S_ISLNK(st.st_mode);
	}
	ret->targets = at;
	for (size_t i = 0; at && i < links; i++)
		at = past_nul(at, end);
	return at == end;
}

static int write_entry(FILE *out, const char *name, const struct stat *st, char *target)
{
	json_auto_t *json = NULL;
	size_t n = target ? strlen(target) : 0;

	if (n > 0 && target[n - 1] == '\n') /* readlink's own */
		target[n - 1] = '\0';
	json = tree_entry(name, st, target);
	if (!json)
		return -ENOMEM;
	return json_dumpf(json, out, JSON_COMPACT) < 0 || fputc('\n', out) == EOF ? -errno : 0;
}

static int write_page(FILE *out, const struct page *page)
{
	const char *name = page->names, *stat = page->stats, *target = page->targets;
	int r = 0;

	while (r == 0 && *name) {
		AUTOFREE char *copy = NULL;
		struct stat st;

		stat = parse_stat(stat, &st);
		if (S_ISLNK(st.st_mode)) {
			copy = strdup(target);
			target = past_nul(target, page->end);
		}
		r = write_entry(out, name + strlen("./"), &st, copy);
		name = past_nul(name, page->end);
	}
	return r;
}

/* A page, at *skip, which goes on by as many as there were. */
static int list_page(
	struct way *way, const struct driver_file *file, FILE *out, size_t *skip, struct err *err)
{
	for (int i = 0; i < TRIES_MAX; i++) {
		CLEANUP(way_result_finish) struct way_result result = {0};
		char number[24];
		const char *args[] = {file->path, number, NULL};
		struct way_run run = {.script = PAGE_OF, .args = args};
		struct page page;
		size_t count = 0;
		int r;

		snprintf(number, sizeof(number), "%zu", *skip);
		r = file_script(way, file->path, &run, &result, err);
		if (r < 0 || result.output_size == 0)
			return r;
		if (!split(&result, &page, &count))
			continue;
		r = write_page(out, &page);
		*skip += count;
		return r < 0 ? tree_fail(err, -r, file->path) : 1;
	}
	return err_set(err, ERR_UNAVAILABLE, "path",
		"%.200s: changes too fast to be listed: try again", file->path);
}

static int list(struct way *way, const struct driver_file *file, struct err *err)
{
	AUTOCLOSE int to = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);
	CLEANUP(fclosep) FILE *out = to >= 0 ? fdopen(to, "w") : NULL;
	size_t skip = 0;
	int r;

	if (!out)
		return err_errno(err, errno, "cannot list %s", file->path);
	TAKE_FD(to);
	do
		r = list_page(way, file, out, &skip, err);
	while (r > 0);
	return r == 0 && fflush(out) == EOF ? tree_fail(err, errno, file->path) : r;
}

/* --- Reading -----------------------------------------------------------------------------------
 */

/* What the file is, by the descriptor that the bytes come from; then a mebibyte of it, number $2,
 * or nothing where that is empty. A file that has no size (of /proc, say) is read to its end at
 * once. */
#define READ                                                                                       \
	"stat -L -c %f -- \"$1\" 2>&1 >/dev/null || exit 1\n"                                      \
	"[ ! -d \"$1\" ] || { echo 'Is a directory'; exit 1; }\n"                                  \
	"[ -f \"$1\" ] || { echo 'not a regular file'; exit 1; }\n"                                \
	"exec 3<\"$1\" || exit 1\n"                                                                \
	"stat -L -c '%d-%i' /proc/self/fd/3\n"                                                     \
	"stat -L -c '%f %u %g %s %Y %y' /proc/self/fd/3\n"                                         \
	"[ -n \"$2\" ] || exit 0\n"                                                                \
	"if [ \"$(stat -L -c %s /proc/self/fd/3)\" = 0 ]; then\n"                                  \
	"	head -c 2000000 <&3\n"                                                                   \
	"else\n"                                                                                   \
	"	dd bs=1048576 skip=\"$2\" count=1 <&3 2>/dev/null\n"                                     \
	"fi\n"
#define BLOCK 1048576

/* What is known of the file since its first block. */
struct reading {
	char identity[64];
	struct stat st;
	uint64_t done;
};

static int take_block(struct reading *re, const struct way_result *result,
	const struct driver_file *file, size_t *ret_size, struct err *err)
{
	const char *line = memchr(result->output, '\n', result->output_size), *data;
	size_t length = line ? (size_t)(line - result->output) : 0;
	struct stat st;
	int r;

	data = line && length < sizeof(re->identity) ? parse_stat(line + 1, &st) : NULL;
	if (!data || data > result->output + result->output_size)
		return strange(err, file->path);
	if (re->done == 0) {
		memcpy(re->identity, result->output, length);
		re->identity[length] = '\0';
		re->st = st;
	} else if (strlen(re->identity) != length ||
		   memcmp(re->identity, result->output, length) != 0) {
		return err_set(err, ERR_CONFLICT, "path", "%.200s: was replaced while it was read",
			file->path);
	}
	*ret_size = result->output_size - (size_t)(data - result->output);
	/* What it has grown by meanwhile is not read. */
	if (re->st.st_size > 0 && *ret_size > (uint64_t)re->st.st_size - re->done)
		*ret_size = (uint64_t)re->st.st_size - re->done;
	re->done += *ret_size;
	if (file->fd < 0)
		return 0;
	r = file_write_all(file->fd, data, *ret_size);
	return r < 0 ? tree_fail(err, -r, file->path) : 0;
}

static int read_block(struct way *way, const struct driver_file *file, struct reading *re,
	size_t *ret_size, struct err *err)
{
	char number[24] = "";
	const char *args[] = {file->path, number, NULL};
	struct way_run run = {.script = READ, .args = args};
	CLEANUP(way_result_finish) struct way_result result = {0};
	int r;

	if (file->fd >= 0)
		snprintf(number, sizeof(number), "%" PRIu64, re->done / BLOCK);
	r = file_script(way, file->path, &run, &result, err);
	return r < 0 ? r : take_block(re, &result, file, ret_size, err);
}

static int read_file(struct way *way, const struct driver_file *file, struct driver_file_info *ret,
	struct err *err)
{
	struct reading re = {0};
	size_t n;
	int r;

	do
		r = read_block(way, file, &re, &n, err);
	while (r == 0 && n == BLOCK && re.done < (uint64_t)re.st.st_size);
	if (r == 0)
		tree_describe(&re.st, ret);
	return r;
}

/* --- Directories and removal -------------------------------------------------------------------
 */

/* $2, $3, $4: mode, owner, group; empty: as it was, or as new ones are. */
#define MAKE                                                                                       \
	"exec 2>&1\n"                                                                              \
	"umask 077\n"                                                                              \
	"mode=$2 uid=$3 gid=$4\n"                                                                  \
	"if [ ! -d \"$1\" ] || [ -L \"$1\" ]; then\n"                                              \
	"	mkdir -- \"$1\" || exit 1\n"                                                             \
	"	mode=${mode:-755} uid=${uid:-0} gid=${gid:-0}\n"                                         \
	"fi\n"                                                                                     \
	"[ -z \"$uid$gid\" ] || chown \"$uid${gid:+:$gid}\" \"$1\" || exit 1\n"                    \
	"[ -z \"$mode\" ] || chmod \"$mode\" \"$1\"\n"

#define REMOVE                                                                                     \
	"if [ -d \"$1\" ] && [ ! -L \"$1\" ]; then\n"                                              \
	"	rmdir -- \"$1\" 2>&1\n"                                                                  \
	"else\n"                                                                                   \
	"	rm -f -- \"$1\" 2>&1\n"                                                                  \
	"fi\n"

void file_attributes(const struct driver_file *file, struct file_attributes *ret)
{
	*ret = (struct file_attributes){0};
	if (file->mode >= 0)
		snprintf(ret->mode, sizeof(ret->mode), "%" PRIo64, (uint64_t)file->mode);
	if (file->uid >= 0)
		snprintf(ret->uid, sizeof(ret->uid), "%" PRId64, file->uid);
	if (file->gid >= 0)
		snprintf(ret->gid, sizeof(ret->gid), "%" PRId64, file->gid);
}

static int run_simple(
	struct way *way, const struct driver_file *file, const char *script, struct err *err)
{
	struct file_attributes a;
	const char *args[] = {file->path, a.mode, a.uid, a.gid, NULL};
	struct way_run run = {.script = script, .args = args};
	CLEANUP(way_result_finish) struct way_result result = {0};

	file_attributes(file, &a);
	return file_script(way, file->path, &run, &result, err);
}

/* --- All of them -------------------------------------------------------------------------------
 */

static int do_file(struct way *way, const struct driver_file *file, struct driver_file_info *ret,
	struct err *err)
{
	struct driver_file_info info;

	switch (file->op) {
	case DRIVER_FILE_STAT: return look(way, file, ret ? ret : &info, err);
	case DRIVER_FILE_LIST: return list(way, file, err);
	case DRIVER_FILE_READ: return read_file(way, file, ret ? ret : &info, err);
	case DRIVER_FILE_WRITE: return file_put(way, file, err);
	case DRIVER_FILE_MKDIR: return run_simple(way, file, MAKE, err);
	case DRIVER_FILE_REMOVE: return run_simple(way, file, REMOVE, err);
	}
	return err_set(err, ERR_UNSUPPORTED, NULL, "nothing of that kind is done to files");
}

static int check(const struct driver_file *file, struct err *err)
{
	bool names = file->op == DRIVER_FILE_WRITE || file->op == DRIVER_FILE_MKDIR ||
		     file->op == DRIVER_FILE_REMOVE;

	return names ? tree_check_name(file->path, err) : tree_check_path(file->path, err);
}

/* At its end they say nothing here, and much to a shell. */
static const char *without_slashes(char *path)
{
	for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
		path[n - 1] = '\0';
	return path;
}

int kvm_file(struct driver *driver, const char *id, const struct driver_file *file,
	struct driver_file_info *ret, struct err *err)
{
	CLEANUP(guest_finish) struct kvm_guest g = {0};
	CLEANUP(way_close) struct way way = {0};
	AUTOFREE char *path = strdup(file->path);
	struct driver_file plain = *file;
	int r = path ? check(file, err) : err_errno(err, ENOMEM, "no memory for a path");

	signal(SIGPIPE, SIG_IGN);
	if (r == 0)
		plain.path = without_slashes(path);
	if (r == 0)
		r = guest_connect(driver, id, &g, err);
	if (r == 0 && !guest_is_active(&g))
		return err_set(err, ERR_ILLEGAL_STATE, NULL,
			"guest %s does not run: files of a machine are reached through the "
			"machine, "
			"so it has to be started first",
			g.definition.guest.name);
	if (r == 0)
		r = way_open(&g, false, &way, err);
	return r == 0 ? do_file(&way, &plain, ret, err) : r;
}
