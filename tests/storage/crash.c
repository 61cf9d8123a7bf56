/* Death on demand. */
#include "crash.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"

void crash_configure(struct fixture *f)
{
	f->config.loop_size = 300 * MIB;
	f->config.loop_max = 900 * MIB;
}

int crash_main(struct fixture *f, const struct crash_verb *verbs, char **argv)
{
	struct storage *storage = NULL;

	fixture_configure(f, &g_backends[strtol(argv[4], NULL, 10)], argv[2], argv[3]);
	crash_configure(f);
	while (verbs->name && strcmp(verbs->name, argv[1]) != 0)
		verbs++;
	if (!verbs->name || verbs->run(&storage) < 0) {
		fprintf(stderr, "%s\n", g_err.message);
		return 1;
	}
	storage_close(storage);
	return 0;
}

pid_t crash_start(const struct fixture *f, const char *verb, const char *fault)
{
	char backend[8];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	snprintf(backend, sizeof(backend), "%d", (int)(f->backend - g_backends));
	setenv("CORPUS_FAULT", fault, 1);
	execl("/proc/self/exe", "crash", verb, f->path, f->loop_file, backend, NULL);
	_exit(127);
}

int crash_end(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

void crash_run(const struct fixture *f, const char *verb)
{
	int status = crash_end(crash_start(f, verb, ""));

	if (status != 0)
		fail_msg("%s failed with status %#x", verb, (unsigned)status);
}

void crash_at(const struct fixture *f, const char *verb, const char *point)
{
	char fault[96];
	int status;

	snprintf(fault, sizeof(fault), "%s%s", point, strchr(point, '=') ? "" : "=kill");
	status = crash_end(crash_start(f, verb, fault));
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		fail_msg("%s did not pass %s: status %#x", verb, point, (unsigned)status);
}

void crash_at_some_instant(const struct fixture *f, const char *verb, int first_ms, int ms)
{
	pid_t pid = crash_start(f, verb, "");
	uint8_t chance;

	random_bytes(&chance, sizeof(chance));
	poll(NULL, 0, first_ms + chance % ms);
	kill(pid, SIGKILL);
	crash_end(pid);
}

int crash_import(struct fixture *f, struct storage **storage, const char *name,
	const struct image_source *source)
{
	int r = storage_open(&f->config, storage, &g_err);

	if (r == 0)
		r = image_import(*storage, name, source, NULL, &g_err);
	close(source->fd);
	return r;
}

bool crash_has_image(struct fixture *f, const char *folder)
{
	struct image *images;
	size_t count;

	assert_ok(image_list(f->storage, &images, &count, &g_err));
	free(images);
	assert_true(count <= 1);
	assert_int_equal(fixture_count(f, folder), count);
	return count == 1;
}
