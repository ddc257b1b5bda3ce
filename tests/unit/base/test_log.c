/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/base32.h"

#include <ctype.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include <cmocka.h>

#define CONN_ID   UINT64_C(0x0123456789abcdef)
#define CONN_TEXT "028T5CY4TQKFF"

/* Sockets that keep the bounds of each write(2): what is received in one piece was so written. */
static int write_fd = -1, read_fd = -1;

static int open_sockets(void **state)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -1;
	write_fd = fds[0];
	read_fd = fds[1];
	return 0;
}

static int close_sockets(void **state)
{
	close(write_fd);
	close(read_fd);
	return 0;
}

static void init(enum log_level level, enum log_format format, uint32_t rate_per_s)
{
	log_init(&(struct log_options){.level = level,
				       .format = format,
				       .fd = write_fd,
				       .rate_per_s = rate_per_s});
}

/* The next write, without its newline, as a string; NULL if there is none. */
static const char *next_line(void)
{
	static char line[PIPE_BUF + 2];
	ssize_t n = recv(read_fd, line, sizeof(line), 0);

	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return NULL;
	}
	assert_in_range(n, 1, PIPE_BUF);
	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = '\0';
	assert_null(strchr(line, '\n'));
	return line;
}

static const char *expect_line(void)
{
	const char *line = next_line();

	if (!line) {
		print_error("nothing was logged\n");
		abort();
	}
	return line;
}

/* Length of "2026-11-21T02:01:55.123456Z" at the front. */
static size_t check_time(const char *text)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";

	for (size_t i = 0; i < strlen(shape); i++) {
		if (shape[i] == 'd')
			assert_true(isdigit((unsigned char)text[i]));
		else
			assert_int_equal(text[i], shape[i]);
	}
	return strlen(shape);
}

static void assert_text_line(const char *expected)
{
	const char *line = expect_line();

	line += check_time(line);
	assert_int_equal(line[0], ' ');
	assert_string_equal(line + 1, expected);
}

static json_t *next_json(void)
{
	const char *line = expect_line();
	json_error_t error;
	json_t *object;

	object = json_loads(line, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		fail_msg("%s: %s", error.text, line);
	check_time(json_string_value(json_object_get(object, "time")));
	return object;
}

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* ---- levels -----------------------------------------------------------------------------------
 */

static void init__default_is_notice(void **state)
{
	assert_true(log_enabled(LOG_LEVEL_ERROR));
	assert_true(log_enabled(LOG_LEVEL_NOTICE));
	assert_false(log_enabled(LOG_LEVEL_INFO));
}

static void level__more_verbose_ones_are_dropped(void **state)
{
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		size_t n = 0;

		init((enum log_level)level, LOG_FORMAT_TEXT, 0);
		log_error("a");
		log_warning("a");
		log_notice("a");
		log_info("a");
		log_debug("a");
		while (next_line())
			n++;
		assert_int_equal(n, level + 1);
		for (int other = LOG_LEVEL_ERROR; other <= LOG_LEVEL_DEBUG; other++)
			assert_int_equal(log_enabled((enum log_level)other), other <= level);
	}
}

static void level__names(void **state)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};
	static const char *const bad[] = {"", "Error", "ERROR", "err", "errors", "none", "0"};
	enum log_level level = LOG_LEVEL_INFO;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(log_level_from_name(names[i], &level), 0);
		assert_int_equal(level, i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		level = LOG_LEVEL_INFO;
		assert_int_equal(log_level_from_name(bad[i], &level), -EINVAL);
		assert_int_equal(level, LOG_LEVEL_INFO);
	}
}

static void macros__evaluate_nothing_that_is_not_logged(void **state)
{
	int n = 0;

	init(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, 0);
	log_debug("%d", n++);
	log_conn(LOG_LEVEL_DEBUG, CONN_ID, "%d", n++);
	assert_int_equal(n, 0);
	log_conn(LOG_LEVEL_INFO, CONN_ID, "%d", n++);
	assert_int_equal(n, 1);
	assert_text_line("info [" CONN_TEXT "] 0");
}

/* ---- one line ---------------------------------------------------------------------------------
 */

static void text__has_time_level_connection_and_message(void **state)
{
	init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 0);
	log_error("no %s", "file");
	assert_text_line("error no file");
	log_conn(LOG_LEVEL_DEBUG, CONN_ID, "closed with %d", 1006);
	assert_text_line("debug [" CONN_TEXT "] closed with 1006");
	log_warning("%s", "");
	assert_text_line("warning ");
	assert_null(next_line());
}

static void json__has_time_level_connection_and_message(void **state)
{
	json_t *object;

	init(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, 0);
	log_conn(LOG_LEVEL_NOTICE, CONN_ID, "path \"%s\"", "/\\");
	object = next_json();
	assert_int_equal(json_object_size(object), 4);
	assert_string_equal(string_of(object, "level"), "notice");
	assert_string_equal(string_of(object, "conn"), CONN_TEXT);
	assert_string_equal(string_of(object, "msg"), "path \"/\\\"");
	json_decref(object);
	log_error("x");
	object = next_json();
	assert_int_equal(json_object_size(object), 4);
	assert_true(json_is_null(json_object_get(object, "conn")));
	json_decref(object);
}

