/* SPDX-License-Identifier: Apache-2.0 */
/* Against a child that answers with what the test says, whatever it is asked. */
#include "app/control_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <cmocka.h>

static char directory[] = "/tmp/sluice-control-client-XXXXXX";
static char path[sizeof(directory) + sizeof("/socket")];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", directory);
	return 0;
}

static int remove_directory(void **state)
{
	unlink(path);
	return rmdir(directory);
}

/* Reads the request, answers, if with anything, and then closes, or (@does_wait) holds on until its
 * peer closes. */
static void serve(int listener, const char *answer, bool does_wait)
{
	int fd = accept(listener, NULL, NULL);
	char c = 0;

	while (c != '\n' && read(fd, &c, 1) == 1)
		;
	if (*answer && write(fd, answer, strlen(answer)) != (ssize_t)strlen(answer))
		_exit(1);
	while (does_wait && read(fd, &c, 1) == 1)
		;
	_exit(0);
}

static pid_t start(const char *answer, bool does_wait)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t child;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		serve(listener, answer, does_wait);
	close(listener);
	return child;
}

static void assert_ended(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

struct pages {
	json_int_t seen[4];
	int n, stop_at;
};

static int take_page(const json_t *data, void *arg)
{
	struct pages *pages = arg;

	pages->seen[pages->n++] = json_integer_value(data);
	return pages->n == pages->stop_at ? 7 : 0;
}

static int ask(const char *answer, struct pages *pages, struct control_client_error *error)
{
	pid_t child = start(answer, false);
	json_t *args = json_object();
	int r = control_client_ask(path, "some.thing", args, 0, take_page, pages, error);

	json_decref(args);
	assert_ended(child);
	return r;
}

#define THREE_PAGES                                         \
	"{\"id\":1,\"ok\":true,\"data\":1,\"more\":true}\n" \
	"{\"id\":1,\"ok\":true,\"data\":2,\"more\":true}\n" \
	"{\"id\":1,\"ok\":true,\"data\":3,\"more\":false}\n"

static void ask__takes_every_page(void **state)
{
	struct control_client_error error;
	struct pages pages = {0};

	assert_int_equal(ask(THREE_PAGES, &pages, &error), 0);
	assert_int_equal(pages.n, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pages.seen[i], i + 1);
}

static void ask__stops_where_the_taker_does(void **state)
{
	struct pages pages = {.stop_at = 2};
	struct control_client_error error;

	assert_int_equal(ask(THREE_PAGES, &pages, &error), 7);
	assert_int_equal(pages.n, 2);
}

static void ask__tells_why_the_daemon_refuses(void **state)
{
	struct control_client_error error;
	struct pages pages = {0};

	assert_int_equal(ask("{\"id\":1,\"ok\":false,\"error\":{\"code\":\"unknown_command\","
			     "\"detail\":\"\\\"some.thing\\\"\"}}\n",
			     &pages, &error),
			 -EREMOTEIO);
	assert_string_equal(error.code, "unknown_command");
	assert_string_equal(error.text, "unknown_command: \"some.thing\"");
	assert_int_equal(pages.n, 0);
}

static void ask__answers_without_sense(void **state)
{
	static const char *const answers[] = {"{}\n", "nonsense\n", "[1]\n", "\n",
					      "{\"ok\":false}\n"};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct control_client_error error = {0};
		struct pages pages = {0};

		assert_int_equal(ask(answers[i], &pages, &error), -EREMOTEIO);
		assert_true(strlen(error.text) > 0);
		assert_int_equal(pages.n, 0);
	}
}

static void ask__daemon_that_goes_away(void **state)
{
	struct control_client_error error;
	struct pages pages = {0};

	assert_int_equal(ask("", &pages, &error), -ECONNRESET);
	assert_string_equal(error.text, "the daemon closed the connection");
	assert_string_equal(error.code, "");
	/* Between two pages. */
	assert_int_equal(ask("{\"ok\":true,\"data\":1,\"more\":true}\n", &pages, &error),
			 -ECONNRESET);
	assert_int_equal(pages.n, 1);
}

static void ask__daemon_that_is_silent(void **state)
{
	struct control_client_error error;
	struct pages pages = {0};
	pid_t child = start("{\"ok\":true,\"data\":1,\"more\":true}\n", true);
	json_t *args = json_object();

	assert_int_equal(control_client_ask(path, "x", args, 50, take_page, &pages, &error),
			 -ETIMEDOUT);
	json_decref(args);
	assert_string_equal(error.text, "the daemon does not answer within 50 ms");
	assert_int_equal(pages.n, 1);
	assert_ended(child);
}

/* What begins lasts until the descriptor is closed: only then does the daemon end. */
static int begin(const char *answer, uint64_t timeout_ms, struct control_client_error *error)
{
	pid_t child = start(answer, true);
	json_t *args = json_object();
	int fd = -1;
	int r = control_client_begin(path, "x", args, timeout_ms, &fd, error);

	json_decref(args);
	if (r == 0) {
		assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
		assert_int_equal(close(fd), 0);
	} else {
		assert_int_equal(fd, -1);
	}
	assert_ended(child);
	return r;
}

static void begin__lasts_until_closed(void **state)
{
	struct control_client_error error;

	assert_int_equal(begin("{\"ok\":true,\"data\":{},\"more\":true}\n", 0, &error), 0);
}

static void begin__what_fails_is_closed(void **state)
{
	struct control_client_error error;

	assert_int_equal(begin("", 50, &error), -ETIMEDOUT);
	assert_string_equal(error.text, "the daemon does not answer within 50 ms");
	assert_int_equal(begin("{\"ok\":true,\"data\":{},\"more\":false}\n", 0, &error),
			 -EREMOTEIO);
	assert_string_equal(error.text, "x: the daemon has ended it");
	assert_int_equal(begin("{\"ok\":false,\"error\":{\"code\":\"busy\",\"detail\":\"no\"}}\n",
			       0, &error),
			 -EREMOTEIO);
	assert_string_equal(error.text, "busy: no");
}

static void ask__nobody_there(void **state)
{
	struct control_client_error error;
	json_t *args = json_object();
	char long_path[300];

	unlink(path);
	assert_int_equal(control_client_ask(path, "x", args, 0, take_page, NULL, &error), -ENOENT);
	assert_non_null(strstr(error.text, path));
	memset(long_path, 'x', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(control_client_ask(long_path, "x", args, 0, take_page, NULL, &error),
			 -EINVAL);
	json_decref(args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ask__takes_every_page),
	    cmocka_unit_test(ask__stops_where_the_taker_does),
	    cmocka_unit_test(ask__tells_why_the_daemon_refuses),
	    cmocka_unit_test(ask__answers_without_sense),
	    cmocka_unit_test(ask__daemon_that_goes_away),
	    cmocka_unit_test(ask__daemon_that_is_silent),
	    cmocka_unit_test(begin__lasts_until_closed),
	    cmocka_unit_test(begin__what_fails_is_closed),
	    cmocka_unit_test(ask__nobody_there),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
