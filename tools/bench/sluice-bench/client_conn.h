/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the load generator: connect, upgrade, frames both ways, close. What is sent
 * and when, and what must come back, is client_load.h's.
 */
#pragma once
#include "base/byte_queue.h"
#include "base/list.h"
#include "client_worker.h"
#include "deadline.h"
#include "message_writer.h"
#include "proto/ws_handshake.h"
#include "proto/ws_message.h"

/*
 *   WAITING --> CONNECTING --> UPGRADING --> OPEN --> CLOSING
 *      ^            |              |           |         |
 *      |            v              v           v         v
 *      +--------------------------- ENDED <--------------+
 *    churn
 */
enum client_conn_state {
	CLIENT_CONN_WAITING,
	CLIENT_CONN_CONNECTING,
	CLIENT_CONN_UPGRADING,
	CLIENT_CONN_OPEN,
	CLIENT_CONN_CLOSING, /* our Close (or FIN) is due or sent; the peer's is awaited */
	CLIENT_CONN_ENDED,
};

/* The message that is being received. */
struct client_answer {
	struct payload_stream stream; /* what it must be; used with --verify */
	uint64_t left;                /* bytes that must still come */
};

#define CLIENT_HEAD_MAX 16384 /* bytes of a response head */

struct client_conn {
	struct client_worker *worker;
	struct list node; /* in worker->waiting or worker->ended */
	struct deadline deadline;
	int fd;
	uint32_t ordinal; /* in the run */
	uint32_t interest;
	enum client_conn_state state;

	/* Times, 0 = none. */
	uint64_t reopen_ns;    /* WAITING: not before */
	uint64_t opening_ns;   /* connect began */
	uint64_t state_due_ns; /* this state must have been left */
	uint64_t answer_due_ns;
	uint64_t ping_due_ns;  /* the next ping is to be sent */
	uint64_t pong_due_ns;  /* its pong must have come */
	uint64_t stall_end_ns; /* not reading until then */

	/* Messages, counted over all lives of this slot, so that no identity comes twice. */
	uint64_t started, answered;
	uint64_t started_before; /* started, when this life began */
	uint64_t due;            /* open loop: that should have been started by now */
	uint64_t current_ns;     /* when the message being sent was due */
	uint64_t *sent_ns;       /* ring, borrowed from the worker */
	struct client_answer answer;
	uint64_t n_pings;
	uint32_t n_barren; /* lives in a row that ended by an error and without an answer */

	struct message_writer writer;
	struct ws_receiver receiver;
	struct byte_queue out;  /* generated, not taken by the socket yet */
	struct byte_queue head; /* response head so far; paused: what came behind it */
	struct http1_scan scan;
	char key[WS_KEY_LEN + 1];
	uint8_t carry[WS_FRAME_HEADER_MAX]; /* incomplete frame header */
	uint8_t n_carry;
	uint8_t n_pong;
	uint8_t pong[WS_CONTROL_MAX];
	uint16_t reply_code; /* of the Close to be sent, if it answers the peer's */
	int write_error;     /* errno of the write that failed; reading goes on */

	bool is_first_life; /* not yet counted as settled */
	bool is_finishing;  /* no new messages; to be closed when the rest is answered */
	bool is_retrying;   /* unix socket with a full backlog: connect again */
	bool is_failed;
	bool is_paused; /* receive mode: what came before the load begins is left where it is */
	bool owes_pong, owes_ping, owes_close; /* to be written at the next frame boundary */
	bool close_sent, close_received, fin_sent;
};

void client_conn_init(struct client_conn *c, struct client_worker *w, uint32_t ordinal,
		      uint64_t *sent_ns);
/** client_conn_done() - close and free what it owns */
void client_conn_done(struct client_conn *c);
/** client_conn_open() - begin; from WAITING */
void client_conn_open(struct client_conn *c);
/** client_conn_reset() - from ENDED back to WAITING, nothing owned */
void client_conn_reset(struct client_conn *c);
/** client_conn_event() - epoll's @events came */
void client_conn_event(struct client_conn *c, uint32_t events);
/** client_conn_expire() - its deadline popped, perhaps early */
void client_conn_expire(struct client_conn *c);
/** client_conn_advance() - write what may be written, close what is finished, set the deadline */
void client_conn_advance(struct client_conn *c);
/** client_conn_finish() - start nothing new, and close when the rest is answered */
void client_conn_finish(struct client_conn *c);
/** client_conn_begin_closing() - from OPEN to CLOSING, with its deadline */
void client_conn_begin_closing(struct client_conn *c);
/** client_conn_resume() - receive mode: the load begins, read now */
void client_conn_resume(struct client_conn *c);
/** client_conn_stall() - stop reading for --stall */
void client_conn_stall(struct client_conn *c);
/** client_conn_abandon() - end now, without counting an error */
void client_conn_abandon(struct client_conn *c);
/** client_conn_fail() - count an error and end */
void client_conn_fail(struct client_conn *c, enum bench_error error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* For client_open.c and client_frames.c. */
void client_conn_set_state(struct client_conn *c, enum client_conn_state next);
/** client_conn_want_events() - be told of these by epoll from now on; not 0 */
void client_conn_want_events(struct client_conn *c, uint32_t interest);
/** client_conn_send() - hand bytes to the socket, queue the rest. Return: 0 or -errno */
int client_conn_send(struct client_conn *c, const uint8_t *data, size_t len);

/* Messages begun and not answered. */
static inline uint64_t client_conn_unanswered(const struct client_conn *c)
{
	return c->started - c->answered;
}