static void text__shows_nothing_that_a_terminal_obeys(void **state)
{
	init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 0);
	log_error("%s", "a\nfake line\r\x1b[2J\x7f\xc2\x9b\x9b\xc3\xa9\t");
	assert_text_line("error a\\x0afake line\\x0d\\x1b[2J\\x7f\\xc2\\x9b\\x9b\xc3\xa9\\x09");
}

static void json__is_valid_whatever_the_message_is(void **state)
{
	json_t *object;

	init(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, 0);
	log_error("%s", "\"\\\n\x1b\xff\xc2\x9b\xc3\xa9");
	object = next_json();
	assert_string_equal(string_of(object, "msg"), "\"\\\n\x1b\xef\xbf\xbd\xc2\x9b\xc3\xa9");
	json_decref(object);
}

/* A message of @n times @unit - the caller frees it. */
static char *long_message(const char *unit, size_t n)
{
	char *message = malloc(strlen(unit) * n + 1);

	assert_non_null(message);
	for (size_t i = 0; i < n; i++)
		memcpy(message + i * strlen(unit), unit, strlen(unit));
	message[strlen(unit) * n] = '\0';
	return message;
}

static void message__is_cut_beyond_1024_bytes(void **state)
{
	_cleanup_free_ char *fits = long_message("x", 1024), *long_one = long_message("x", 1025);
	char expected[1100];

	init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 0);
	log_error("%s", fits);
	(void)snprintf(expected, sizeof(expected), "error %s", fits);
	assert_text_line(expected);
	log_error("%s", long_one);
	(void)snprintf(expected, sizeof(expected), "error %s[...]", fits);
	assert_text_line(expected);
}

/* Of "é" and the like no half is left, wherever the 1024 bytes end. */
static void message__is_cut_between_characters(void **state)
{
	static const char *const units[] = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};

	init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 0);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		for (int shift = 0; shift < 4; shift++) {
			_cleanup_free_ char *message = long_message(units[i], 600);
			const char *line;
			size_t len;

			log_error("%.*s%s", shift, "abc", message);
			line = expect_line();
			assert_null(strchr(line, '\\'));
			len = strlen(line);
			assert_string_equal(line + len - 5, "[...]");
			line += check_time(line) + strlen(" error ");
			assert_in_range(strlen(line), 1021 + 5, 1024 + 5);
		}
	}
}

/* The worst that a peer can do to the length of a line. */
static void message__of_escapes_only_makes_a_line_that_fits(void **state)
{
	static const char *const units[] = {"\x01", "\xff", "\x80", "\xc2\x80", "\""};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		_cleanup_free_ char *message = long_message(units[i], 2000);
		const char *line, *text;
		json_t *object;

		init(LOG_LEVEL_DEBUG, LOG_FORMAT_JSON, 0);
		log_conn(LOG_LEVEL_WARNING, UINT64_MAX, "%s", message);
		object = next_json();
		text = string_of(object, "msg");
		assert_true(strlen(text) > 500);
		assert_string_equal(text + strlen(text) - 5, "[...]");
		json_decref(object);

		init(LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT, 0);
		log_conn(LOG_LEVEL_WARNING, UINT64_MAX, "%s", message);
		line = expect_line();
		assert_string_equal(line + strlen(line) - 5, "[...]");
	}
}

static void write__keeps_errno(void **state)
{
	init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, 0);
	errno = ENOENT;
	log_error("open: %m");
	assert_int_equal(errno, ENOENT);
	log_debug("dropped");
	assert_int_equal(errno, ENOENT);
	assert_text_line("error open: No such file or directory");
	log_init(&(struct log_options){.level = LOG_LEVEL_ERROR, .fd = -1});
	errno = ENOENT;
	log_error("to nowhere");
	assert_int_equal(errno, ENOENT);
}

/* ---- the rate limit ---------------------------------------------------------------------------
 */

/* "... message (7 lines suppressed)" -> 7 */
static uint64_t suppressed_in_text(const char *line)
{
	const char *open = strrchr(line, '(');
	unsigned long long n;
	char *end;

	if (!open)
		return 0;
	n = strtoull(open + 1, &end, 10);
	assert_string_equal(end, " lines suppressed)");
	return n;
}

static uint64_t suppressed_in_json(const char *line)
{
	json_t *object = json_loads(line, 0, NULL);
	uint64_t n;

	assert_non_null(object);
	n = (uint64_t)json_integer_value(json_object_get(object, "suppressed"));
	json_decref(object);
	return n;
}

