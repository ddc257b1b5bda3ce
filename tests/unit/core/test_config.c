/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/config_text.h"
#include "lib/config_loading.h"

#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

static void load__builds_the_tree(void **state)
{
	struct config *config = load_config(
	    "listener a { listen = {\"10.0.0.1:80\", \"[::1]:81\"} backlog = 7 }\n"
	    "listener b { listen = {'unix:/run/b'} }\n"
	    "route r1 { match { host = \"Play.Example\" path = \"/game/*\" } proxy = two }\n"
	    "route r2 { match { path = \"/echo\" } echo = yes max_frame = 1kb }\n"
	    "route r3 { tunnel_timeout = 0 respond { status = 404 body = \"a\\n\\\"b\\\" \\${c}\" "
	    "content_type = 'text/x' } }\n"
	    "cluster one { endpoint e { address = \"127.0.0.1:1\" } }\n"
	    "cluster two { balance = least_conn endpoint e { address = \"127.0.0.1:1\" } "
	    "connect_timeout = 1m endpoint f { address = \"unix:@abstract\" } }\n");
	char text[ADDRESS_TEXT_MAX + 1];

	assert_int_equal(config->n_listeners, 2);
	assert_string_equal(config->listeners[0].name, "a");
	assert_int_equal(config->listeners[0].n_addresses, 2);
	address_format(&config->listeners[0].addresses[1], text);
	assert_string_equal(text, "[::1]:81");
	assert_int_equal(config->listeners[0].backlog, 7);
	assert_int_equal(config->listeners[1].backlog, 4096);

	assert_int_equal(config->n_clusters, 2);
	assert_string_equal(config->clusters[1].name, "two");
	assert_int_equal(config->clusters[0].balance, CONFIG_BALANCE_ROUND_ROBIN);
	assert_int_equal(config->clusters[1].balance, CONFIG_BALANCE_LEAST_CONN);
	assert_int_equal(config->clusters[1].connect_timeout_ms, 60000);
	assert_int_equal(config->clusters[1].n_endpoints, 2);
	assert_string_equal(config->clusters[1].endpoints[1].name, "f");
	address_format(&config->clusters[1].endpoints[1].address, text);
	assert_string_equal(text, "unix:@abstract");

	assert_int_equal(config->n_routes, 3);
	assert_int_equal(config->routes[0].action, CONFIG_ACTION_PROXY);
	assert_int_equal(config->routes[0].max_frame_bytes, 0);
	assert_int_equal(config->routes[0].max_message_bytes, 0);
	assert_ptr_equal(config->routes[0].cluster, &config->clusters[1]);
	assert_string_equal(config->routes[0].host, "play.example");
	assert_string_equal(config->routes[0].path, "/game/");
	assert_true(config->routes[0].path_is_prefix);
	assert_int_equal(config->routes[1].action, CONFIG_ACTION_ECHO);
	assert_null(config->routes[1].cluster);
	assert_null(config->routes[1].host);
	assert_string_equal(config->routes[1].path, "/echo");
	assert_false(config->routes[1].path_is_prefix);
	assert_int_equal(config->routes[1].max_frame_bytes, 1024);
	assert_int_equal(config->routes[1].max_message_bytes, 16 << 20);
	assert_int_equal(config->routes[2].action, CONFIG_ACTION_RESPOND);
	assert_null(config->routes[2].path);
	assert_int_equal(config->routes[2].tunnel_timeout_ms, 0);
	assert_int_equal(config->routes[2].respond.status, 404);
	assert_string_equal(config->routes[2].respond.content_type, "text/x");
	assert_string_equal(config->routes[2].respond.body, "a\n\"b\" ${c}");
	config_unref(config);
}

/* The environment, other files and home directories stay out of it. */
static void load__takes_strings_as_they_are(void **state)
{
	struct config *config;

	setenv("SLUICE_TEST", "replaced", 1);
	config =
	    load_config(LISTENER "route r { respond { body = '${SLUICE_TEST} ~root $x \\\\n' } }");
	assert_string_equal(config->routes[0].respond.body, "${SLUICE_TEST} ~root $x \\n");
	config_unref(config);
	config = load_config(
	    LISTENER "route r { respond { body = \"\\$SLUICE_TEST ~ \\r\\t\\\\ # /* //\" } }");
	assert_string_equal(config->routes[0].respond.body, "$SLUICE_TEST ~ \r\t\\ # /* //");
	config_unref(config);
	assert_config_fails(
	    LISTENER "include(\"/etc/passwd\")",
	    "f:2: unexpected \"(\": a value with other characters than letters, digits and "
	    "_.:/@%~-[] must stand in quotes");
}

static void load__takes_comments_blank_lines_and_dos_line_ends(void **state)
{
	struct config *config =
	    load_config("# a comment of thirty-two bytes !\r\n#\r\n//\r\n/**/ /* { */\r\n"
			"listener l {\r\n\tlisten = { \"127.0.0.1:1\", # one\r\n"
			"\t\"127.0.0.1:2\" /* two */, }\r\n}");

	assert_int_equal(config->listeners[0].n_addresses, 2);
	config_unref(config);
	/* Lines are counted right behind comments. */
	assert_config_fails(
	    "# one\n/* two\n*/ # three\n" LISTENER "log { rate = x }",
	    "f:5: log: rate = \"x\": expected 0 (unlimited), or a number from 1 to 1000000");
}

