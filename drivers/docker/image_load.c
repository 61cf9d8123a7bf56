/* Images from archives. What an archive holds gets a name of ours first, and the one that is wanted
 * when it is known to be whole. */
#include <errno.h>
#include <inttypes.h>
#include <nettle/sha2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fault.h"
#include "base/process.h"
#include "drivers/docker/image.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/progress.h"
#include "drivers/docker/reply.h"
#include "drivers/docker/sieve.h"

#define ASK_MS	    30000
#define ZSTD_SINCE  42 /* version of the API of Docker 23 */
#define MARK_DIGITS 8
#define LOADING_MAX 96

struct load {
	struct sieve sieve;
	struct lines lines;
	struct progress progress;
	uint64_t done;
	char kind;		   /* SIEVE_…; 0: not known yet */
	struct err refused;	   /* why files are not to be loaded */
	char loading[LOADING_MAX]; /* what it is called until it is whole */
};

static void load_finish(struct load *l)
{
	sieve_finish(&l->sieve);
	lines_finish(&l->lines);
	progress_finish(&l->progress);
}

/* --- Names of ours --------------------------------------------------------------------------- */

/* One agent's among those that share a dockerd. */
static void print_mark(const struct docker *docker, char mark[static MARK_DIGITS + 1])
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	struct sha256_ctx context;

	sha256_init(&context);
	sha256_update(&context, strlen(docker->dirs.state), (const uint8_t *)docker->dirs.state);
	sha256_digest(&context, sizeof(digest), digest);
	for (size_t i = 0; i < MARK_DIGITS / 2; i++)
		snprintf(mark + 2 * i, 3, "%02x", digest[i]);
}

static void print_loading(const struct docker *docker, char name[static LOADING_MAX])
{
	char mark[MARK_DIGITS + 1];
	uint64_t since = 0;

	print_mark(docker, mark);
	process_start_time(getpid(), &since);
	snprintf(name, LOADING_MAX, IMAGE_LOADING ":%s-%d-%" PRIu64, mark, getpid(), since);
}

/* What a process of ours was loading that is gone. */
static bool is_left_over(const char *name, const char *mark)
{
	char theirs[MARK_DIGITS + 1];
	uint64_t since = 0, now = 0;
	pid_t pid;

	return sscanf(name, IMAGE_LOADING ":%8[0-9a-f]-%d-%" SCNu64, theirs, &pid, &since) == 3 &&
	       strcmp(theirs, mark) == 0 && (process_start_time(pid, &now) < 0 || now != since);
}

static void remove_left_over(const struct docker *docker, struct engine *engine)
{
	static const struct engine_request ask = {.path = "/images/json",
		.query = {{"filters", "{\"reference\":[\"" IMAGE_LOADING "\"]}"}},
		.timeout_ms = ASK_MS};
	const json_t *image, *tag;
	char mark[MARK_DIGITS + 1];
	json_t *list = NULL;
	size_t i, j;

	print_mark(docker, mark);
	if (engine_call(engine, &ask, &list, NULL) < 0)
		return;
	json_array_foreach (list, i, image)
		json_array_foreach (json_object_get(image, "RepoTags"), j, tag)
			if (json_is_string(tag) && is_left_over(json_string_value(tag), mark))
				image_remove(engine, json_string_value(tag), NULL);
	json_decref(list);
}

/* --- Sending --------------------------------------------------------------------------------- */

static int on_progress_end(void *data, struct err *err)
{
	struct load *l = data;

	return progress_cancelled(&l->progress, err);
}

/* Waits for the first that the sieve lets through. */
static int wait_for_bytes(struct load *l, struct err *err)
{
	struct pollfd p[] = {
		{.fd = l->sieve.out, .events = POLLIN}, {.fd = l->progress.fd, .events = 0}};

	while (poll(p, ARRAY_SIZE(p), -1) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "cannot wait for an archive");
	return p[1].revents ? progress_cancelled(&l->progress, err) : 0;
}

/* Images that are refused lack their manifest: broken off, nothing of them is loaded. Files end as
 * if they were whole, and are removed when dockerd has answered: it may take what it got for all
 * (26.1), and nobody would know when. */
static int end(struct load *l, struct err *err)
{
	if (l->kind != SIEVE_FILES)
		return sieve_end(&l->sieve, err);
	sieve_end(&l->sieve, &l->refused);
	return 0;
}

