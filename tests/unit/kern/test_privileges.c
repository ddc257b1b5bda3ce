/* SPDX-License-Identifier: Apache-2.0 */
/* What is given away cannot be had back: each test gives it away in a child. */
#include "kern/privileges.h"

#include <bpf/bpf.h>
#include <cap-ng.h>
#include <grp.h>
#include <linux/bpf.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#define GROUP     4242u
#define THE_TWO   (1ull << CAP_NET_ADMIN | 1ull << CAP_NET_BIND_SERVICE)
#define ALL_FIRST (1ull << CAP_CHOWN | THE_TWO | 1ull << CAP_SYS_ADMIN)

/* In a child: 0 = ok, else the line that found a fault. */
#define CHECK(claim)                            \
	do {                                    \
		if (!(claim))                   \
			_exit(fault(__LINE__)); \
	} while (0)

static int fault(int line)
{
	printf("# line %d: errno %d\n", line, errno);
	fflush(stdout);
	return 1;
}

static void in_child(void (*check)(void))
{
	pid_t child;
	int status;

	if (geteuid() != 0) {
		printf("skipped: becoming another user: %s (it needs root)\n", strerror(EPERM));
		skip();
	}
	fflush(stdout);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		check();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- who ----------------------------------------------------------------------------------- */

static void find__takes_names_and_numbers(void **state)
{
	struct privileges_user user;
	struct privileges_error error = {0};

	assert_int_equal(privileges_find("root", NULL, &user, &error), 0);
	assert_int_equal(user.uid, 0);
	assert_int_equal(user.gid, 0);
	assert_string_equal(user.name, "root");
	privileges_user_done(&user);
	assert_int_equal(privileges_find("0", "4242", &user, &error), 0);
	assert_int_equal(user.uid, 0);
	assert_int_equal(user.gid, 4242);
	assert_string_equal(user.name, "root");
	privileges_user_done(&user);
	privileges_user_done(&user); /* harmless */
}

static void find__a_number_without_an_entry_wants_a_group(void **state)
{
	struct privileges_user user = {.uid = 1};
	struct privileges_error error = {0};

	assert_int_equal(privileges_find("3999999999", NULL, &user, &error), -ENOENT);
	assert_string_equal(error.text, "user \"3999999999\": there is none");
	assert_int_equal(user.uid, 1);
	assert_int_equal(privileges_find("3999999999", "root", &user, &error), 0);
	assert_int_equal(user.uid, 3999999999u);
	assert_int_equal(user.gid, 0);
	assert_null(user.name);
}

static void find__names_what_there_is_not(void **state)
{
	static const char *const users[] = {"", "no such user", "-1", "4294967295", "12x", "0x0"};
	struct privileges_user user;
	struct privileges_error error = {0};
	char expected[128];

	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		snprintf(expected, sizeof(expected), "user \"%s\": there is none", users[i]);
		assert_int_equal(privileges_find(users[i], "0", &user, &error), -ENOENT);
		assert_string_equal(error.text, expected);
	}
	assert_int_equal(privileges_find("root", "no such group", &user, &error), -ENOENT);
	assert_string_equal(error.text, "group \"no such group\": there is none");
}

/* ---- capabilities -------------------------------------------------------------------------- */

static uint64_t set_of(capng_type_t type)
{
	uint64_t set = 0;

	CHECK(capng_get_caps_process() == 0);
	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
		if (capng_have_capability(type, i))
			set |= 1ull << i;
	}
	return set;
}

static uint64_t ambient_set(void)
{
	uint64_t set = 0;

	for (unsigned long i = 0; i <= CAP_LAST_CAP; i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			set |= 1ull << i;
	}
	return set;
}

static void become_nobody(void)
{
	struct privileges_user user;
	struct privileges_error error = {0};

	CHECK(privileges_find("65534", "4242", &user, &error) == 0);
	CHECK(privileges_become(&user) == 0);
	privileges_user_done(&user);
}