static void load__embedded(void **state)
{
	struct config *config = load_config(config_embedded_text());
	char text[ADDRESS_TEXT_MAX + 1];

	assert_int_equal(config->n_listeners, 1);
	assert_string_equal(config->listeners[0].name, "public");
	address_format(&config->listeners[0].addresses[0], text);
	assert_string_equal(text, "0.0.0.0:8080");
	address_format(&config->listeners[0].addresses[1], text);
	assert_string_equal(text, "[::]:8080");
	assert_int_equal(config->n_routes, 2);
	assert_string_equal(config->routes[0].path, "/echo");
	assert_int_equal(config->routes[0].action, CONFIG_ACTION_ECHO);
	assert_string_equal(config->routes[1].path, "/");
	assert_int_equal(config->routes[1].action, CONFIG_ACTION_RESPOND);
	assert_true(strlen(config->routes[1].respond.body) > 20);
	config_unref(config);
}

static void load__takes_every_example(void **state)
{
	glob_t files;

	assert_int_equal(glob(SLUICE_SOURCE_DIR "/examples/*.conf", 0, NULL, &files), 0);
	assert_true(files.gl_pathc >= 2);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		struct config *config = NULL;
		struct config_error error = {""};

		if (config_load_file(files.gl_pathv[i], &config, &error) < 0)
			fail_msg("%s", error.text);
		config_unref(config);
	}
	globfree(&files);
}

static void *ref_and_unref(void *arg)
{
	struct config *config = arg;

	for (int i = 0; i < 20000; i++)
		config_unref(config_ref(config));
	config_unref(config);
	return NULL;
}

static void ref__is_any_thread_s(void **state)
{
	struct config *config = load_config(LISTENER);
	pthread_t threads[2];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref,
						config_ref(config)),
				 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&config->refs), 1);
	assert_string_equal(config->listeners[0].name, "l");
	config_unref(config);
	config_unref(NULL);
}

static void assert_file_fails(const char *path, int expected_error, const char *expected)
{
	struct config *config = NULL;
	struct config_error error = {""};

	assert_int_equal(config_load_file(path, &config, &error), expected_error);
	assert_null(config);
	assert_string_equal(error.text, expected);
}

static void load_file__reports_what_cannot_be_read(void **state)
{
	assert_file_fails(
	    "/nonexistent/x.conf", -ENOENT,
	    "/nonexistent/x.conf: No such file or directory: expected a file that can "
	    "be read");
	assert_file_fails("/", -EISDIR, "/: Is a directory: expected a file that can be read");
}

static int memory_file(const char *data, size_t len, char ret_path[32])
{
	int fd = memfd_create("config", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	snprintf(ret_path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static void load_file__reads_all_bytes(void **state)
{
	char path[32], expected[128];
	struct config *config = NULL;
	struct config_error error;
	int fd = memory_file(LISTENER "\0", sizeof(LISTENER), path);

	snprintf(expected, sizeof(expected),
		 "%s:2: byte 0x00: expected text without control characters", path);
	assert_file_fails(path, -EINVAL, expected);
	close(fd);
	fd = memory_file(LISTENER, sizeof(LISTENER) - 1, path);
	assert_int_equal(config_load_file(path, &config, &error), 0);
	assert_int_equal(config->n_listeners, 1);
	config_unref(config);
	close(fd);
}

static void load_file__limits_its_size(void **state)
{
	char path[32], expected[128];
	int fd = memory_file("", 0, path);

	assert_int_equal(ftruncate(fd, (off_t)CONFIG_TEXT_MAX + 1), 0);
	snprintf(expected, sizeof(expected), "%s: expected a file of at most 16777216 bytes", path);
	assert_file_fails(path, -EINVAL, expected);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_file_fails(path, -EINVAL, expected);
	close(fd);
}

static void load_file__takes_a_pipe(void **state)
{
	char path[32];
	struct config *config = NULL;
	struct config_error error;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], LISTENER, strlen(LISTENER)), strlen(LISTENER));
	close(fds[1]);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	assert_int_equal(config_load_file(path, &config, &error), 0);
	assert_int_equal(config->n_listeners, 1);
	config_unref(config);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(load__builds_the_tree),
	    cmocka_unit_test(load__takes_strings_as_they_are),
	    cmocka_unit_test(load__takes_comments_blank_lines_and_dos_line_ends),
	    cmocka_unit_test(load__embedded),
	    cmocka_unit_test(load__takes_every_example),
	    cmocka_unit_test(ref__is_any_thread_s),
	    cmocka_unit_test(load_file__reports_what_cannot_be_read),
	    cmocka_unit_test(load_file__reads_all_bytes),
	    cmocka_unit_test(load_file__limits_its_size),
	    cmocka_unit_test(load_file__takes_a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
