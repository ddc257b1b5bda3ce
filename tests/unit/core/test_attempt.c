/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attempt.h"
#include "sluice/conn.h"

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

static const struct sl_socket plain = {
    .recv_mss = 1460,
    .path_mtu = 1500,
    .state = SL_SOCKET_ESTABLISHED,
};

static struct attempt check(const struct sl_socket *a, const struct sl_socket *b)
{
	struct attempt attempt = attempt_from_sockets((struct sl_socket[2]){*a, *b});
	struct attempt other = attempt_from_sockets((struct sl_socket[2]){*b, *a});

	assert_attempt(other, attempt.reason, attempt.is_final);
	return attempt;
}

static void assert_fits(const struct sl_socket *a, const struct sl_socket *b,
			enum sluice_reason reason)
{
	assert_attempt(check(a, b), reason, true);
}

static void sockets__are_waited_for(void **state)
{
	struct sl_socket busy[] = {plain, plain, plain, plain};

	busy[0].unread = 1;
	busy[1].unacked = 1;
	busy[2].state = SL_SOCKET_ESTABLISHED + 1; /* on its way out */
	busy[3].state = 0;                         /* gone */
	for (size_t i = 0; i < ARRAY_SIZE(busy); i++)
		assert_attempt(check(&plain, &busy[i]), SLUICE_REASON_BUSY, false);
	assert_fits(&plain, &plain, SLUICE_REASON_NONE);
}

/* RFC 7323 s5: a leg without timestamps has no protection against wrapped sequences. */
static void sockets__agree_on_timestamps_and_need_not_on_the_rest(void **state)
{
	struct sl_socket other = plain;

	other.options = SL_O_SACK | SL_O_WSCALE | SL_O_ECN;
	assert_fits(&plain, &other, SLUICE_REASON_NONE);
	other.options = SL_O_TIMESTAMPS;
	assert_fits(&plain, &other, SLUICE_REASON_OPTIONS);
	assert_fits(&other, &other, SLUICE_REASON_NONE);
}

/* RFC 1191, RFC 8201: whoever sends more than the other leg carries is told so by the hook. */
static void sockets__may_carry_more_than_the_other(void **state)
{
	struct sl_socket other = plain;

	other.path_mtu = 1400;
	assert_fits(&plain, &other, SLUICE_REASON_NONE);
	other.path_mtu = 9000;
	other.recv_mss = 8960;
	assert_fits(&plain, &other, SLUICE_REASON_NONE);
}

/* The hook holds only larger packets against the MTU. */
static void sockets__carry_what_ipv6_may_rely_upon(void **state)
{
	struct sl_socket small = plain;

	small.recv_mss = 500;
	small.path_mtu = SL_MTU_MIN - 1;
	assert_fits(&small, &small, SLUICE_REASON_MTU);
	small.path_mtu = SL_MTU_MIN;
	assert_fits(&small, &small, SLUICE_REASON_NONE);
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
	    cmocka_unit_test(sockets__are_waited_for),
	    cmocka_unit_test(sockets__agree_on_timestamps_and_need_not_on_the_rest),
	    cmocka_unit_test(sockets__may_carry_more_than_the_other),
	    cmocka_unit_test(sockets__carry_what_ipv6_may_rely_upon),
	    cmocka_unit_test(pace__doubles_from_round_to_round),
	    cmocka_unit_test(pace__doubles_without_messages_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
