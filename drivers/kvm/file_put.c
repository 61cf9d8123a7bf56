/* Writing a file in a machine: its bytes go into another one beside it, piece by piece, which
 * takes its place by a rename when all have come. What fits into one piece is one step, which
 * leaves the old file or the new one; a longer one is noted, so that who dies in it leaves nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fault.h"
#include "base/random.h"
#include "drivers/inside/tree.h"
#include "drivers/kvm/file_internal.h"
#include "drivers/kvm/ledger.h"

#define DRAFT_DIGITS 16

/* $1 path, $2 draft, $3 what to do: "b" begin, "e" end it; $4 its size at the end; $5, $6, $7 mode,
 * owner, group. What is between them comes by standard input. Rights that who executes a file gets
 * by it are never inherited by other bytes. */
#define PUT                                                                                        \
	"exec 2>&1\n"                                                                              \
	"fail() { [ -z \"$1\" ] || echo \"$1\"; rm -f \"$draft\"; exit 1; }\n"                     \
	"path=$1 draft=$2 size=$4 mode=$5 uid=$6 gid=$7\n"                                         \
	"case $3 in *b*)\n"                                                                        \
	"	dir=${path%/*}\n"                                                                        \
	"	stat -L -c %f -- \"$dir/.\" >/dev/null || exit 1\n"                                      \
	"	if [ -e \"$path\" ] && [ ! -L \"$path\" ]; then\n"                                       \
	"		[ ! -d \"$path\" ] || { echo 'Is a directory'; exit 1; }\n"                             \
	"		[ -f \"$path\" ] || { echo 'not a regular file'; exit 1; }\n"                           \
	"	fi\n"                                                                                    \
	"	umask 077\n"                                                                             \
	"	set -C\n"                                                                                \
	"	true >\"$draft\" || exit 1\n"                                                            \
	"	set +C;;\n"                                                                              \
	"esac\n"                                                                                   \
	"cat >>\"$draft\" || fail\n"                                                               \
	"case $3 in *e*) ;; *) exit 0;; esac\n"                                                    \
	"[ \"$(stat -c %s \"$draft\")\" = \"$size\" ] || fail 'not all of it arrived'\n"           \
	"if [ -f \"$path\" ] && [ ! -L \"$path\" ]; then\n"                                        \
	"	set -- $(stat -c '%a %u %g' \"$path\")\n"                                                \
	"	old=00000$1\n"                                                                           \
	"	sticky=0; case $old in *[1357][0-7][0-7][0-7]) sticky=1;; esac\n"                        \
	"	mode=${mode:-$sticky${old#\"${old%???}\"}} uid=${uid:-$2} gid=${gid:-$3}\n"              \
	"fi\n"                                                                                     \
	"chown \"${uid:-0}:${gid:-0}\" \"$draft\" || fail\n"                                       \
	"chmod \"${mode:-644}\" \"$draft\" || fail\n"                                              \
	"if [ -L \"$path\" ] && ! mv -fT \"$draft\" \"$path\" 2>/dev/null; then\n"                 \
	"	rm -f \"$path\" || fail\n"                                                               \
	"fi\n"                                                                                     \
	"[ ! -e \"$draft\" ] || mv -f \"$draft\" \"$path\" || fail\n"

struct put {
	struct way *way;
	const struct driver_file *file;
	char draft[PATH_MAX + 32];
	char *piece;
	size_t piece_max;
	size_t size; /* of the piece */
	bool over;   /* it is the last */
	uint64_t done;
	struct ledger note;
};

/* The next piece, whole but for the last. */
static int fetch(struct put *p, struct err *err)
{
	p->size = 0;
	while (p->size < p->piece_max) {
		ssize_t n = read(p->file->fd, p->piece + p->size, p->piece_max - p->size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return tree_fail(err, errno, p->file->path);
		if (n == 0) {
			p->over = true;
			break;
		}
		p->size += (size_t)n;
	}
	p->done += p->size;
	return p->over ? tree_check_whole(p->file, p->done, err) : 0;
}

/* "b", "e", "be" or "". */
static int pass(struct put *p, const char *what, struct err *err)
{
	struct file_attributes a;
	char size[24];
	const char *args[] = {p->file->path, p->draft, what, size, a.mode, a.uid, a.gid, NULL};
	struct way_run run = {.script = PUT,
		.args = args,
		.input = p->size ? p->piece : NULL,
		.input_size = p->size};
	CLEANUP(way_result_finish) struct way_result result = {0};

	file_attributes(p->file, &a);
	snprintf(size, sizeof(size), "%" PRIu64, p->done);
	return file_script(p->way, p->file->path, &run, &result, err);
}

/* Takes the draft away again; when that cannot be done the next one does, by the note. */
static void take_back(struct put *p)
{
	const char *args[] = {p->draft, NULL};
	struct way_run run = {.script = "rm -f -- \"$1\"\n", .args = args, .timeout_ms = 5000};
	CLEANUP(way_result_finish) struct way_result result = {0};

	if (way_run(p->way, &run, &result, NULL) == 0 && result.status == 0)
		ledger_strike(&p->note);
	ledger_leave(&p->note);
}

static int put_pieces(struct put *p, struct err *err)
{
	char note[LEDGER_TEXT_MAX];
	int r;

	snprintf(note, sizeof(note), "draft %s", p->draft);
	r = ledger_note(&p->way->guest->paths, note, &p->note, err);
	if (r < 0)
		return r;
	r = pass(p, "b", err);
	while (r == 0 && !p->over) {
		fault_point("driver.kvm.file.piece");
		r = fetch(p, err);
		if (r == 0)
			r = pass(p, p->over ? "e" : "", err);
	}
	if (r < 0)
		take_back(p);
	else
		ledger_strike(&p->note);
	return r;
}

static void name_draft(struct put *p)
{
	const char *path = p->file->path;
	size_t end = strlen(path);
	char digits[DRAFT_DIGITS + 1];

	while (end > 0 && path[end - 1] == '/')
		end--;
	while (end > 0 && path[end - 1] != '/')
		end--;
	random_hex(digits, DRAFT_DIGITS);
	snprintf(p->draft, sizeof(p->draft), "%.*s.corpus-%s", (int)end, path, digits);
}

int file_put(struct way *way, const struct driver_file *file, struct err *err)
{
	AUTOFREE char *piece = malloc(way_input_max(way));
	struct put p = {.way = way,
		.file = file,
		.piece = piece,
		.piece_max = way_input_max(way),
		.note = {.fd = -1}};
	int r;

	if (!piece)
		return err_errno(err, ENOMEM, "no memory for a file");
	name_draft(&p);
	r = fetch(&p, err);
	if (r == 0)
		r = p.over ? pass(&p, "be", err) : put_pieces(&p, err);
	return r;
}
