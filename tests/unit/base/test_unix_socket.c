/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_socket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

struct fixture {
	char folder[64];
	char path[96];
	struct address address;
	mode_t umask;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char text[128];

	if (!f)
		return -1;
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/sluice-test-XXXXXX");
	if (!mkdtemp(f->folder))
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/s", f->folder);
	(void)snprintf(text, sizeof(text), "unix:%s", f->path);
	f->umask = umask(022);
	*state = f;
	return address_parse(text, &f->address);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	(void)umask(f->umask);
	(void)unlink(f->path);
	(void)rmdir(f->folder);
	free(f);
	return 0;
}

/* Return: 0 or -errno of connect(2) */
static int try_connect(const struct address *address)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		abort();
	return connect(fd, &address->sa, address->len) < 0 ? -errno : 0;
}

static void listen__accepts_connections_without_blocking(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = -1, accepted = -1;

	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), 0);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(try_connect(&f->address), 0);
	accepted = accept(fd, NULL, NULL);
	assert_true(accepted >= 0);
}

static void listen__gives_the_file_the_mode_less_the_umask(void **state)
{
	static const mode_t modes[] = {0600, 0660, 0666};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		_cleanup_close_ int fd = -1;
		struct stat st;

		assert_int_equal(unix_listen(&f->address, 4, modes[i], &fd), 0);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | (modes[i] & ~022u));
		unix_unlink(&f->address);
	}
}

static void listen__replaces_a_file_that_nobody_listens_on(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = -1, next = -1;

	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), 0);
	close(TAKE_FD(fd));
	assert_int_equal(try_connect(&f->address), -ECONNREFUSED);
	assert_int_equal(unix_listen(&f->address, 4, 0600, &next), 0);
	assert_int_equal(try_connect(&f->address), 0);
}

static void listen__leaves_a_listener_alone(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = -1;
	int second = 1234;

	assert_int_equal(unix_listen(&f->address, 1, 0600, &fd), 0);
	assert_int_equal(unix_listen(&f->address, 1, 0600, &second), -EADDRINUSE);
	/* Also when it is too busy to take the connection that asks whether it lives. */
	while (try_connect(&f->address) == 0)
		;
	assert_int_equal(try_connect(&f->address), -EAGAIN);
	assert_int_equal(unix_listen(&f->address, 1, 0600, &second), -EADDRINUSE);
	assert_int_equal(second, 1234);
}

static void listen__leaves_other_files_alone(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen(f->path, "w");
	struct stat st;
	int fd = 1234;

	if (!file)
		abort();
	assert_true(fputs("precious", file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), -EEXIST);
	assert_int_equal(stat(f->path, &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 8);
	assert_int_equal(unlink(f->path), 0);
	/* A link is not followed, to whatever it leads. */
	assert_int_equal(symlink("/nowhere", f->path), 0);
	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), -EEXIST);
	assert_int_equal(fd, 1234);
}

static void listen__tells_why_not(void **state)
{
	struct fixture *f = *state;
	int fd = 1234;

	assert_int_equal(rmdir(f->folder), 0);
	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), -ENOENT);
	assert_int_equal(fd, 1234);
}

static void abstract__needs_no_file(void **state)
{
	_cleanup_close_ int fd = -1;
	struct address address;
	int second = 1234;

	assert_int_equal(address_parse("unix:@sluice-test-unix-socket", &address), 0);
	assert_int_equal(unix_listen(&address, 4, 0600, &fd), 0);
	assert_int_equal(try_connect(&address), 0);
	assert_int_equal(unix_listen(&address, 4, 0600, &second), -EADDRINUSE);
	unix_unlink(&address);
	close(TAKE_FD(fd));
	assert_int_equal(try_connect(&address), -ECONNREFUSED);
}

static void unlink__removes_the_file(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = -1;

	assert_int_equal(unix_listen(&f->address, 4, 0600, &fd), 0);
	unix_unlink(&f->address);
	assert_int_equal(access(f->path, F_OK), -1);
	unix_unlink(&f->address);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(listen__accepts_connections_without_blocking),
	    TEST(listen__gives_the_file_the_mode_less_the_umask),
	    TEST(listen__replaces_a_file_that_nobody_listens_on),
	    TEST(listen__leaves_a_listener_alone),
	    TEST(listen__leaves_other_files_alone),
	    TEST(listen__tells_why_not),
	    cmocka_unit_test(abstract__needs_no_file),
	    TEST(unlink__removes_the_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
