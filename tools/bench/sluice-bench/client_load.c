/* SPDX-License-Identifier: Apache-2.0 */
#include "client_load.h"

#include "schedule.h"

#include <inttypes.h>

/* Messages of an open loop handed out in one turn of the event loop. */
#define SCHEDULE_BATCH 1024

/* ---- what a message is ---------------------------------------------------------------------- */

static uint64_t message_bytes(const struct client_conn *c, uint64_t identity)
{
	return size_mix_pick(&c->worker->options->sizes, identity);
}

static uint64_t message_identity(const struct client_conn *c, uint64_t sequence)
{
	return payload_identity(c->worker->options->seed, c->ordinal, sequence);
}

/* In the open loop, connection i of N sends the messages i, N + i, 2N + i, … of the schedule. */
static uint64_t scheduled_ns(const struct client_worker *w, uint32_t ordinal, uint64_t sequence)
{
	const struct client_options *o = w->options;

	return schedule_time_ns(w->load_ns, sequence * o->connections + ordinal, o->rate_per_s);
}

static uint64_t *sent_slot(const struct client_conn *c, uint64_t sequence)
{
	return &c->sent_ns[sequence % MAX(c->worker->options->depth, 1)];
}

static void renew_answer_deadline(struct client_conn *c)
{
	const struct client_worker *w = c->worker;

	c->answer_due_ns = 0;
	if (client_conn_unanswered(c) > 0 || w->options->mode == CLIENT_RECEIVE)
		c->answer_due_ns = MAX(w->now_ns, c->stall_end_ns) + w->options->timeout_ns;
}

static void count_message(struct client_worker *w, uint64_t due_ns, uint64_t bytes)
{
	w->stats.messages_total++;
	if (!client_worker_measures(w, due_ns))
		return;
	counter_add(&w->stats.messages, 1);
	counter_add(&w->stats.bytes, bytes);
	w->last_ns = w->now_ns;
	if (client_mode_is_echo(w->options->mode))
		histogram_record(&w->stats.latency, w->now_ns - due_ns);
}

/* ---- sending -------------------------------------------------------------------------------- */

static bool may_begin(const struct client_conn *c)
{
	const struct client_worker *w = c->worker;

	if (w->phase != CLIENT_PHASE_LOAD || c->state != CLIENT_CONN_OPEN || c->is_finishing)
		return false;
	switch (w->options->mode) {
	case CLIENT_PINGPONG:
		return client_conn_unanswered(c) == 0;
	case CLIENT_PIPELINE:
		return client_conn_unanswered(c) < w->options->depth;
	case CLIENT_RATE:
		return c->started < c->due;
	case CLIENT_SEND:
		return true;
	case CLIENT_RECEIVE:
	case CLIENT_IDLE:
	case CLIENT_HANDSHAKE:
		break;
	}
	return false;
}

bool client_load_begin(struct client_conn *c)
{
	struct client_worker *w = c->worker;
	const struct client_options *o = w->options;
	struct message_plan plan = {
	    .fragments = o->fragments,
	    .pool = w->run->pool,
	    .is_text = o->is_text,
	};

	if (!may_begin(c))
		return false;
	c->current_ns =
	    o->mode == CLIENT_RATE ? scheduled_ns(w, c->ordinal, c->started) : w->now_ns;
	if (client_worker_measures(w, c->current_ns)) {
		if (w->quota == 0)
			return false;
		w->quota--;
	}
	plan.identity = message_identity(c, c->started);
	plan.bytes = message_bytes(c, plan.identity);
	message_writer_begin(&c->writer, &plan);
	if (o->mode != CLIENT_RATE)
		*sent_slot(c, c->started) = c->current_ns;
	c->started++;
	if (client_mode_is_echo(o->mode) && client_conn_unanswered(c) == 1)
		renew_answer_deadline(c);
	if (o->messages_per_conn && c->started - c->started_before == o->messages_per_conn)
		c->is_finishing = true;
	return true;
}

