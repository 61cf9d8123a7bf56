/* What the Docker driver says and reads, as functions of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "drivers/docker/engine.h"
#include "drivers/docker/engine_head.h"
#include "drivers/docker/flatten.h"
#include "drivers/docker/guest.h"
#include "drivers/docker/lines.h"
#include "drivers/docker/probe.h"
#include "drivers/docker/progress.h"
#include "drivers/docker/reply.h"

static json_t *parsed(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(json);
	return json;
}

/* --- Endpoints and replies ------------------------------------------------------------------- */

static void only_unix_sockets_are_endpoints(void **state)
{
	static const char *const bad[] = {"tcp://1.2.3.4:2375", "ssh://host", "docker.sock",
		"unix://docker.sock", "npipe:////./pipe/docker"};
	struct err err = {0};
	char longest[200];
	const char *path;

	(void)state;
	assert_int_equal(engine_endpoint(NULL, &path, NULL), 0);
	assert_string_equal(path, ENGINE_SOCKET);
	assert_int_equal(engine_endpoint("", &path, NULL), 0);
	assert_string_equal(path, ENGINE_SOCKET);
	assert_int_equal(engine_endpoint("unix:///a/b", &path, NULL), 0);
	assert_string_equal(path, "/a/b");
	assert_int_equal(engine_endpoint("/a/b", &path, NULL), 0);
	assert_string_equal(path, "/a/b");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(engine_endpoint(bad[i], &path, &err) < 0);
		assert_int_equal(err.code, ERR_INVALID);
		assert_string_equal(err.field, "endpoint");
		assert_non_null(strstr(err.message, bad[i]));
	}
	memset(longest, '/', sizeof(longest));
	longest[108] = '\0';
	assert_true(engine_endpoint(longest, &path, &err) < 0);
	longest[107] = '\0';
	assert_int_equal(engine_endpoint(longest, &path, NULL), 0);
}

static void fields_of_another_type_are_named(void **state)
{
	json_t *json = parsed("{\"State\": {\"Pid\": 7, \"Status\": \"running\"}, \"List\": [1]}");
	struct err err = {0};
	const char *text = "kept";
	int64_t number = 0;
	json_t *list;

	(void)state;
	assert_int_equal(reply_number(json, "State.Pid", &number, &err), 0);
	assert_int_equal(number, 7);
	assert_int_equal(reply_list(json, "List", &list, &err), 0);
	assert_true(reply_text(json, "State.Pid", &text, &err) < 0);
	assert_int_equal(err.code, ERR_DRIVER);
	assert_non_null(strstr(err.message, "State.Pid"));
	assert_string_equal(text, "kept");
	assert_true(reply_number(json, "State.Status", &number, &err) < 0);
	assert_true(reply_list(json, "State", &list, &err) < 0);
	assert_true(reply_text(json, "State.Status.More", &text, &err) < 0);
	assert_string_equal(reply_text_or_none(json, "Nothing.There"), "");
	json_decref(json);
}

/* --- Heads ----------------------------------------------------------------------------------- */

static void the_head_of_a_hijacked_answer_is_bounded_and_looked_at(void **state)
{
	static const char good[] = "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nrest";
	static const char *const bad[] = {"SSH-2.0-x\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 0 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 20x OK\r\n\r\n",
		"\r\n\r\n"};
	char long_head[ENGINE_HEAD_MAX + 2];
	struct err err = {0};
	int status = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(good) - 5; i++)
		assert_int_equal(engine_head(good, i, &status, &err), 0);
	assert_int_equal(engine_head(good, sizeof(good) - 1, &status, &err), sizeof(good) - 5);
	assert_int_equal(status, 101);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(engine_head(bad[i], strlen(bad[i]), &status, &err) < 0);
		assert_int_equal(err.code, ERR_DRIVER);
	}
	memset(long_head, 'x', sizeof(long_head));
	assert_true(engine_head(long_head, sizeof(long_head), &status, &err) < 0);
}