static void check_root_to_nobody(void)
{
	gid_t groups[8];

	CHECK(setgroups(3, (gid_t[]){0, 1, 2}) == 0);
	become_nobody();
	CHECK(privileges_limit() == 0);
	CHECK(getuid() == 65534 && geteuid() == 65534 && getgid() == GROUP && getegid() == GROUP);
	CHECK(getgroups(8, groups) == 1 && groups[0] == GROUP);
	CHECK(set_of(CAPNG_PERMITTED) == THE_TWO);
	CHECK(set_of(CAPNG_EFFECTIVE) == THE_TWO);
	CHECK(set_of(CAPNG_BOUNDING_SET) == THE_TWO);
	CHECK(set_of(CAPNG_INHERITABLE) == 0);
	CHECK(ambient_set() == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(prctl(PR_GET_DUMPABLE) == 1);
	CHECK(setresuid(0, 0, 0) < 0 && errno == EPERM);
	CHECK(setgroups(0, NULL) < 0 && errno == EPERM);
}

static void become__keeps_two_capabilities(void **state)
{
	in_child(check_root_to_nobody);
}

/* As a service manager starts it, which means too well. */
static void check_ambient(void)
{
	struct privileges_user user = {.uid = 65534, .gid = GROUP};

	CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0 && setgroups(0, NULL) == 0);
	CHECK(setresgid(GROUP, GROUP, GROUP) == 0 && setresuid(65534, 65534, 65534) == 0);
	capng_clear(CAPNG_SELECT_CAPS);
	for (unsigned int i = 0; i <= CAP_LAST_CAP; i++) {
		if (!(ALL_FIRST >> i & 1))
			continue;
		CHECK(capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, i) == 0);
		CHECK(capng_update(CAPNG_ADD, CAPNG_PERMITTED, i) == 0);
		CHECK(capng_update(CAPNG_ADD, CAPNG_INHERITABLE, i) == 0);
	}
	CHECK(capng_apply(CAPNG_SELECT_CAPS) == 0);
	CHECK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0) == 0);
	CHECK(set_of(CAPNG_EFFECTIVE) == ALL_FIRST && ambient_set() != 0);

	CHECK(privileges_become(&user) == 0); /* it is */
	CHECK(privileges_limit() == 0);
	CHECK(set_of(CAPNG_PERMITTED) == THE_TWO);
	CHECK(set_of(CAPNG_EFFECTIVE) == THE_TWO);
	CHECK(set_of(CAPNG_INHERITABLE) == 0);
	CHECK(ambient_set() == 0);
}

static void limit__drops_what_a_user_was_given_beyond(void **state)
{
	in_child(check_ambient);
}

static void check_without(void)
{
	CHECK(capng_get_caps_process() == 0);
	CHECK(capng_update(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_NET_ADMIN) == 0);
	CHECK(capng_update(CAPNG_DROP, CAPNG_PERMITTED, CAP_NET_ADMIN) == 0);
	CHECK(capng_apply(CAPNG_SELECT_CAPS) == 0);
	become_nobody();
	CHECK(privileges_limit() == 0);
	CHECK(set_of(CAPNG_EFFECTIVE) == 1ull << CAP_NET_BIND_SERVICE);
}

static void limit__does_with_what_there_is(void **state)
{
	in_child(check_without);
}

