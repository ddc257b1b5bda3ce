/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attempt.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_attempt(struct attempt attempt, enum sluice_reason reason, bool is_final)
{
	assert_int_equal(attempt.reason, reason);
	assert_int_equal(attempt.is_final, is_final);
}

static void result__decides_whether_it_may_pass(void **state)
{
	assert_attempt(attempt_from_result(SL_CTL_DONE), SLUICE_REASON_NONE, true);
	assert_attempt(attempt_from_result(SL_CTL_NO_FLOW), SLUICE_REASON_KERNEL, true);
	assert_attempt(attempt_from_result(SL_CTL_STATE), SLUICE_REASON_KERNEL, true);
	assert_attempt(attempt_from_result(SL_CTL_UNSEEN), SLUICE_REASON_ASYMMETRIC, false);
	assert_attempt(attempt_from_result(SL_CTL_DATA), SLUICE_REASON_BUSY, false);
	assert_attempt(attempt_from_result(SL_CTL_LATE), SLUICE_REASON_BUSY, false);
	/* of a program that is newer than this */
	assert_attempt(attempt_from_result((enum sl_ctl_result)99), SLUICE_REASON_BUSY, false);
}

static void capture__waits_for_bytes_and_no_right(void **state)
{
	assert_attempt(attempt_from_capture(-EBUSY), SLUICE_REASON_BUSY, false);
	assert_attempt(attempt_from_capture(-ENOTCONN), SLUICE_REASON_BUSY, false);
	assert_attempt(attempt_from_capture(-EPERM), SLUICE_REASON_KERNEL, true);
	assert_attempt(attempt_from_capture(-EBADF), SLUICE_REASON_KERNEL, true);
}

static const struct tcp_capture plain = {.recv_mss = 1460, .path_mtu = 1500};

static enum sluice_reason check(const struct tcp_capture *a, bool a_is_ipv6,
				const struct tcp_capture *b, bool b_is_ipv6)
{
	const struct attempt_leg legs[2] = {{a, a_is_ipv6}, {b, b_is_ipv6}};
	enum sluice_reason reason = attempt_check_legs(&legs[0], &legs[1]);

	assert_int_equal(attempt_check_legs(&legs[1], &legs[0]), reason);
	return reason;
}

static void legs__are_of_one_family(void **state)
{
	struct tcp_capture six = plain;

	six.recv_mss = 1440;
	assert_int_equal(check(&plain, false, &plain, false), SLUICE_REASON_NONE);
	assert_int_equal(check(&six, true, &six, true), SLUICE_REASON_NONE);
	assert_int_equal(check(&plain, false, &six, true), SLUICE_REASON_OPTIONS);
}

/* RFC 7323 s5: a leg without timestamps has no protection against wrapped sequences. */
static void legs__agree_on_timestamps_and_need_not_on_the_rest(void **state)
{
	struct tcp_capture other = plain;

	other.options = SL_O_SACK | SL_O_WSCALE | SL_O_ECN;
	assert_int_equal(check(&plain, false, &other, false), SLUICE_REASON_NONE);
	other.options = SL_O_TIMESTAMPS;
	assert_int_equal(check(&plain, false, &other, false), SLUICE_REASON_OPTIONS);
	assert_int_equal(check(&other, false, &other, false), SLUICE_REASON_NONE);
}

static void legs__fit_each_others_way_to_the_byte(void **state)
{
	struct tcp_capture narrow = plain;

	narrow.recv_mss = 1360;
	narrow.path_mtu = 1500;
	assert_int_equal(check(&plain, false, &narrow, false), SLUICE_REASON_NONE);
	narrow.path_mtu = 1499;
	assert_int_equal(check(&plain, false, &narrow, false), SLUICE_REASON_MTU);
	/* 20 bytes more of header */
	narrow.path_mtu = 1519;
	assert_int_equal(check(&plain, true, &narrow, true), SLUICE_REASON_MTU);
	narrow.path_mtu = 1520;
	assert_int_equal(check(&plain, true, &narrow, true), SLUICE_REASON_NONE);
}

/* The hook holds only larger packets against the MTU. */
static void legs__carry_what_ipv6_may_rely_upon(void **state)
{
	struct tcp_capture small = plain;

	small.recv_mss = 500;
	small.path_mtu = SL_MTU_MIN - 1;
	assert_int_equal(check(&small, false, &small, false), SLUICE_REASON_MTU);
	small.path_mtu = SL_MTU_MIN;
	assert_int_equal(check(&small, false, &small, false), SLUICE_REASON_NONE);
}

static void pace__doubles_from_round_to_round(void **state)
{
	struct attempt_pace pace;

	attempt_pace_init(&pace);
	assert_int_equal(pace.delay_ms, 1);
	assert_int_equal(pace.n_messages, 0);
	for (uint64_t delay = 1; delay <= ATTEMPT_DELAY_MAX_MS; delay *= 2) {
		attempt_pace_by_time(&pace);
		assert_int_equal(pace.n_messages, 2);
		assert_int_equal(pace.delay_ms, delay);
		attempt_pace_by_message(&pace);
		assert_int_equal(pace.n_messages, 1);
		assert_int_equal(pace.delay_ms, delay);
		attempt_pace_by_message(&pace);
		assert_int_equal(pace.n_messages, 0); /* until the next try of ours */
	}
	assert_int_equal(pace.delay_ms, ATTEMPT_DELAY_MAX_MS);
}

/* A connection on which nothing is relayed, and which cannot be spliced, is not tried 1,000 times a
 * second. */
static void pace__doubles_without_messages_too(void **state)
{
	struct attempt_pace pace;
	uint64_t delay = 1;

	attempt_pace_init(&pace);
	attempt_pace_by_time(&pace);
	assert_int_equal(pace.delay_ms, 1);
	for (int i = 0; i < 20; i++) {
		attempt_pace_by_time(&pace);
		delay = MIN(2 * delay, (uint64_t)ATTEMPT_DELAY_MAX_MS);
		assert_int_equal(pace.delay_ms, delay);
		assert_int_equal(pace.n_messages, 2);
	}
	assert_int_equal(delay, ATTEMPT_DELAY_MAX_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(result__decides_whether_it_may_pass),
	    cmocka_unit_test(capture__waits_for_bytes_and_no_right),
	    cmocka_unit_test(legs__are_of_one_family),
	    cmocka_unit_test(legs__agree_on_timestamps_and_need_not_on_the_rest),
	    cmocka_unit_test(legs__fit_each_others_way_to_the_byte),
	    cmocka_unit_test(legs__carry_what_ipv6_may_rely_upon),
	    cmocka_unit_test(pace__doubles_from_round_to_round),
	    cmocka_unit_test(pace__doubles_without_messages_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