static ssize_t give_bytes(void *data, char *buf, size_t size, struct err *err)
{
	struct load *l = data;
	ssize_t n;

	do
		n = read(l->sieve.out, buf, size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(err, errno, "cannot read an archive");
	if (n == 0)
		return end(l, err);
	l->done += (uint64_t)n;
	progress_tell(&l->progress, l->done, 0, "loading", false);
	return n;
}

static int on_bytes(void *data, const char *bytes, size_t size, struct err *err)
{
	struct load *l = data;

	return lines_take(&l->lines, bytes, size, err);
}

/* What a root file system is started by, as guests of other kinds. */
#define FILES_CHANGES "CMD [\"/sbin/init\"]"

static void fill_request(struct engine_request *request, const struct load *l)
{
	const char *tag = l->loading + strlen(IMAGE_LOADING ":");

	if (l->kind == SIEVE_IMAGES) {
		request->path = "/images/load";
		request->query[0] = (struct engine_parameter){"quiet", "1"};
		return;
	}
	request->path = "/images/create";
	request->query[0] = (struct engine_parameter){"fromSrc", "-"};
	request->query[1] = (struct engine_parameter){"repo", IMAGE_LOADING};
	request->query[2] = (struct engine_parameter){"tag", tag};
	request->query[3] = (struct engine_parameter){"changes", FILES_CHANGES};
}

static int send_all(struct engine *engine, struct load *l, struct err *err)
{
	struct engine_request request = {
		.method = "POST",
		.what = "load the image",
		.source = give_bytes,
		.source_type = "application/x-tar",
		.source_fd = l->sieve.out,
		.sink = on_bytes,
		.also = l->progress.fd >= 0 ? on_progress_end : NULL,
		.also_fd = l->progress.fd,
		.data = l,
	};
	int r = wait_for_bytes(l, err);

	if (r == 0)
		r = (int)give_bytes(l, &l->kind, 1, err);
	if (r < 0)
		return r;
	fill_request(&request, l);
	r = engine_call(engine, &request, NULL, err);
	if (l->refused.code == ERR_OK)
		return r < 0 ? r : lines_end(&l->lines, err);
	if (err)
		*err = l->refused;
	return err_errnum(l->refused.code);
}

/* --- Its name -------------------------------------------------------------------------------- */

static int check_same(const struct driver_image_work *work, const struct driver_image *former,
	const struct driver_image *loaded, struct err *err)
{
	if (work->replace || former->id[0] == '\0' || strcmp(former->id, loaded->id) == 0)
		return 0;
	return err_set(err, ERR_EXISTS, "image",
		"%s is another image already: remove it, or say that it is to be replaced",
		work->name);
}

static int give_name(struct engine *engine, const char *loading, const char *name, struct err *err)
{
	char repository[REFERENCE_TEXT_MAX];
	struct reference reference;
	int r = reference_parse(name, &reference, err);

	if (r < 0)
		return r;
	return engine_call(engine,
		&(struct engine_request){.method = "POST",
			.path = "/images/{}/tag",
			.name = loading,
			.query = {{"repo", reference_repository(&reference, repository)},
				{"tag", reference.tag}},
			.what = "name the image",
			.timeout_ms = ASK_MS},
		NULL, err);
}

static int load(struct engine *engine, const struct driver_image_work *work, struct load *l,
	struct err *err)
{
	struct driver_image former = {0}, loaded = {0};
	struct err absent = {0};
	int r = image_find(engine, work->name, &former, &absent);

	if (r < 0 && absent.code != ERR_NOT_FOUND) {
		if (err)
			*err = absent;
		return r;
	}
	r = send_all(engine, l, err);
	fault_point("driver.docker.load.loaded");
	if (r == 0)
		r = image_find(engine, l->loading, &loaded, err);
	if (r == 0)
		r = check_same(work, &former, &loaded, err);
	if (r == 0)
		r = give_name(engine, l->loading, work->name, err);
	fault_point("driver.docker.load.named");
	image_remove(engine, l->loading, NULL);
	return r;
}

static int check_work(const struct driver_image_work *work, struct err *err)
{
	if (strchr(work->name, '@'))
		return err_set(err, ERR_INVALID, "image",
			"%s is a digest, which follows from what is loaded: give it a name and a "
			"tag",
			work->name);
	if (work->sha256 && (strlen(work->sha256) != 64 ||
				    strspn(work->sha256, "0123456789abcdefABCDEF") != 64))
		return err_set(err, ERR_INVALID, "sha256", "sha256 must be 64 hexadecimal digits");
	return 0;
}

int image_load(struct docker *docker, struct engine *engine, const struct driver_image_work *work,
	struct err *err)
{
	CLEANUP(load_finish)
	struct load l = {.sieve = {.out = -1, .report = -1}, .progress.fd = work->progress_fd};
	struct sieve_work sift = {
		.fd = work->fd, .whole_fd = work->whole_fd, .sha256 = work->sha256};
	struct utsname host;
	int r = check_work(work, err);

	if (r < 0)
		return r;
	uname(&host);
	print_loading(docker, l.loading);
	l.lines = (struct lines){.object = image_message};
	sift.choice = (struct layout_choice){.wanted = work->name,
		.name = l.loading,
		.architecture = layout_architecture(host.machine),
		.zstd = engine_version(engine) >= ZSTD_SINCE};
	remove_left_over(docker, engine);
	r = sieve_start(&sift, &l.sieve, err);
	return r < 0 ? r : load(engine, work, &l, err);
}
