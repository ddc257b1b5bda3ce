/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the server: upgrade, frames, close. */
#pragma once
#include "base/byte_queue.h"
#include "proto/ws_message.h"
#include "server_worker.h"

/*
 *   UPGRADING --> OPEN --> FLUSHING --> LINGERING
 *       |          |          |             |
 *       |          +--------> | <-----------|---- a refusal goes from UPGRADING to FLUSHING
 *       +---------------> ENDED <-----------+
 */
enum server_conn_state {
	SERVER_CONN_UPGRADING,
	SERVER_CONN_OPEN,
	SERVER_CONN_FLUSHING,  /* the last bytes (Close, refusal, echoes after FIN) are on their way
				*/
	SERVER_CONN_LINGERING, /* we sent FIN; the peer's is awaited, so that no RST overtakes data
				*/
	SERVER_CONN_ENDED,
};

struct server_conn {
	struct server_source source; /* first */
	struct server_worker *worker;
	struct list node; /* in worker->conns or worker->ended */
	struct deadline deadline;
	uint64_t due_ns; /* this state must have been left; 0 = no limit */
	enum server_conn_state state;
	uint32_t interest;
	bool is_blocked; /* the socket took less than it was given; EPOLLOUT will come */
	bool has_eof;
	bool has_more; /* source: stopped for fairness, not for want of room */
	struct http1_scan scan;
	struct ws_receiver receiver;
	uint64_t stream_left;  /* of a frame over SERVER_HOLD_BYTES: bytes still to come */
	struct byte_queue in;  /* incomplete head or frame */
	struct byte_queue out; /* not taken by the socket yet */
	/* Of a source, which may be in the middle of a frame when something else is to be said: */
	struct message_writer writer;
	uint64_t n_sent; /* messages */
	uint16_t close_code;
	bool owes_pong, owes_close; /* at the next frame boundary */
	uint8_t n_pong;
	uint8_t pong[WS_CONTROL_MAX];
};

/** server_conn_new() - takes @fd in any case. Return: 0, -ENOMEM or epoll's error */
int server_conn_new(struct server_worker *w, int fd);
void server_conn_free(struct server_conn *c);
void server_conn_event(struct server_conn *c, uint32_t events);
/** server_conn_expire() - its deadline popped, perhaps early */
void server_conn_expire(struct server_conn *c);
/** server_conn_say_goodbye() - the server stops: a Close with 1001, if it fits at once */
void server_conn_say_goodbye(struct server_conn *c);

/* For server_frames.c. */
/** server_conn_write_runs() - send the worker's runs, or queue what the socket does not take */
void server_conn_write_runs(struct server_conn *c);
/** server_conn_begin_flush() - nothing more is read or generated; then FIN */
void server_conn_begin_flush(struct server_conn *c);
