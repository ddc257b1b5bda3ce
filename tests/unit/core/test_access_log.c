/* SPDX-License-Identifier: Apache-2.0 */
#include "core/access_log.h"

#include "lib/worker_fixture.h"

#include <poll.h>

#define CONNECTIONS 2000 /* their lines are far more than the buffer and the socket hold */

static void write_lines(struct worker_fixture *f, struct access_log *log, int n)
{
	struct connection *c;
	int fd = worker_fixture_client(f, &c);

	for (int i = 0; i < n; i++)
		access_log_write(log, c);
	access_log_flush(log);
	close(fd);
	worker_fixture_turn(f);
}

static bool is_readable(int fd)
{
	return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 0) == 1;
}

/* Reads what is there, and checks that it is whole lines. Return: how many. */
static uint64_t read_lines(int fd)
{
	static char buf[1 << 20];
	uint64_t n_lines = 0;
	size_t len = 0;

	while (is_readable(fd)) {
		ssize_t n = read(fd, buf + len, sizeof(buf) - len);

		assert_true(n > 0);
		len += (size_t)n;
	}
	for (const char *line = buf, *end; line < buf + len; line = end + 1) {
		end = memchr(line, '\n', (size_t)(buf + len - line));
		assert_non_null(end);
		assert_memory_equal(line, "{\"time\":\"", 9);
		assert_int_equal(end[-1], '}');
		n_lines++;
	}
	return n_lines;
}

/* A reader that reads nothing until the end. A journal's socket is a blocking one. */
static void check_slow_reader(int reader, int writer)
{
	struct worker_fixture f;
	struct access_log_file *file;
	struct access_log *log;
	stat_t dropped = 0;
	uint64_t n_lines;

	worker_fixture_init(&f, LISTENER "route r { echo = true }\n");
	assert_int_equal(access_log_new(&dropped, &log), 0);
	assert_int_equal(access_log_file_new(writer, &file), 0);
	access_log_set_file(log, file);
	write_lines(&f, log, CONNECTIONS);
	assert_true(stat_get(&dropped) > 0);
	n_lines = read_lines(reader);
	assert_true(n_lines > 0);
	do { /* what waited in the buffer follows */
		access_log_flush(log);
		n_lines += read_lines(reader);
	} while (is_readable(reader));
	access_log_flush(log);
	n_lines += read_lines(reader);
	assert_int_equal(n_lines + stat_get(&dropped), CONNECTIONS);
	access_log_free(log);
	worker_fixture_done(&f);
	close(reader);
}

static void flush__does_not_wait_for_the_reader_of_a_socket(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	check_slow_reader(fds[0], fds[1]);
}

static void flush__does_not_wait_for_the_reader_of_a_pipe(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	check_slow_reader(fds[0], fds[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(flush__does_not_wait_for_the_reader_of_a_socket),
	    cmocka_unit_test(flush__does_not_wait_for_the_reader_of_a_pipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
