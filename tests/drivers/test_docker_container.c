/* What the Docker driver tells dockerd to make a container of, against golden files (written anew
 * with UPDATE_GOLDEN=1): how an image and a guest's own settings go together, and what people may
 * add. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/strv.h"
#include "drivers/docker/container.h"
#include "drivers/docker/data.h"
#include "drivers/docker/define.h"
#include "drivers/docker/gate/gate.h"
#include "drivers/docker/merge.h"
#include "drivers/docker/names.h"
#include "golden_json.h"

#define SOCKET "/run/docker.sock"

static const char *const DATA[] = {"/srv", NULL};

static struct driver_container container(void)
{
	return (struct driver_container){.image = "sha256:0123",
		.data = "/pool/volumes/0123456789ab/data",
		.data_paths = DATA,
		.terminal = true};
}

static struct driver_guest guest(const struct driver_container *c)
{
	return (struct driver_guest){.id = "0123456789ab",
		.name = "web1",
		.container = c,
		.net = {.bridge = "lxcbr1",
			.link = "cg01234567",
			.mac = {0x00, 0x16, 0x3e, 1, 2, 3},
			.address = 0x0a050102,
			.prefix = 16,
			.gateway = 0x0a050001}};
}

/* As Docker's own image of a database has it. */
static json_t *image(void)
{
	return json_pack("{s:[s], s:[s], s:[s,s], s:s, s:s, s:s, s:{s:{}}}", "Entrypoint",
		"docker-entrypoint.sh", "Cmd", "postgres", "Env", "PATH=/usr/bin:/bin",
		"PGDATA=/var/lib/postgresql/data", "User", "postgres", "WorkingDir", "/var/lib",
		"StopSignal", "SIGINT", "Volumes", "/var/lib/postgresql/data");
}

static json_t *render(const struct driver_guest *g, const json_t *config, const json_t *variables,
	const json_t *additions, bool bounded)
{
	CLEANUP(strv_freep) char **paths = NULL;
	struct container_plan plan = {.guest = g,
		.from = g->container->image,
		.config = config,
		.variables = variables,
		.gate = "/usr/libexec/corpus/corpus-gate",
		.gate_dir = "/run/corpus/docker/gates/0123456789ab",
		.agent = "/var/lib/corpus/docker",
		.definition = "0011223344556677",
		.bounded = bounded,
		.additions = additions};
	struct err err = {0};
	json_t *body = NULL;

	if (data_paths(g, config, &paths, &err) < 0)
		fail_msg("%s", err.message);
	plan.data = paths;
	if (container_render(&plan, &body, &err) < 0)
		fail_msg("%s", err.message);
	return body;
}

static void an_image_says_how_it_is_run(void **state)
{
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	json_auto_t *config = image();
	json_auto_t *body = render(&g, config, json_object_get(config, "Env"), NULL, false);

	(void)state;
	assert_golden_json("docker-image.json", body, JSON_SORT_KEYS);
}

static void a_guest_says_it_instead(void **state)
{
	static const char *const entrypoint[] = {"/bin/app", "--serve", NULL};
	static const char *const command[] = {"--port", "80", NULL};
	static const char *const env[] = {"PGDATA=/srv/db", "MODE=test", NULL};
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	json_auto_t *config = image();
	json_auto_t *body = NULL;

	(void)state;
	c.entrypoint = entrypoint;
	c.command = command;
	c.env = env;
	c.user = "33:33";
	c.working_dir = "/srv";
	c.stop_signal = "SIGQUIT";
	c.terminal = false;
	c.layer_size = 1 << 30;
	g.privileged = true;
	g.limits = (struct guest_limits){.cpu_milli = 1500, .memory = 64 << 20, .pids = 100};
	body = render(&g, config, json_object_get(config, "Env"), NULL, true);
	assert_golden_json("docker-guest.json", body, JSON_SORT_KEYS);
}

static void assert_program(const char *const *entrypoint, const char *const *command,
	json_t *config, const char *wanted)
{
	struct driver_container c = {.entrypoint = entrypoint, .command = command};
	json_auto_t *program = container_program(&c, config);
	AUTOFREE char *text = json_dumps(program, JSON_COMPACT);

	assert_string_equal(text, wanted);
}

