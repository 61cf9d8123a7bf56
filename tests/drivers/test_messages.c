/* Messages about containers, images and layers say the same at both ends, and what is not whole is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strv.h"
#include "drivers/protocol/message.h"

#define ID "0123456789ab"

static void decode(const struct driver_request *request, struct message_call *ret)
{
	AUTOFREE char *text = message_encode_call(7, request);
	struct err err = {0};

	assert_non_null(text);
	if (message_decode_call(text, ret, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	assert_int_equal(ret->serial, 7);
	assert_int_equal(ret->request.call, request->call);
}

static void refuse(const char *text, const char *field)
{
	struct message_call call = {0};
	struct err err = {0};

	assert_true(message_decode_call(text, &call, &err) < 0);
	assert_int_equal(err.code, ERR_MALFORMED);
	assert_string_equal(err.field, field);
	message_call_finish(&call);
}

static bool same(const char *const *a, const char *const *b)
{
	return strv_equal((char *const *)a, (char *const *)b);
}

static void a_container_comes_as_it_was_sent(void **state)
{
	static const char *const words[] = {"/bin/sh", "-c", "echo a\nb", NULL}, *const none[] = {
											 NULL};
	static const char *const env[] = {"A=b=c", NULL}, *const paths[] = {"/srv", "/var", NULL};
	const struct driver_container container = {.image = "sha256:12",
		.layer_of = "ba9876543210",
		.layer = "then",
		.entrypoint = none,
		.command = words,
		.env = env,
		.user = "33:33",
		.working_dir = "/srv",
		.stop_signal = "SIGQUIT",
		.terminal = true,
		.data = "/pool/data",
		.data_paths = paths,
		.layer_size = 5};
	struct driver_guest guest = {.id = ID, .name = "g", .container = &container};
	struct message_call call = {0};
	const struct driver_container *got;

	(void)state;
	guest.net.bridge = "b";
	guest.net.link = "l";
	guest.net.domain = "example.org";
	decode(&(struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest}, &call);
	got = call.request.guest->container;
	assert_string_equal(call.request.guest->net.domain, "example.org");
	assert_null(call.request.guest->rootfs);
	assert_string_equal(got->image, "sha256:12");
	assert_string_equal(got->layer_of, "ba9876543210");
	assert_string_equal(got->layer, "then");
	assert_non_null(got->entrypoint);
	assert_null(got->entrypoint[0]);
	assert_true(same(got->command, words) && same(got->env, env));
	assert_true(same(got->data_paths, paths));
	assert_string_equal(got->user, "33:33");
	assert_string_equal(got->working_dir, "/srv");
	assert_string_equal(got->stop_signal, "SIGQUIT");
	assert_string_equal(got->data, "/pool/data");
	assert_true(got->terminal);
	assert_int_equal(got->layer_size, 5);
	message_call_finish(&call);
}

static void what_is_as_the_image_says_is_not_sent(void **state)
{
	const struct driver_container container = {.image = "sha256:12", .data = "/d"};
	struct driver_guest guest = {.id = ID, .name = "g", .container = &container};
	struct message_call call = {0};

	(void)state;
	guest.net.bridge = "b";
	guest.net.link = "l";
	decode(&(struct driver_request){.call = DRIVER_CALL_CREATE, .guest = &guest}, &call);
	assert_null(call.request.guest->container->entrypoint);
	assert_null(call.request.guest->container->command);
	assert_null(call.request.guest->container->user);
	assert_null(call.request.guest->container->layer);
	message_call_finish(&call);
}

static void an_image_comes_with_the_descriptors_that_it_has(void **state)
{
	const struct driver_image_work load = {.op = DRIVER_IMAGE_LOAD,
		.name = "a:1",
		.fd = 20,
		.whole_fd = 21,
		.sha256 = "12",
		.replace = true,
		.progress_fd = -1};
	const struct driver_image_work pull = {.op = DRIVER_IMAGE_PULL,
		.name = "a:1",
		.fd = -1,
		.whole_fd = -1,
		.progress_fd = 22};
	const int fds[] = {30, 31};
	struct message_call call = {0};
	struct err err = {0};

	(void)state;
	decode(&(struct driver_request){.call = DRIVER_CALL_IMAGE, .image = &load}, &call);
	assert_int_equal(message_call_take_fds(&call, fds, 1, &err), -EBADMSG);
	assert_int_equal(message_call_take_fds(&call, fds, 2, NULL), 0);
	assert_int_equal(call.image.fd, 30);
	assert_int_equal(call.image.whole_fd, 31);
	assert_int_equal(call.image.progress_fd, -1);
	assert_string_equal(call.image.sha256, "12");
	assert_true(call.image.replace);
	message_call_finish(&call);

	decode(&(struct driver_request){.call = DRIVER_CALL_IMAGE, .image = &pull}, &call);
	assert_int_equal(message_call_take_fds(&call, fds, 1, NULL), 0);
	assert_int_equal(call.image.fd, -1);
	assert_int_equal(call.image.progress_fd, 30);
	message_call_finish(&call);
}

static void a_layer_is_about_a_guest_and_a_name(void **state)
{
	const struct driver_layer_work work = {.op = DRIVER_LAYER_RESTORE, .name = "then"};
	struct message_call call = {0};

	(void)state;
	decode(&(struct driver_request){.call = DRIVER_CALL_LAYER, .id = ID, .layer = &work},
		&call);
	assert_string_equal(call.request.id, ID);
	assert_int_equal(call.layer.op, DRIVER_LAYER_RESTORE);
	assert_string_equal(call.layer.name, "then");
	message_call_finish(&call);
}

static void calls_that_are_not_whole_are_refused(void **state)
{
	(void)state;
	refuse("{\"serial\": 1, \"call\": \"image\", \"image\": {\"op\": \"find\"}}", "name");
	refuse("{\"serial\": 1, \"call\": \"image\", \"image\": {\"op\": \"load\", \"name\": "
	       "\"a\"}}",
		"archive");
	refuse("{\"serial\": 1, \"call\": \"layer\", \"id\": \"" ID
	       "\", \"layer\": {\"op\": \"keep\"}}",
		"name");
}

static void images_come_whole_however_many_they_are(void **state)
{
	enum { COUNT = 2 * MESSAGE_IMAGES_MAX + 1 };
	struct driver_image images[COUNT] = {0};
	struct driver_reply reply = {.images = images, .images_count = COUNT};
	size_t next = 0, got = 0;
	bool more = true;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		memset(images[i].name, 'n', IMAGE_NAME_MAX);
		memset(images[i].id, 'i', IMAGE_ID_MAX);
		images[i].size = i;
		images[i].created_ms = -(int64_t)i;
	}
	while (more) {
		AUTOFREE char *text =
			message_encode_reply(1, DRIVER_CALL_IMAGE, &reply, &next, &more);
		struct message_answer answer = {0};

		assert_non_null(text);
		assert_int_equal(message_decode_answer(text, &answer, NULL), 0);
		assert_int_equal(answer.more, more);
		for (size_t i = 0; i < answer.images_count; i++, got++)
			assert_memory_equal(
				&answer.images[i], &images[got], sizeof(struct driver_image));
		message_answer_finish(&answer);
	}
	assert_int_equal(got, COUNT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_container_comes_as_it_was_sent),
		cmocka_unit_test(what_is_as_the_image_says_is_not_sent),
		cmocka_unit_test(an_image_comes_with_the_descriptors_that_it_has),
		cmocka_unit_test(a_layer_is_about_a_guest_and_a_name),
		cmocka_unit_test(calls_that_are_not_whole_are_refused),
		cmocka_unit_test(images_come_whole_however_many_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
