/* Containers, and commands in them. */
#include "docker_inside.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/process.h"
#include "docker_guests.h"
#include "docker_node.h"
#include "drivers/docker/define.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/exec.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/docker/reply.h"

#define WORDS_MAX 40

static struct docker g_docker;
static struct driver_guest g_guest = {.id = "0123456789ab", .name = "web"};
static struct docker_paths g_paths;
static struct inside g_inside = {.docker = &g_docker, .paths = &g_paths, .guest = &g_guest};
static json_t *g_info;
static char g_name[64];

void inside_connect(const char *socket)
{
	struct err err = {0};

	g_docker.socket = (char *)socket;
	g_docker.dirs.run = g_docker.dirs.state = (char *)node_dir();
	assert_int_equal(docker_paths(&g_docker, g_guest.id, &g_paths, &err), 0);
	g_inside.engine = engine_close(g_inside.engine);
	if (engine_open(socket, 0, &g_inside.engine, &err) < 0)
		fail_msg("%s", err.message);
}

void inside_look(void)
{
	struct engine_request request = {.path = "/containers/{}/json", .name = g_name};
	struct err err = {0};

	inside_connect(docker_node_socket());
	json_decref(g_info);
	if (engine_call(g_inside.engine, &request, &g_info, &err) < 0)
		fail_msg("%s", err.message);
	g_inside.info = g_info;
	g_inside.container = reply_text_or_none(g_info, "Id");
	g_inside.pid = (pid_t)reply_number_or_none(g_info, "State.Pid");
}

static void lay_gate(const char *path)
{
	char made[PATH_MAX];

	assert_true(file_path(made, sizeof(made), "%s.new", path) >= 0);
	docker_guests_copy_program(TEST_BINARY_DIR "/bin/corpus-gate", made, 0711);
	assert_int_equal(rename(made, path), 0);
}

static const char *inside_gate(void)
{
	static char path[PATH_MAX];

	assert_true(file_path(path, sizeof(path), "%s/gate", node_dir()) >= 0);
	if (access(path, F_OK) < 0)
		lay_gate(path);
	return path;
}

void inside_upgrade(void)
{
	lay_gate(inside_gate());
}

struct inside *inside_begin(const char *const *options, const char *script)
{
	char gate[PATH_MAX + sizeof(GATE_PROGRAM) + 8];
	const char *words[WORDS_MAX] = {
		script ? "run" : "create", "--network=none", "--volume", gate, "--name", g_name};
	static int count;
	size_t n = 6;

	snprintf(gate, sizeof(gate), "%s:" GATE_PROGRAM ":ro", inside_gate());
	snprintf(g_name, sizeof(g_name), "inside-%d", ++count);
	if (script)
		words[n++] = "--detach";
	while (*options)
		words[n++] = *options++;
	words[n++] = docker_node_image();
	words[n++] = "sh";
	words[n++] = "-c";
	words[n++] = script ? script : "exit 0";
	assert_non_null(docker_node_run(words));
	inside_look();
	return &g_inside;
}

struct run run_begin(struct driver_exec exec)
{
	struct run run = {.errs = -1};
	int in[2], out[2], errs[2], status[2];

	assert_int_equal(pipe2(status, O_CLOEXEC), 0);
	if (exec.terminal) {
		assert_int_equal(openpty(&out[0], &out[1], NULL, NULL,
					 &(struct winsize){.ws_row = 30, .ws_col = 100}),
			0);
		in[0] = errs[1] = out[1];
		run.in = run.out = out[0];
	} else {
		assert_int_equal(pipe2(in, O_CLOEXEC), 0);
		assert_int_equal(pipe2(out, O_CLOEXEC), 0);
		assert_int_equal(pipe2(errs, O_CLOEXEC), 0);
		run.in = in[1];
		run.out = out[0];
		run.errs = errs[0];
	}
	exec.stdin_fd = in[0];
	exec.stdout_fd = out[1];
	exec.stderr_fd = errs[1];
	exec.status_fd = status[1];
	run.status = status[0];
	run.result = docker_exec(&g_inside, &exec, &run.pid, &run.err);
	close(out[1]);
	close(status[1]);
	if (!exec.terminal) {
		close(in[0]);
		close(errs[1]);
	}
	return run;
}

struct run run_shell(const char *script)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	struct run run = run_begin((struct driver_exec){.argv = argv});

	if (run.result < 0)
		fail_msg("%s: %s", script, run.err.message);
	return run;
}

int run_end(struct run *run)
{
	struct pollfd p = {.fd = run->status, .events = POLLIN};
	int status = -1;

	if (run->in != run->out)
		run->in = fd_close(run->in);
	if (poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("a command does not end");
	if (read(run->status, &status, sizeof(status)) != sizeof(status))
		status = -1;
	run->status = fd_close(run->status);
	run->out = fd_close(run->out);
	run->errs = fd_close(run->errs);
	return status;
}

const char *read_until(int fd, const char *text)
{
	static char buf[65536];
	size_t have = 0;

	buf[0] = '\0';
	while (!text || !strstr(buf, text)) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n = poll(&p, 1, PATIENCE_MS) == 1
				    ? read(fd, buf + have, sizeof(buf) - 1 - have)
				    : -2;

		if (n <= 0 && n != -2 && !text)
			break;
		if (n <= 0)
			fail_msg("\"%s\" does not come, only \"%s\"", text ? text : "the end", buf);
		have += (size_t)n;
		buf[have] = '\0';
	}
	return buf;
}

void assert_gone(pid_t pid)
{
	AUTOCLOSE int pidfd = process_pidfd(pid);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && poll(&p, 1, PATIENCE_MS) != 1)
		fail_msg("process %d goes on", pid);
}
