/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own, with programs of its own at the ingress of its interfaces. */
#include "kern/hook_check.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cmocka.h>

#include <cap-ng.h>

#define TCX_INGRESS ((enum bpf_attach_type)46)
#define HANDLE      0x51
#define PRIORITY    5100

static int program_fd = -1;
static bool has_namespace;

static void run(const char *commands)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		(void)execl("/bin/sh", "sh", "-c", commands, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static int no_output(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

static int load_program(void)
{
	static const struct bpf_insn pass[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1},
	    {.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "pass", "GPL", pass, ARRAY_SIZE(pass), NULL);
}

static int set_up(void **state)
{
	libbpf_set_print(no_output);
	program_fd = load_program();
	has_namespace = program_fd >= 0 && unshare(CLONE_NEWNET) == 0;
	if (!has_namespace)
		printf("skipped: a network namespace with a program: %s (it needs root)\n",
		       strerror(errno));
	return 0;
}

static uint32_t make_interface(void)
{
	if (!has_namespace)
		skip();
	run("ip link show sl-a >/dev/null 2>&1 || ip link add sl-a type veth peer name sl-b");
	return if_nametoindex("sl-a");
}

static int remove_interface(void **state)
{
	if (has_namespace)
		run("ip link del sl-a 2>/dev/null; true");
	return 0;
}

/* Return: a link, whose id is in @ret; skipped where the kernel has no tcx (6.6). */
static int attach_tcx(uint32_t ifindex, int program, struct sl_hooked *ret)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_link_create(program, (int)ifindex, TCX_INGRESS, &opts);

	if (fd < 0 && errno == EINVAL) {
		printf("skipped: tcx: %s\n", strerror(errno));
		skip();
	}
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &size), 0);
	*ret = (struct sl_hooked){.kind = SL_HOOK_TCX, .id = info.id};
	return fd;
}

static struct sl_hooked attach_clsact(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = HANDLE, .priority = PRIORITY,
		    .prog_fd = program_fd);

	assert_int_equal(bpf_tc_hook_create(&place), 0);
	assert_int_equal(bpf_tc_attach(&place, &filter), 0);
	return (struct sl_hooked){.kind = SL_HOOK_CLSACT, .id = HANDLE, .priority = PRIORITY};
}

static void check__link_among_others(void **state)
{
	uint32_t ifindex = make_interface();
	struct sl_hooked first, second;
	/* One program is at a place but once. */
	int other = load_program(), first_fd = attach_tcx(ifindex, program_fd, &first);
	int second_fd = attach_tcx(ifindex, other, &second), third = load_program();

	assert_int_equal(hook_check(ifindex, &first), 1);
	assert_int_equal(hook_check(ifindex, &second), 1);
	/* Another program in the same link is still it. */
	assert_int_equal(bpf_link_update(first_fd, third, NULL), 0);
	assert_int_equal(hook_check(ifindex, &first), 1);
	assert_int_equal(bpf_link_detach(first_fd), 0);
	assert_int_equal(hook_check(ifindex, &first), 0);
	assert_int_equal(hook_check(ifindex, &second), 1);
	assert_int_equal(hook_check(if_nametoindex("sl-b"), &second), 0);
	close(second_fd);
	assert_int_equal(hook_check(ifindex, &second), 0);
	close(first_fd);
	close(other);
	close(third);
}

static void check__link_of_an_interface_that_is_gone(void **state)
{
	uint32_t ifindex = make_interface();
	struct sl_hooked hooked;
	int fd = attach_tcx(ifindex, program_fd, &hooked);

	run("ip link del sl-a");
	assert_int_equal(hook_check(ifindex, &hooked), 0);
	close(fd);
}

static void check__filter_among_others(void **state)
{
	static const char *const removals[] = {
	    "tc filter del dev sl-a ingress pref 5100 handle 0x51 bpf",
	    "tc filter del dev sl-a ingress",
	    "tc qdisc del dev sl-a clsact",
	    "ip link del sl-a",
	};

	for (size_t i = 0; i < ARRAY_SIZE(removals); i++) {
		uint32_t ifindex = make_interface();
		struct sl_hooked hooked = attach_clsact(ifindex), other = hooked;

		run("tc filter add dev sl-a ingress pref 7 bpf da bytecode '1,6 0 0 0,'");
		assert_int_equal(hook_check(ifindex, &hooked), 1);
		other.id++;
		assert_int_equal(hook_check(ifindex, &other), 0);
		other = hooked;
		other.priority++;
		assert_int_equal(hook_check(ifindex, &other), 0);
		run(removals[i]);
		assert_int_equal(hook_check(ifindex, &hooked), 0);
		remove_interface(NULL);
	}
}

static void check__what_it_does_not_know(void **state)
{
	const struct sl_hooked hooked = {.kind = SL_HOOK_XDP};

	assert_int_equal(hook_check(make_interface(), &hooked), -EOPNOTSUPP);
}

/* As the daemon is: a user of no privileges but that one, or none. */
static int check_as_nobody(uint32_t ifindex, const struct sl_hooked *hooked, bool has_net_admin)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		capng_clear(CAPNG_SELECT_BOTH);
		if (has_net_admin)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
		if (capng_change_id(65534, 65534, CAPNG_DROP_SUPP_GRP) < 0)
			_exit(100);
		_exit(hook_check(ifindex, hooked) & 0xff);
	}
	assert_true(child >= 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (int8_t)WEXITSTATUS(status);
}

static void check__filter_without_any_right(void **state)
{
	uint32_t ifindex = make_interface();
	struct sl_hooked filter = attach_clsact(ifindex);

	assert_int_equal(check_as_nobody(ifindex, &filter, false), 1);
}

static void check__link_with_the_right_that_it_needs(void **state)
{
	uint32_t ifindex = make_interface();
	struct sl_hooked link;
	int fd = attach_tcx(ifindex, program_fd, &link);

	assert_int_equal(check_as_nobody(ifindex, &link, true), 1);
	/* It cannot be told; that is not the same as gone. */
	assert_int_equal(check_as_nobody(ifindex, &link, false), -EPERM);
	close(fd);
}

static bool has_news(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 1;
}

static void news__tell_of_what_goes(void **state)
{
	static const char *const departures[] = {
	    "tc filter del dev sl-a ingress",
	    "tc qdisc del dev sl-a clsact",
	    "ip link del sl-a",
	};
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(departures); i++) {
		make_interface();
		assert_int_equal(hook_news_open(&fd), 0);
		attach_clsact(if_nametoindex("sl-a"));
		run("ip link set sl-a up");
		/* What comes, or changes, is none of it. */
		assert_true(has_news(fd));
		assert_false(hook_news_take(fd));
		assert_false(has_news(fd));
		run(departures[i]);
		assert_true(has_news(fd));
		assert_true(hook_news_take(fd));
		assert_false(hook_news_take(fd));
		close(fd);
		remove_interface(NULL);
	}
}

#define TEST(name) cmocka_unit_test_teardown(name, remove_interface)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(check__link_among_others),        TEST(check__link_of_an_interface_that_is_gone),
	    TEST(check__filter_among_others),      TEST(check__what_it_does_not_know),
	    TEST(check__filter_without_any_right), TEST(check__link_with_the_right_that_it_needs),
	    TEST(news__tell_of_what_goes),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