/* As `docker run --entrypoint E IMAGE COMMAND` has it. */
static void entry_points_and_commands_go_together_as_dockers_do(void **state)
{
	static const char *const one[] = {"one", NULL}, *const two[] = {"two", NULL};
	static const char *const none[] = {NULL}, *const empty[] = {"", NULL};
	json_auto_t *both = image();
	json_auto_t *only_command = json_pack("{s:n, s:[s]}", "Entrypoint", "Cmd", "sh");

	(void)state;
	assert_program(NULL, NULL, both, "[\"docker-entrypoint.sh\",\"postgres\"]");
	assert_program(NULL, two, both, "[\"docker-entrypoint.sh\",\"two\"]");
	assert_program(NULL, none, both, "[\"docker-entrypoint.sh\"]");
	assert_program(one, NULL, both, "[\"one\"]");
	assert_program(one, two, both, "[\"one\",\"two\"]");
	assert_program(empty, two, both, "[\"two\"]");
	assert_program(none, two, both, "[\"two\"]");
	assert_program(NULL, NULL, only_command, "[\"sh\"]");
	assert_program(NULL, two, only_command, "[\"two\"]");
}

static void assert_no_program(const struct driver_container *c)
{
	struct driver_guest g = guest(c);
	json_auto_t *config = json_object();
	struct container_plan plan = {.guest = &g,
		.from = "x",
		.config = config,
		.gate = "/gate",
		.gate_dir = "/dir",
		.agent = "/state",
		.definition = "0"};
	struct err err = {0};
	json_t *body = NULL;

	assert_int_equal(container_render(&plan, &body, &err), -EINVAL);
	assert_string_equal(err.field, "container.command");
}

static void an_image_without_a_command_needs_one(void **state)
{
	struct driver_container c = container();

	(void)state;
	assert_no_program(&c);
}

/* corpus-gate would take it for a command, which waits for no network. */
static void a_program_cannot_be_called_as_what_tells_commands(void **state)
{
	static const char *const command[] = {GATE_EXEC, "sh", NULL};
	struct driver_container c = container();

	(void)state;
	c.command = command;
	assert_no_program(&c);
}

static void what_a_layer_has_kept_of_variables_is_taken_back(void **state)
{
	static const char *const env[] = {"MODE=test", NULL};
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	json_auto_t *config = image();
	json_auto_t *kept = json_pack("[s,s,s]", "PATH=/bin", "MODE=old", "GONE=1");
	json_auto_t *body = NULL;
	AUTOFREE char *text = NULL;

	(void)state;
	c.env = env;
	body = render(&g, config, kept, NULL, false);
	text = json_dumps(json_object_get(body, "Env"), JSON_COMPACT);
	assert_string_equal(text, "[\"MODE=test\",\"PATH=/usr/bin:/bin\","
				  "\"PGDATA=/var/lib/postgresql/data\",\"GONE\"]");
}

static void assert_definition_differs(
	const struct driver_guest *g, const char *before, bool differs)
{
	char now[CONTAINER_DEFINITION_MAX];

	assert_int_equal(container_definition(g, "/gate", "/dir", NULL, now, NULL), 0);
	assert_int_equal(strcmp(now, before) != 0, differs);
}

static void only_what_is_fixed_makes_another_container(void **state)
{
	static const char *const command[] = {"sh", NULL};
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	char before[CONTAINER_DEFINITION_MAX];

	(void)state;
	assert_int_equal(container_definition(&g, "/gate", "/dir", NULL, before, NULL), 0);
	assert_definition_differs(&g, before, false);
	g.name = "web2";
	g.limits.memory = 64 << 20;
	g.net.address++;
	assert_definition_differs(&g, before, false);
	c.command = command;
	assert_definition_differs(&g, before, true);
	c.command = NULL;
	c.user = "www-data";
	assert_definition_differs(&g, before, true);
	c.user = NULL;
	g.privileged = true;
	assert_definition_differs(&g, before, true);
}

/* --- Data ------------------------------------------------------------------------------------ */