static void check_root(void)
{
	uint64_t before = set_of(CAPNG_EFFECTIVE);

	CHECK(privileges_limit() == 0);
	CHECK(set_of(CAPNG_EFFECTIVE) == before);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

static void limit__leaves_root_its_files(void **state)
{
	in_child(check_root);
}

static void check_nobody_stays(void)
{
	struct privileges_user root = {0};

	become_nobody();
	CHECK(privileges_limit() == 0);
	CHECK(privileges_become(&root) == -EPERM);
	CHECK(geteuid() == 65534 && getegid() == GROUP);
}

static void become__needs_the_right(void **state)
{
	in_child(check_nobody_stays);
}

/* ---- bpf(2) -------------------------------------------------------------------------------- */

static int load_program(void)
{
	const struct bpf_insn program[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 7},
	    {.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "trial", "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static int create_map(void)
{
	return bpf_map_create(BPF_MAP_TYPE_ARRAY, "trial", 4, 4, 1, NULL);
}

static void check_bpf(void)
{
	uint32_t key = 0, value = 17, size = sizeof(struct bpf_map_info);
	struct bpf_map_info info = {0};
	char packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet));
	int program = load_program(), map = create_map();

	CHECK(program >= 0 && map >= 0); /* root may: what refuses below is the filter */
	CHECK(privileges_refuse_bpf() == 0);
	CHECK(load_program() == -EPERM);
	CHECK(create_map() == -EPERM);
	CHECK(bpf_obj_pin(map, "/sys/fs/bpf/x") == -EPERM);
	CHECK(bpf_link_create(program, 1, BPF_CGROUP_INET_INGRESS, NULL) == -EPERM);
	CHECK(bpf_map_get_fd_by_id(1) == -EPERM);

	CHECK(bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0);
	value = 0;
	CHECK(bpf_map_lookup_elem(map, &key, &value) == 0 && value == 17);
	CHECK(bpf_obj_get_info_by_fd(map, &info, &size) == 0 && info.value_size == 4);
	CHECK(bpf_prog_test_run_opts(program, &run) == 0 && run.retval == 7);
	CHECK(bpf_obj_get("/no/such") == -ENOENT);
	CHECK(fork() >= 0 && load_program() == -EPERM); /* both */
}

static void refuse_bpf__leaves_the_use_of_what_exists(void **state)
{
	in_child(check_bpf);
}

static long command(unsigned long number)
{
	return syscall(SYS_bpf, number, NULL, 0);
}

/* Whatever has all rights is told by the kernel that these arguments are bad, and that there is no
 * such command: EPERM comes from the filter alone. */
static void check_every_command(void)
{
	static const unsigned int left[] = {1, 2, 3, 4, 7, 10, 15, 16, 21, 24, 25, 26, 27};
	bool is_left[256] = {0};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++)
		is_left[left[i]] = true;
	for (unsigned long i = 0; i < ARRAY_SIZE(is_left); i++)
		CHECK(command(i) >= 0 || errno != EPERM); /* one needs no arguments */
	CHECK(privileges_refuse_bpf() == 0);
	for (unsigned long i = 0; i < ARRAY_SIZE(is_left); i++) {
		CHECK(command(i) < 0 && (errno != EPERM) == is_left[i]);
		/* The kernel looks at the lower half only. */
		CHECK(command(i | 1ul << 40) < 0 && (errno != EPERM) == is_left[i]);
	}
	CHECK(command(1ul << 31) < 0 && errno == EPERM);
	CHECK(command((1ul << 31) + 1) < 0 && errno == EPERM);
}

static void refuse_bpf__refuses_every_other_command(void **state)
{
	in_child(check_every_command);
}

static void check_daemon(void)
{
	become_nobody();
	CHECK(privileges_limit() == 0 && privileges_refuse_bpf() == 0);
	CHECK(load_program() == -EPERM && create_map() == -EPERM);
}

/* In this order: limit() is what lets a user without rights install a filter (seccomp(2)). */
static void refuse_bpf__works_for_a_user_without_rights(void **state)
{
	in_child(check_daemon);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(find__takes_names_and_numbers),
	    cmocka_unit_test(find__a_number_without_an_entry_wants_a_group),
	    cmocka_unit_test(find__names_what_there_is_not),
	    cmocka_unit_test(become__keeps_two_capabilities),
	    cmocka_unit_test(become__needs_the_right),
	    cmocka_unit_test(limit__drops_what_a_user_was_given_beyond),
	    cmocka_unit_test(limit__does_with_what_there_is),
	    cmocka_unit_test(limit__leaves_root_its_files),
	    cmocka_unit_test(refuse_bpf__leaves_the_use_of_what_exists),
	    cmocka_unit_test(refuse_bpf__refuses_every_other_command),
	    cmocka_unit_test(refuse_bpf__works_for_a_user_without_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
