/* SPDX-License-Identifier: Apache-2.0 */
/* The programs are of three instructions: what counts here is how arguments get in and out. */
#include "kern/splice_ctl.h"

#include "base/std.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* *(u32 *)(args + @out) = *(u32 *)(args + @in) */
static int load_copier(size_t in, size_t out)
{
	const struct bpf_insn program[] = {
	    {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 1, .off = (int16_t)in},
	    {.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 2, .off = (int16_t)out},
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
	    {.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_SLEEPABLE);
	int fd = bpf_prog_load(BPF_PROG_TYPE_SYSCALL, "copier", "GPL", program, ARRAY_SIZE(program),
			       &opts);

	if (fd == -EPERM) {
		printf("skipped: a program: %s (it needs CAP_BPF)\n", strerror(EPERM));
		skip();
	}
	assert_true(fd >= 0);
	return fd;
}

static void activate__takes_arguments_in_and_out(void **state)
{
	_cleanup_close_ int fd = load_copier(offsetof(struct sl_activate_args, legs[1].snd_nxt),
					     offsetof(struct sl_activate_args, got_end[1]));
	struct sl_activate_args args, expected;

	memset(&args, 0x5a, sizeof(args));
	args.legs[1].snd_nxt = 4711;
	expected = args;
	expected.got_end[1] = 4711;
	assert_int_equal(splice_ctl_activate(fd, &args), 0);
	assert_memory_equal(&args, &expected, sizeof(args));
}

static void hold__takes_arguments_in_and_out(void **state)
{
	_cleanup_close_ int fd =
	    load_copier(offsetof(struct sl_hold_args, verb), offsetof(struct sl_hold_args, result));
	struct sl_hold_args args, expected;

	memset(&args, 0x5a, sizeof(args));
	args.verb = SL_HOLD_TO_ACTIVE;
	expected = args;
	expected.result = SL_HOLD_TO_ACTIVE;
	assert_int_equal(splice_ctl_hold(fd, &args), 0);
	assert_memory_equal(&args, &expected, sizeof(args));
}

static void run__says_when_it_has_not(void **state)
{
	_cleanup_close_ int pipe_end = -1;
	struct sl_activate_args args = {.result = 4711};
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	close(ends[0]);
	pipe_end = ends[1];
	assert_true(splice_ctl_activate(pipe_end, &args) < 0);
	assert_int_equal(args.result, 4711);
}

static void result__has_a_name(void **state)
{
	assert_string_equal(splice_ctl_result_name(SL_CTL_DONE), "done");
	assert_string_equal(splice_ctl_result_name(SL_CTL_LATE), "late");
	assert_string_equal(splice_ctl_result_name(SL_CTL_LATE + 1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(activate__takes_arguments_in_and_out),
	    cmocka_unit_test(hold__takes_arguments_in_and_out),
	    cmocka_unit_test(run__says_when_it_has_not),
	    cmocka_unit_test(result__has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