static void data_lie_side_by_side_and_once_each(void **state)
{
	static const char *const list[] = {"/var//lib/./db/", "/var/lib/db", "/a%b", "/srv", NULL};
	CLEANUP(strv_freep) char **paths = NULL;
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	char name[DATA_NAME_MAX];

	(void)state;
	c.data_paths = list;
	assert_int_equal(data_paths(&g, NULL, &paths, NULL), 0);
	assert_string_equal(paths[0], "/a%b");
	assert_string_equal(paths[1], "/srv");
	assert_string_equal(paths[2], "/var/lib/db");
	assert_null(paths[3]);
	assert_int_equal(data_name(paths[2], name, NULL), 0);
	assert_string_equal(name, "var%2Flib%2Fdb");
	assert_int_equal(data_name(paths[0], name, NULL), 0);
	assert_string_equal(name, "a%25b");
}

static const char *target_of(const json_t *mounts, size_t i)
{
	return json_string_value(json_object_get(json_array_get(mounts, i), "Target"));
}

/* dockerd 26.1 makes what it mounts on by itself when it reads files of a container that does not
 * run, and cannot do so in what is read-only. */
static void nothing_is_mounted_in_what_is_read_only(void **state)
{
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	json_auto_t *config = image();
	json_auto_t *body = render(&g, config, NULL, NULL, false);
	const json_t *mounts = json_object_get(json_object_get(body, "HostConfig"), "Mounts");
	size_t above, below, read_only = 0;
	const json_t *mount;

	(void)state;
	json_array_foreach ((json_t *)mounts, above, mount) {
		const char *path = target_of(mounts, above);

		if (!json_is_true(json_object_get(mount, "ReadOnly")))
			continue;
		read_only++;
		for (below = 0; below < json_array_size(mounts); below++)
			assert_false(strncmp(target_of(mounts, below), path, strlen(path)) == 0 &&
				     target_of(mounts, below)[strlen(path)] == '/');
	}
	assert_int_equal(read_only, 2);
}

static void what_is_no_place_for_data_is_refused(void **state)
{
	static const char *const bad[] = {"srv", "/", "/..", "/srv/../etc", "/proc/x", "/.corpus",
		"/.corpus-gate", "/etc/hosts", "/dev", ""};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const char *const list[] = {bad[i], NULL};
		struct driver_container c = container();
		struct driver_guest g = guest(&c);
		struct err err = {0};
		char **paths = NULL;

		c.data_paths = list;
		assert_int_equal(data_paths(&g, NULL, &paths, &err), -EINVAL);
		assert_string_equal(err.field, "container.data");
	}
}

/* --- Names ----------------------------------------------------------------------------------- */

static void names_are_those_of_the_network(void **state)
{
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	AUTOFREE char *hosts = names_hosts(&g), *resolv = NULL;

	(void)state;
	assert_non_null(strstr(hosts, "\n10.5.1.2\tweb1\n"));
	g.net.domain = "lan";
	resolv = names_resolv(&g);
	assert_string_equal(resolv, "nameserver 10.5.0.1\nsearch lan\n");
	free(hosts);
	hosts = names_hosts(&g);
	assert_non_null(strstr(hosts, "\n10.5.1.2\tweb1 web1.lan\n"));
}

/* --- Additions ------------------------------------------------------------------------------- */

static int read_raw(const char *line, json_t **ret, struct err *err)
{
	const char *const raw[] = {line, NULL};
	struct driver_container c = container();
	struct driver_guest g = guest(&c);

	g.raw = raw;
	return merge_read(NULL, &g, SOCKET, ret, err);
}

static void what_is_added_joins_what_is_there(void **state)
{
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	json_auto_t *config = image();
	json_auto_t *additions = NULL;
	json_auto_t *body = NULL;
	struct err err = {0};

	(void)state;
	if (read_raw("{\"StopTimeout\": 5, \"Labels\": {\"team\": \"web\"}, \"HostConfig\": {"
		     "\"CapAdd\": [\"NET_RAW\"], \"Binds\": [\"/usr/share/zoneinfo:/zones:ro\"],"
		     "\"Mounts\": [{\"Type\": \"tmpfs\", \"Target\": \"/tmp\"}],"
		     "\"LogConfig\": {\"Type\": \"none\"}, \"MaskedPaths\": null}}",
		    &additions, &err) < 0)
		fail_msg("%s", err.message);
	body = render(&g, config, NULL, additions, false);
	assert_golden_json("docker-additions.json", body, JSON_SORT_KEYS);
}