/* --- Lines ----------------------------------------------------------------------------------- */

static int count_object(void *data, json_t *object, struct err *err)
{
	int *count = data;

	++*count;
	return json_object_get(object, "stop") ? err_set(err, ERR_CANCELLED, NULL, "stopped") : 0;
}

static void objects_come_out_of_a_stream_however_it_is_cut(void **state)
{
	static const char text[] = "{\"a\":1}\r\n\r\n{\"b\":\"\\n\"}\n{\"c\":3}";
	struct err err = {0};

	(void)state;
	for (size_t step = 1; step < sizeof(text); step++) {
		int count = 0;
		struct lines l = {.object = count_object, .data = &count};

		for (size_t i = 0; i < sizeof(text) - 1; i += step)
			assert_int_equal(
				lines_take(&l, text + i,
					step < sizeof(text) - 1 - i ? step : sizeof(text) - 1 - i,
					&err),
				0);
		assert_int_equal(lines_end(&l, &err), 0);
		assert_int_equal(count, 3);
		lines_finish(&l);
	}
}

static void a_stream_that_is_none_of_objects_ends(void **state)
{
	static const char *const bad[] = {"[1]\n", "nonsense\n", "{\"a\":\n", "{} {}\n", "\x01\n"};
	struct lines l = {.object = count_object};
	struct err err = {0};
	int count = 0;
	char *line = malloc(LINES_MAX + 1);

	(void)state;
	l.data = &count;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_true(lines_take(&l, bad[i], strlen(bad[i]), &err) < 0);
		assert_int_equal(err.code, ERR_DRIVER);
	}
	assert_int_equal(lines_take(&l, "{\"cut", 5, &err), 0);
	assert_true(lines_end(&l, &err) < 0);
	assert_true(lines_take(&l, "{\"stop\":1}\n", 11, &err) < 0);
	assert_int_equal(err.code, ERR_CANCELLED);
	memset(line, 'x', LINES_MAX + 1);
	assert_true(lines_take(&l, line, LINES_MAX + 1, &err) < 0);
	assert_non_null(strstr(err.message, "KiB"));
	free(line);
	lines_finish(&l);
}

/* --- Progress -------------------------------------------------------------------------------- */

static void progress_is_the_sum_of_all_layers(void **state)
{
	static const char *const messages[] = {
		"{\"status\":\"Pulling from team/app\",\"id\":\"1\"}",
		"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":10,\"total\":100},"
		"\"id\":\"a\"}",
		"{\"status\":\"Downloading\",\"progressDetail\":{\"current\":-5,\"total\":50},"
		"\"id\":\"b\"}",
		"{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"a\"}",
		"{\"status\":\"Digest: sha256:x\"}",
	};
	char text[400] = "";
	int pipe_fds[2];
	ssize_t n;

	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	struct progress p = {.fd = pipe_fds[1]};

	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		json_t *json = parsed(messages[i]);

		p.told_ns = 0;
		progress_pull(&p, json);
		json_decref(json);
	}
	n = read(pipe_fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_string_equal(text, "{\"done\":0,\"total\":0,\"what\":\"downloading\"}\n"
				  "{\"done\":10,\"total\":100,\"what\":\"downloading\"}\n"
				  "{\"done\":10,\"total\":150,\"what\":\"downloading\"}\n"
				  "{\"done\":100,\"total\":150,\"what\":\"downloading\"}\n");
	assert_int_equal(progress_cancelled(&p, NULL), 0);
	close(pipe_fds[0]);
	assert_true(progress_cancelled(&p, NULL) < 0);
	close(pipe_fds[1]);
	progress_finish(&p);
}

