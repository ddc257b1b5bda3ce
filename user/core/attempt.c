/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attempt.h"

#include "sluice/conn.h"

struct attempt attempt_refused(enum sluice_reason reason)
{
	return (struct attempt){reason, true};
}

struct attempt attempt_busy(void)
{
	return (struct attempt){SLUICE_REASON_BUSY, false};
}

struct attempt attempt_from_result(enum sl_ctl_result result)
{
	switch (result) {
	case SL_CTL_DONE:
		return (struct attempt){SLUICE_REASON_NONE, true};
	case SL_CTL_NO_FLOW: /* somebody has removed them */
	case SL_CTL_STATE:
		return attempt_refused(SLUICE_REASON_KERNEL);
	case SL_CTL_UNSEEN: /* it may be that the packets come in by another interface */
		return (struct attempt){SLUICE_REASON_ASYMMETRIC, false};
	case SL_CTL_DATA:
	case SL_CTL_LATE:
		break;
	}
	return attempt_busy();
}

static enum sluice_reason check_agreed(const struct sl_socket *a, const struct sl_socket *b)
{
	/* Stripping them from one leg takes its protection against wrapped sequences (RFC 7323
	 * s5) and its round-trip times away. */
	if ((a->options ^ b->options) & SL_O_TIMESTAMPS)
		return SLUICE_REASON_OPTIONS;
	/* The hook looks at larger packets only, and answers those that do not fit (RFC 1191, RFC
	 * 8201): so the legs may differ. */
	if (a->path_mtu < SL_MTU_MIN || b->path_mtu < SL_MTU_MIN)
		return SLUICE_REASON_MTU;
	return SLUICE_REASON_NONE;
}

/* Its end has come, or bytes have: the relay deals with both. */
static bool is_quiet(const struct sl_socket *socket)
{
	return socket->state == SL_SOCKET_ESTABLISHED && socket->unread == 0 &&
	       socket->unacked == 0;
}

struct attempt attempt_from_sockets(const struct sl_socket sockets[2])
{
	if (!is_quiet(&sockets[0]) || !is_quiet(&sockets[1]))
		return attempt_busy();
	return (struct attempt){check_agreed(&sockets[0], &sockets[1]), true};
}

#define MESSAGES 2

void attempt_pace_init(struct attempt_pace *pace)
{
	*pace = (struct attempt_pace){.delay_ms = 1};
}

static void slow_down(struct attempt_pace *pace)
{
	pace->delay_ms = MIN(2 * pace->delay_ms, (uint64_t)ATTEMPT_DELAY_MAX_MS);
}

void attempt_pace_by_time(struct attempt_pace *pace)
{
	/* No message has come since the last one: that was all of its round. */
	if (pace->n_messages)
		slow_down(pace);
	pace->n_messages = MESSAGES;
}

void attempt_pace_by_message(struct attempt_pace *pace)
{
	if (--pace->n_messages == 0)
		slow_down(pace);
}
