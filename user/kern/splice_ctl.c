/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/splice_ctl.h"

#include <bpf/bpf.h>

/* The kernel copies the context of a syscall program in before the run, and out to the same place
 * behind it; it refuses a ctx_out. */
static int run(int program_fd, void *args, uint32_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = size);

	return bpf_prog_test_run_opts(program_fd, &opts);
}

int splice_ctl_capture(int program_fd, const struct sl_key6 *const keys[2], bool is_ipv6,
		       struct sl_socket ret_sockets[2])
{
	struct sl_capture_args args = {.keys = {*keys[0], *keys[1]}, .is_ipv6 = is_ipv6};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = &args, .data_size_in = sizeof(args),
		    .data_out = &args, .data_size_out = sizeof(args));
	int error = bpf_prog_test_run_opts(program_fd, &opts);

	if (error == 0)
		memcpy(ret_sockets, args.sockets, sizeof(args.sockets));
	return error;
}

int splice_ctl_activate(int program_fd, struct sl_activate_args *args)
{
	return run(program_fd, args, sizeof(*args));
}

int splice_ctl_hold(int program_fd, struct sl_hold_args *args)
{
	return run(program_fd, args, sizeof(*args));
}

const char *splice_ctl_result_name(enum sl_ctl_result result)
{
	static const char *const names[] = {
	    [SL_CTL_DONE] = "done",     [SL_CTL_NO_FLOW] = "no flow", [SL_CTL_STATE] = "state",
	    [SL_CTL_UNSEEN] = "unseen", [SL_CTL_DATA] = "data",       [SL_CTL_LATE] = "late",
	};

	return (size_t)result < ARRAY_SIZE(names) ? names[result] : "?";
}