/* As 28.5 says it with images in containerd's store. */
static void what_is_said_again_is_no_progress(void **state)
{
	static const struct {
		const char *status;
		int at;
		bool stalled;
	} messages[] = {
		{"Pulling fs layer", 0, false},
		{"Downloading", 1048576, false},
		{"Downloading", 1048576, true},
		{"Downloading", 1048577, false},
		{"Download complete", 0, false},
		{"Download complete", 0, false},
	};
	struct progress p = {.fd = -1};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(messages); i++) {
		json_t *json = json_pack("{s:s, s:{s:i, s:i}, s:s}", "status", messages[i].status,
			"progressDetail", "current", messages[i].at, "total", 2140160, "id",
			"2f68f94b048d");

		p.news_ns = clock_monotonic_ns() - INT64_C(120000000000);
		progress_pull(&p, json);
		assert_int_equal(messages[i].stalled, progress_stalled_ms(&p, json) >= 120000);
		json_decref(json);
	}
	progress_finish(&p);
}

/* --- Probe ----------------------------------------------------------------------------------- */

static void a_dockerd_as_it_should_be_has_no_notice(void **state)
{
	json_t *info =
		parsed("{\"ServerVersion\":\"25.0.1\",\"OSType\":\"linux\",\"Driver\":"
		       "\"btrfs\",\"CgroupVersion\":\"2\",\"LiveRestoreEnabled\":true,"
		       "\"SecurityOptions\":[\"name=apparmor\",\"name=seccomp,profile=builtin\","
		       "\"name=userns\"]}");
	struct driver_info ret = {0};

	(void)state;
	probe_judge(info, 44, &ret);
	assert_string_equal(ret.version, "Docker 25.0.1, API 1.44, cgroup v2");
	assert_string_equal(ret.problem, "");
	assert_string_equal(ret.notice, "");
	json_decref(info);
}

static void what_a_dockerd_lacks_is_said(void **state)
{
	json_t *info =
		parsed("{\"ServerVersion\":\"20.10.24\",\"OSType\":\"linux\",\"Driver\":"
		       "\"overlay2\",\"DriverStatus\":[[\"Backing Filesystem\",\"extfs\"]]}");
	struct driver_info ret = {0};

	(void)state;
	probe_judge(info, 41, &ret);
	assert_string_equal(ret.problem, "");
	assert_non_null(strstr(ret.notice, "seccomp"));
	assert_non_null(strstr(ret.notice, "userns-remap"));
	assert_non_null(strstr(ret.notice, "overlay2 on extfs"));
	assert_non_null(strstr(ret.notice, "live-restore"));
	json_decref(info);
}

/* As 28.5 says it. */
static void in_containerds_store_layers_have_no_bound_whatever_it_lies_on(void **state)
{
	static const char *const drivers[] = {"overlayfs", "btrfs"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		json_t *info = json_pack("{s:s, s:s, s:[[s,s]]}", "OSType", "linux", "Driver",
			drivers[i], "DriverStatus", "driver-type", "io.containerd.snapshotter.v1");
		struct driver_info ret = {0};

		probe_judge(info, 51, &ret);
		assert_string_equal(ret.problem, "");
		assert_non_null(strstr(ret.notice, "no bound: storage driver "));
		assert_non_null(strstr(ret.notice, "in containerd's store"));
		assert_true(probe_ignores_sizes(info));
		json_decref(info);
	}
}