void client_load_written(struct client_conn *c)
{
	if (c->worker->options->mode != CLIENT_SEND)
		return;
	count_message(c->worker, c->current_ns, message_bytes(c, message_identity(c, c->answered)));
	c->answered++;
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Every source server sends the messages of connection 0, anew on each connection. */
static uint64_t answer_identity(const struct client_conn *c)
{
	const struct client_options *o = c->worker->options;

	if (o->mode == CLIENT_RECEIVE)
		return payload_identity(o->seed, 0, c->answered - c->started_before);
	return message_identity(c, c->answered);
}

/* Whether the size of what comes is known. */
static bool knows_size(const struct client_options *o)
{
	return o->mode != CLIENT_RECEIVE || o->verify;
}

static int begin_answer(struct client_conn *c, const struct ws_event *event)
{
	const struct client_options *o = c->worker->options;
	uint8_t opcode = o->is_text ? WS_OP_TEXT : WS_OP_BINARY;
	uint64_t identity = answer_identity(c);

	if (o->mode != CLIENT_RECEIVE && client_conn_unanswered(c) == 0) {
		client_conn_fail(c, BENCH_ERROR_MISMATCH,
				 "a message came that nothing was sent for, after %" PRIu64
				 " answers",
				 c->answered);
		return -EBADMSG;
	}
	if (knows_size(o) && event->opcode != opcode) {
		client_conn_fail(c, BENCH_ERROR_MISMATCH,
				 "message %" PRIu64 ": opcode %u instead of %u", c->answered,
				 event->opcode, opcode);
		return -EBADMSG;
	}
	c->answer.left = knows_size(o) ? message_bytes(c, identity) : UINT64_MAX;
	if (o->verify)
		payload_stream_init(&c->answer.stream, identity, c->answer.left, o->is_text);
	return 0;
}

static int check_bytes(struct client_conn *c, const struct ws_event *event)
{
	uint64_t left = c->answer.left;
	struct payload_difference d;

	if (event->len > c->answer.left) {
		client_conn_fail(c, BENCH_ERROR_MISMATCH,
				 "message %" PRIu64 ": longer than what was sent", c->answered);
		return -EBADMSG;
	}
	c->answer.left = left - event->len;
	if (c->worker->options->verify &&
	    payload_stream_compare(&c->answer.stream, event->data, event->len, &d) < 0) {
		uint64_t at = message_bytes(c, answer_identity(c)) - left + d.offset;

		client_conn_fail(c, BENCH_ERROR_MISMATCH,
				 "message %" PRIu64 ", byte %" PRIu64 ": 0x%02x instead of 0x%02x",
				 c->answered, at, d.actual, d.expected);
		return -EBADMSG;
	}
	if (event->is_last && knows_size(c->worker->options) && c->answer.left > 0) {
		client_conn_fail(c, BENCH_ERROR_MISMATCH,
				 "message %" PRIu64 ": %" PRIu64
				 " bytes shorter than what was sent",
				 c->answered, c->answer.left);
		return -EBADMSG;
	}
	return 0;
}

static void complete_received(struct client_conn *c)
{
	struct client_worker *w = c->worker;
	uint64_t bytes = UINT64_MAX - c->answer.left;

	if (knows_size(w->options))
		bytes = message_bytes(c, answer_identity(c));
	c->started++;
	c->answered++;
	if (w->phase != CLIENT_PHASE_LOAD || w->now_ns >= w->end_ns || w->quota == 0)
		return;
	if (client_worker_measures(w, w->now_ns))
		w->quota--;
	count_message(w, w->now_ns, bytes);
}

static void complete_echo(struct client_conn *c)
{
	struct client_worker *w = c->worker;
	uint64_t due_ns = w->options->mode == CLIENT_RATE ? scheduled_ns(w, c->ordinal, c->answered)
							  : *sent_slot(c, c->answered);

	count_message(w, due_ns, message_bytes(c, message_identity(c, c->answered)));
	c->answered++;
}

void client_load_receive(struct client_conn *c, const struct ws_event *event)
{
	if (event->is_first && begin_answer(c, event) < 0)
		return;
	if (check_bytes(c, event) < 0 || !event->is_last)
		return;
	if (c->worker->options->mode == CLIENT_RECEIVE)
		complete_received(c);
	else
		complete_echo(c);
	renew_answer_deadline(c);
}

bool client_load_is_settled(const struct client_conn *c)
{
	return message_writer_is_complete(&c->writer) && byte_queue_len(&c->out) == 0 &&
	       client_conn_unanswered(c) == 0;
}

/* ---- the open loop -------------------------------------------------------------------------- */

uint64_t client_load_next_ns(const struct client_worker *w)
{
	uint64_t next;

	if (w->options->mode != CLIENT_RATE || w->phase != CLIENT_PHASE_LOAD)
		return UINT64_MAX;
	next = scheduled_ns(w, w->conns[w->rate_conn].ordinal, w->rate_round);
	return next < w->end_ns ? next : UINT64_MAX;
}

static void hand_out_message(struct client_worker *w)
{
	w->conns[w->rate_conn++].due++;
	if (w->rate_conn == w->n_conns) {
		w->rate_conn = 0;
		w->rate_round++;
	}
}

void client_load_run_schedule(struct client_worker *w)
{
	uint32_t first = w->rate_conn, n = 0;

	while (n < SCHEDULE_BATCH && client_load_next_ns(w) <= w->now_ns) {
		hand_out_message(w);
		n++;
	}
	/* Each of them once, so that messages which became due together share a write. */
	for (uint32_t i = 0; i < MIN(n, w->n_conns); i++)
		client_conn_advance(&w->conns[(first + i) % w->n_conns]);
}

/* Of the messages that are due, the first that counts. */
static uint64_t first_measured(const struct client_conn *c)
{
	uint64_t low = c->started, high = c->due;

	while (low < high) {
		uint64_t middle = low + (high - low) / 2;

		if (client_worker_measures(c->worker, scheduled_ns(c->worker, c->ordinal, middle)))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

void client_load_count_unsent(struct client_worker *w)
{
	const struct client_options *o = w->options;
	uint64_t due;

	if (o->mode != CLIENT_RATE || w->phase != CLIENT_PHASE_LOAD || w->quota == 0)
		return;
	/* Of all connections; some may not have been handed out. */
	due = schedule_due(w->load_ns, MIN(w->now_ns, w->end_ns - 1), o->rate_per_s);
	for (uint32_t i = 0; i < w->n_conns; i++) {
		struct client_conn *c = &w->conns[i];

		c->due = due > c->ordinal ? (due - c->ordinal - 1) / o->connections + 1 : 0;
		w->stats.unsent += c->due - first_measured(c);
	}
}
