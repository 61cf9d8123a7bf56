/* Sources of uploads that are descriptors: files, pipes, programs. */
#include "cli/source.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/source_internal.h"

struct source *source_create(const struct source_ops *ops, int fd)
{
	struct source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->ops = ops;
	source->fd = fd;
	source->size = -1;
	return source;
}

struct source *source_close(struct source *source)
{
	if (!source)
		return NULL;
	/* Closed first: whoever writes into the pipe must not wait for us. */
	source->fd = fd_close(source->fd);
	if (source->ops && source->ops->stop)
		source->ops->stop(source);
	free(source->path);
	free(source);
	return NULL;
}

void source_closep(struct source **source)
{
	*source = source_close(*source);
}

int64_t source_read(struct source *source, void *buf, uint64_t size, struct err *err)
{
	ssize_t n;

	do
		n = read(source->fd, buf, size);
	while (n < 0 && errno == EINTR && !cli_interrupted());
	if (n < 0 && errno == EINTR)
		return err_set(err, ERR_CANCELLED, NULL, "interrupted");
	if (n < 0)
		return err_errno(err, errno, "reading %s", source->path);
	if (n == 0 && source->ops && source->ops->finish)
		return source->ops->finish(source, err);
	return n;
}

int64_t source_size(const struct source *source)
{
	return source->size;
}

bool source_rewind(struct source *source)
{
	return source->size >= 0 && lseek(source->fd, 0, SEEK_SET) == 0;
}

/* --- Files ----------------------------------------------------------------------------------- */

int source_open_file(const char *path, struct source **ret, struct err *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	AUTOCLOSE int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
				    : open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP(source_closep) struct source *source = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, ERR_INVALID, NULL, "%s: %s", path, strerrordesc_np(errno));
	source = source_create(NULL, fd);
	if (!source)
		return err_errno(err, ENOMEM, "%s", path);
	fd = -1;
	source->path = strdup(is_stdin ? "standard input" : path);
	if (!source->path)
		return err_errno(err, ENOMEM, "%s", path);
	if (S_ISREG(st.st_mode) && lseek(source->fd, 0, SEEK_CUR) == 0)
		source->size = st.st_size;
	*ret = TAKE_PTR(source);
	return 0;
}

/* --- Programs -------------------------------------------------------------------------------- */

static int program_finish(struct source *source, struct err *err)
{
	int status;

	while (waitpid(source->pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_errno(err, errno, "waiting for %s", source->path);
	source->pid = 0;
	if (WIFSIGNALED(status))
		return err_set(err, ERR_INTERNAL, NULL, "%s was killed by signal %d", source->path,
			WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(err, ERR_INTERNAL, NULL, "%s failed with exit status %d",
			source->path, WEXITSTATUS(status));
	return 0;
}

static void program_stop(struct source *source)
{
	if (source->pid <= 0)
		return;
	kill(source->pid, SIGTERM);
	program_finish(source, NULL);
}

static const struct source_ops PROGRAM = {.finish = program_finish, .stop = program_stop};

/* Its stdout is `out`; signals are as a program expects them. */
static int spawn(const char *const *argv, int out, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, defaults;
	int r;

	sigemptyset(&none);
	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn(ret, argv[0], &actions, &attributes, (char *const *)argv, environ);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int source_open_program(const char *const *argv, struct source **ret, struct err *err)
{
	AUTOCLOSE int in = -1, out = -1;
	CLEANUP(source_closep) struct source *source = NULL;
	int r = file_pipe(&in, &out, 0);

	if (r < 0)
		return err_errno(err, r, "making a pipe");
	source = source_create(&PROGRAM, in);
	if (!source)
		return err_errno(err, ENOMEM, "%s", argv[0]);
	in = -1;
	source->path = strdup(argv[0]);
	if (!source->path)
		return err_errno(err, ENOMEM, "%s", argv[0]);
	r = spawn(argv, out, &source->pid);
	if (r < 0)
		return err_errno(err, r, "cannot run %s", argv[0]);
	*ret = TAKE_PTR(source);
	return 0;
}