static void dockerds_that_cannot_be_used_are_refused(void **state)
{
	static const struct {
		const char *info, *said;
	} cases[] = {
		{"{\"OSType\":\"windows\"}", "windows"},
		{"{}", "Linux is needed"},
		{"{\"OSType\":\"linux\",\"SecurityOptions\":[\"name=rootless\"]}", "rootless"},
		{"{\"OSType\":\"linux\",\"ServerVersion\":\"4.3.1\",\"BuildahVersion\":\"1.28.2\"}",
			"podman"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *info = parsed(cases[i].info);
		struct driver_info ret = {0};

		probe_judge(info, 41, &ret);
		assert_non_null(strstr(ret.problem, cases[i].said));
		json_decref(info);
	}
}

/* --- Images of one layer ---------------------------------------------------------------------- */

static void what_an_image_of_one_layer_is_told_is_quoted(void **state)
{
	json_t *config = parsed("{\"ExposedPorts\":{\"80/tcp\":{},\"9 90\":{}},\"Labels\":{"
				"\"name\":\"a \\\"b\\\" \\\\ $HOME\",\"two\":\"of\\nthem\","
				"\"corpus.config\":\"old\"}}");
	json_t *labels = parsed("{\"corpus.config\":\"{}\"}");
	AUTOFREE char *told = NULL;

	(void)state;
	assert_int_equal(flatten_changes(config, labels, &told, NULL), 0);
	assert_string_equal(told, "EXPOSE 80/tcp\n"
				  "LABEL \"name\"=\"a \\\"b\\\" \\\\ \\$HOME\"\n"
				  "LABEL \"corpus.config\"=\"{}\"\n");
	json_decref(labels);
	json_decref(config);
}

static void labels_are_left_out_or_refused_where_they_are_too_long(void **state)
{
	char text[70000] = "";
	json_t *labels, *config;
	AUTOFREE char *told = NULL;
	struct err err = {0};

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	labels = json_pack("{s:s}", "long", text);
	config = json_pack("{s:{s:s, s:s}}", "Labels", "long", text, "short", "x");
	assert_int_equal(flatten_changes(config, NULL, &told, NULL), 0);
	assert_string_equal(told, "LABEL \"short\"=\"x\"\n");
	assert_true(flatten_changes(NULL, labels, &told, &err) < 0);
	assert_int_equal(err.code, ERR_UNSUPPORTED);
	json_decref(labels);
	json_decref(config);
}

/* --- Containers ------------------------------------------------------------------------------ */

/* A container that is linked to it gives it one more. */
static void a_container_is_known_by_whichever_name_is_ours(void **state)
{
	static const struct {
		const char *entry;
		bool aside;
	} cases[] = {
		{"{\"Names\":[\"/corpus-0123.aside\"]}", true},
		{"{\"Names\":[\"/app/db\",\"/corpus-0123.aside\"]}", true},
		{"{\"Names\":[\"/corpus-0123.aside\",\"/app/db\"]}", true},
		{"{\"Names\":[\"/corpus-x/db.aside\",\"/corpus-0123\"]}", false},
		{"{\"Names\":[\"/app.aside\"]}", false},
		{"{\"Names\":[null, 5]}", false},
		{"{\"Names\":null}", false},
		{"{}", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *entry = parsed(cases[i].entry);

		assert_int_equal(guest_is_aside(entry), cases[i].aside);
		json_decref(entry);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_unix_sockets_are_endpoints),
		cmocka_unit_test(fields_of_another_type_are_named),
		cmocka_unit_test(the_head_of_a_hijacked_answer_is_bounded_and_looked_at),
		cmocka_unit_test(objects_come_out_of_a_stream_however_it_is_cut),
		cmocka_unit_test(a_stream_that_is_none_of_objects_ends),
		cmocka_unit_test(progress_is_the_sum_of_all_layers),
		cmocka_unit_test(what_is_said_again_is_no_progress),
		cmocka_unit_test(a_dockerd_as_it_should_be_has_no_notice),
		cmocka_unit_test(what_a_dockerd_lacks_is_said),
		cmocka_unit_test(in_containerds_store_layers_have_no_bound_whatever_it_lies_on),
		cmocka_unit_test(dockerds_that_cannot_be_used_are_refused),
		cmocka_unit_test(what_an_image_of_one_layer_is_told_is_quoted),
		cmocka_unit_test(labels_are_left_out_or_refused_where_they_are_too_long),
		cmocka_unit_test(a_container_is_known_by_whichever_name_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