/* However long this takes: each line has either passed or is counted in one that passed later. */
static void check_rate(enum log_format format, uint64_t (*suppressed_in)(const char *))
{
	uint64_t n_logged = 0, n_passed = 0, n_suppressed = 0;
	bool is_first = true;

	init(LOG_LEVEL_INFO, format, 20);
	/* Until after a suppression a line has passed: then none is uncounted. */
	while (n_suppressed == 0) {
		const char *line;

		for (int i = 0; i < 50; i++) {
			log_info("line");
			n_logged++;
			line = next_line();
			if (!line)
				continue;
			n_passed++;
			n_suppressed += suppressed_in(line);
			if (is_first)
				assert_int_equal(suppressed_in(line), 0);
			is_first = false;
			if (n_suppressed > 0)
				break;
		}
		usleep(1000);
	}
	assert_int_equal(n_passed + n_suppressed, n_logged);
	/* The bucket holds a second's worth. */
	assert_true(n_passed >= 20);
}

static void rate__what_is_suppressed_is_told_in_text(void **state)
{
	check_rate(LOG_FORMAT_TEXT, suppressed_in_text);
}

static void rate__what_is_suppressed_is_told_in_json(void **state)
{
	check_rate(LOG_FORMAT_JSON, suppressed_in_json);
}

static void rate__levels_that_are_off_cost_nothing(void **state)
{
	init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, 1);
	for (int i = 0; i < 100; i++)
		log_info("not logged");
	log_error("one");
	assert_text_line("error one");
}

static void write__a_line_that_could_not_be_written_counts_as_suppressed(void **state)
{
	uint64_t n_logged = 0, n_read = 0;
	const char *line;

	init(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT, 0);
	/* More than a socket holds. */
	for (; n_logged < 100000; n_logged++)
		log_error("line");
	while ((line = next_line()) != NULL) {
		assert_int_equal(suppressed_in_text(line), 0);
		n_read++;
	}
	assert_true(n_read > 0 && n_read < n_logged);
	log_error("again");
	line = expect_line();
	assert_int_equal(suppressed_in_text(line), n_logged - n_read);
	log_error("and again");
	assert_text_line("error and again");
}

/* ---- threads ----------------------------------------------------------------------------------
 */

enum {
	THREADS = 4,
	LINES = 2000
};

static void *log_lines(void *arg)
{
	const int *index = arg;

	for (int i = 0; i < LINES; i++)
		log_conn(LOG_LEVEL_INFO, (uint64_t)*index + 1, "%d %d %0*d", *index, i, i % 300 + 1,
			 7);
	return NULL;
}

/* Through a pipe, where writes that are not done in one would mix. */
static void threads__lines_never_mix(void **state)
{
	int indices[THREADS], fds[2], next[THREADS] = {0};
	pthread_t threads[THREADS];
	_cleanup_free_ char *line = NULL;
	size_t size = 0;
	FILE *stream;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	log_init(&(struct log_options){.level = LOG_LEVEL_INFO,
				       .format = LOG_FORMAT_TEXT,
				       .fd = fds[1],
				       .rate_per_s = 1000000000});
	for (int i = 0; i < THREADS; i++) {
		indices[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, log_lines, &indices[i]), 0);
	}
	stream = fdopen(fds[0], "r");
	assert_non_null(stream);
	for (int n = 0; n < THREADS * LINES; n++) {
		char expected[512], id[BASE32_U64_LEN + 1];
		int index;

		assert_true(getline(&line, &size, stream) > 0);
		/* Behind the time, " info " and the id in its brackets. */
		index = line[check_time(line) + 6 + BASE32_U64_LEN + 3] - '0';
		assert_in_range(index, 0, THREADS - 1);
		base32_u64_encode((uint64_t)index + 1, id);
		(void)snprintf(expected, sizeof(expected), " info [%s] %d %d %0*d\n", id, index,
			       next[index], next[index] % 300 + 1, 7);
		assert_string_equal(line + check_time(line), expected);
		next[index]++;
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	close(fds[1]);
	assert_int_equal(getline(&line, &size, stream), -1);
	assert_int_equal(fclose(stream), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_sockets, close_sockets)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(init__default_is_notice),
	    TEST(level__more_verbose_ones_are_dropped),
	    TEST(level__names),
	    TEST(macros__evaluate_nothing_that_is_not_logged),
	    TEST(text__has_time_level_connection_and_message),
	    TEST(json__has_time_level_connection_and_message),
	    TEST(text__shows_nothing_that_a_terminal_obeys),
	    TEST(json__is_valid_whatever_the_message_is),
	    TEST(message__is_cut_beyond_1024_bytes),
	    TEST(message__is_cut_between_characters),
	    TEST(message__of_escapes_only_makes_a_line_that_fits),
	    TEST(write__keeps_errno),
	    TEST(rate__what_is_suppressed_is_told_in_text),
	    TEST(rate__what_is_suppressed_is_told_in_json),
	    TEST(rate__levels_that_are_off_cost_nothing),
	    TEST(write__a_line_that_could_not_be_written_counts_as_suppressed),
	    TEST(threads__lines_never_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
