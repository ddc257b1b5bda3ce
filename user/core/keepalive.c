/* SPDX-License-Identifier: Apache-2.0 */
#include "core/keepalive.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/timer.h"
#include "core/connection.h"
#include "core/connection_info.h"
#include "core/demotion.h"
#include "core/spliced.h"
#include "core/worker.h"
#include "proto/ws_frame.h"

/* With a masked frame's header no longer than the longest header of any frame: what of a Pong has
 * come waits where an incomplete header does. */
#define PAYLOAD  8u
#define PONG_MAX (2 + 4 + PAYLOAD)
_Static_assert(PONG_MAX <= WS_FRAME_HEADER_MAX, "it fits in leg.held");

struct keepalive {
	struct connection *c;
	struct timer timer;
	uint64_t n_bytes;         /* received from both, as last looked at */
	uint64_t seen_ns;         /* when there were no more than that */
	uint8_t payload[PAYLOAD]; /* of the latest Ping */
};

static uint64_t interval_ms(const struct keepalive *k)
{
	return k->c->route->keepalive_ping_ms;
}

/* ---- Pings --------------------------------------------------------------------------------- */

static bool can_be_asked(struct connection *c, const struct leg *to)
{
	const struct leg *from = connection_other_leg(c, to);

	/* Where frames cannot be told apart, neither can the answer be. */
	return leg_at_boundary(from) && !from->is_unwalked && !to->is_unwalked && !to->is_fin_due &&
	       !to->is_write_dead && !to->saw_eof && !to->walker.is_closed &&
	       !from->walker.is_closed;
}

static void ping(struct keepalive *k, struct leg *to)
{
	uint8_t frame[WS_FRAME_HEADER_MAX + PAYLOAD];
	struct ws_frame_header header = {
	    .fin = true,
	    .opcode = WS_OP_PING,
	    .masked = to == &k->c->endpoint_leg, /* RFC 6455 s5.1: there, we are the client */
	    .payload_len = PAYLOAD,
	};
	size_t len;

	if (!can_be_asked(k->c, to))
		return;
	if (header.masked)
		random_secure(header.mask, sizeof(header.mask));
	len = ws_frame_header_encode(&header, frame);
	for (size_t i = 0; i < PAYLOAD; i++)
		frame[len + i] = k->payload[i] ^ (header.masked ? header.mask[i % 4] : 0);
	len += PAYLOAD;
	to->is_pong_due = true;
	to->bytes_out += len;
	(void)leg_send(to, frame, len); /* a failure shows in reading */
}

static bool is_answered(const struct connection *c)
{
	return !c->client.is_pong_due && !c->endpoint_leg.is_pong_due;
}

static void ask(struct keepalive *k)
{
	random_secure(k->payload, sizeof(k->payload));
	ping(k, &k->c->client);
	ping(k, &k->c->endpoint_leg);
	timer_arm(&k->timer, interval_ms(k));
}

/* ---- when ---------------------------------------------------------------------------------- */

/* Packets alone are not enough: what is sent again and again to a spliced peer that is gone is one,
 * too. */
static uint64_t read_idle_ms(struct keepalive *k)
{
	uint64_t n_bytes, now_ns = clock_monotonic_ns();
	struct connection_traffic traffic;

	connection_read_traffic(k->c, &traffic);
	n_bytes = traffic.bytes_in + traffic.bytes_out;
	if (n_bytes != k->n_bytes) {
		k->n_bytes = n_bytes;
		k->seen_ns = now_ns - MIN(traffic.idle_ms * NS_PER_MS, now_ns);
	}
	return MAX(traffic.idle_ms, (now_ns - k->seen_ns) / NS_PER_MS);
}

/* Idle for long enough, or later. */
static void look(struct keepalive *k)
{
	struct connection *c = k->c;
	uint64_t idle_ms = read_idle_ms(k);

	if (c->state != CONNECTION_OPEN)
		return;
	if (idle_ms < interval_ms(k))
		timer_arm(&k->timer, interval_ms(k) - idle_ms);
	else if (spliced_is(c))
		demotion_begin(c, DEMOTION_PING, c->config->limits.close_timeout_ms);
	else
		ask(k);
}

static void timer_cb(struct timer *timer)
{
	struct keepalive *k = container_of(timer, struct keepalive, timer);
	const struct proto_error_info *info = proto_error_info(EGW_KEEPALIVE);

	if (is_answered(k->c))
		look(k);
	else
		k->c->ops->close(k->c, EGW_KEEPALIVE, info->close_code, slice_from_str(info->name));
}

void keepalive_on_demotion(struct connection *c)
{
	if (!c->keepalive)
		return;
	if (spliced_is(c))
		timer_arm(&c->keepalive->timer, interval_ms(c->keepalive));
	else
		look(c->keepalive);
}

/* ---- Pongs --------------------------------------------------------------------------------- */

ssize_t keepalive_take_pong(struct leg *from, const uint8_t *data, size_t len)
{
	struct keepalive *k = from->connection->keepalive;
	bool is_masked = from->walker.is_masked_expected;
	size_t header_len = is_masked ? 6 : 2;

	if (data[0] != (0x80 | WS_OP_PONG))
		return 0;
	if (len < 2)
		return -EAGAIN;
	if (data[1] != ((is_masked ? 0x80u : 0) | PAYLOAD))
		return 0;
	if (len < header_len + PAYLOAD)
		return -EAGAIN;
	for (size_t i = 0; i < PAYLOAD; i++) {
		uint8_t mask = is_masked ? data[2 + i % 4] : 0;

		if ((data[header_len + i] ^ mask) != k->payload[i])
			return 0;
	}
	from->is_pong_due = false;
	if (is_answered(k->c))
		timer_arm(&k->timer, interval_ms(k));
	return (ssize_t)(header_len + PAYLOAD);
}

/* ---- life ---------------------------------------------------------------------------------- */

void keepalive_end(struct connection *c)
{
	if (!c->keepalive)
		return;
	timer_disarm(&c->keepalive->timer);
	free(TAKE_PTR(c->keepalive));
	c->client.is_pong_due = c->endpoint_leg.is_pong_due = false;
}

void keepalive_begin(struct connection *c)
{
	struct keepalive *k = c->keepalive;

	if (c->route->keepalive_ping_ms == 0 || c->route->action != CONFIG_ACTION_PROXY) {
		keepalive_end(c);
		return;
	}
	if (!k) {
		k = calloc(1, sizeof(*k));
		if (!k) /* without Pings, then */
			return;
		k->c = c;
		k->seen_ns = clock_monotonic_ns();
		timer_init(&k->timer, c->worker->loop, timer_cb);
		c->keepalive = k;
	}
	if (is_answered(c))
		timer_arm(&k->timer, interval_ms(k));
}