static void assert_refused(const char *line, const char *says)
{
	struct err err = {0};
	json_t *additions = NULL;

	assert_int_equal(read_raw(line, &additions, &err), -EINVAL);
	assert_string_equal(err.field, "raw[0]");
	if (!strstr(err.message, says))
		fail_msg("%s: %s", line, err.message);
}

static void what_would_break_our_rules_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *line, *says;
	} refused[] = {
		{"{", "raw[0]: "},
		{"[]", "JSON object"},
		{"{\"Image\": \"x\"}", "the guest's image"},
		{"{\"Env\": [\"A=1\"]}", "container.environment"},
		{"{\"Labels\": {\"corpus.guest\": \"x\"}}", "are the agent's"},
		{"{\"NetworkingConfig\": {}}", "the agent's"},
		{"{\"HostConfig\": {\"NetworkMode\": \"host\"}}", "the agent's"},
		{"{\"HostConfig\": {\"PortBindings\": {}}}", "the guest's ports"},
		{"{\"HostConfig\": {\"RestartPolicy\": {}}}", "restart policy"},
		{"{\"HostConfig\": {\"Privileged\": true}}", "privileged of the guest"},
		{"{\"HostConfig\": {\"privileged\": true}}", "privileged of the guest"},
		{"{\"hostconfig\": {\"Init\": true}}", "among what can be added"},
		{"{\"HostConfig\": {\"Nonsense\": 1}}", "among what can be added"},
		{"{\"HostConfig\": {\"Memory\": 1}}", "limits.memory"},
		{"{\"HostConfig\": {\"Binds\": [\"/:/host\"]}}", "dockerd's socket"},
		{"{\"HostConfig\": {\"Binds\": [\"/a:/etc/hosts\"]}}", "no place for a mount"},
		{"{\"HostConfig\": {\"Binds\": [\"x\"]}}", "SOURCE:TARGET"},
		{"{\"HostConfig\": {\"Binds\": null}}", "expected a list"},
		{"{\"HostConfig\": {\"Mounts\": [{\"Type\": \"bind\", \"Source\": \"" SOCKET
		 "\", \"Target\": \"/s\"}]}}",
			"dockerd's socket"},
		{"{\"HostConfig\": {\"Mounts\": [{\"Type\": \"volume\", \"Target\": \"/s\"}]}}",
			"bind or tmpfs"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_refused(refused[i].line, refused[i].says);
}

static void files_of_ops_come_before_the_guests_own(void **state)
{
	struct driver_container c = container();
	struct driver_guest g = guest(&c);
	char dir[] = "/tmp/corpus-test-XXXXXX", path[64];
	json_t *additions = NULL;
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/web1.json", dir);
	assert_int_equal(
		file_replace(path, "{\n \"HostConfig\": {\n  \"Dns\": []}}", 0600, false), 0);
	assert_int_equal(merge_read(dir, &g, SOCKET, &additions, &err), -EINVAL);
	assert_string_equal(err.field, "web1.json:3");
	assert_int_equal(file_replace(path, "{\"HostConfig\": {\"Init\": true}}", 0600, false), 0);
	assert_int_equal(merge_read(dir, &g, SOCKET, &additions, &err), 0);
	assert_int_equal(json_array_size(additions), 1);
	json_decref(additions);
	file_remove_tree(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_image_says_how_it_is_run),
		cmocka_unit_test(a_guest_says_it_instead),
		cmocka_unit_test(entry_points_and_commands_go_together_as_dockers_do),
		cmocka_unit_test(an_image_without_a_command_needs_one),
		cmocka_unit_test(a_program_cannot_be_called_as_what_tells_commands),
		cmocka_unit_test(what_a_layer_has_kept_of_variables_is_taken_back),
		cmocka_unit_test(only_what_is_fixed_makes_another_container),
		cmocka_unit_test(data_lie_side_by_side_and_once_each),
		cmocka_unit_test(nothing_is_mounted_in_what_is_read_only),
		cmocka_unit_test(what_is_no_place_for_data_is_refused),
		cmocka_unit_test(names_are_those_of_the_network),
		cmocka_unit_test(what_is_added_joins_what_is_there),
		cmocka_unit_test(what_would_break_our_rules_is_refused_with_its_reason),
		cmocka_unit_test(files_of_ops_come_before_the_guests_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
