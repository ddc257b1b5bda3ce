/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the two TCP (or unix) connections that a proxied connection consists of: its socket, its
 * watchers, what is still to be written to it, and the walker over what it sends. Bytes read are
 * never stored here: they go to the other leg's socket at once, and what that does not take waits
 * in the other leg's queue while reading here is off. That queue is the only buffer.
 */
#pragma once
#include "base/byte_queue.h"
#include "base/std.h"
#include "proto/ws_frame.h"
#include "proto/ws_walker.h"

#include <ev.h>

struct connection;
struct leg_limit;
struct worker;

/* Most bytes that one read takes, hence also what may wait for a leg that does not drain. */
#define LEG_READ_MAX 65536u
/* Room in front of a read for an incomplete frame header kept from the read before. */
#define LEG_HEADROOM 16u
/* A leg's queue: one read, an injected Close frame, and a head during the handshake. */
#define LEG_OUT_MAX (2 * LEG_READ_MAX + LEG_HEADROOM + WS_CLOSE_FRAME_MAX)

struct leg {
	struct connection *connection; /* the owner */
	int fd;                        /* owned; -1 = not open */
	ev_io on_readable, on_writable;
	struct byte_queue out;
	struct ws_walker walker; /* over what arrives here; valid once the connection is open */
	uint8_t held[WS_FRAME_HEADER_MAX]; /* an incomplete header, received but not passed on */
	uint8_t held_len;
	uint8_t
	    held_passed; /* of held: what the kernel had passed on before the relay got it back */
	bool saw_eof;    /* nothing more will arrive */
	bool is_fin_due; /* FIN as soon as out is empty */
	bool is_fin_sent;
	bool is_write_dead; /* sending failed: what is meant for this leg is dropped */
	bool is_close_sent; /* a Close frame, ours or the other side's, has gone to this leg */
	bool is_discarding; /* what arrives is no longer looked at */
	bool is_pong_due;   /* the peer owes the answer to a Ping of ours (core/keepalive.h) */
	bool is_unwalked;   /* nobody knows where in a frame it is: passed on without a look */
	bool is_wanted;     /* what arrives should be read */
	bool is_paused;     /* but not now: it is over a limit */
	uint64_t bytes_in,
	    bytes_out;           /* of the WebSocket stream: received here, accepted for here */
	struct leg_limit *limit; /* leg_class.h; owned; NULL = none */
};

void leg_init(struct leg *leg, struct connection *connection);
/** leg_open() - take @fd (non-blocking) over; no watcher is started */
void leg_open(struct leg *leg, int fd);
/** leg_close() - stop the watchers, close the socket, drop the queue and the limit; harmless if not
 *  open */
void leg_close(struct leg *leg);
/** leg_reset() - as leg_close(), but the peer sees an RST, unless that would cost it bytes that
 *  were accepted for it and are not yet acknowledged */
void leg_reset(struct leg *leg);

static inline bool leg_is_open(const struct leg *leg)
{
	return leg->fd >= 0;
}

/** leg_rtt_us() - as the kernel has smoothed it; 0 = not known: not open, not TCP, not connected */
uint32_t leg_rtt_us(const struct leg *leg);

void leg_start_reading(struct leg *leg);
void leg_stop_reading(struct leg *leg);
/** leg_pause() - do not read, whatever was or will be started, until leg_resume() */
void leg_pause(struct leg *leg);
void leg_resume(struct leg *leg);

/**
 * leg_recv() - one read of at most @cap bytes
 *
 * Return: bytes (> 0); 0 at the end of the stream, which also sets saw_eof and stops reading;
 * -EAGAIN; or another -errno of recv(2): the connection is broken.
 */
ssize_t leg_recv(struct leg *leg, void *buf, size_t cap);

/**
 * leg_send() - write, and queue what the socket does not take
 *
 * Keeps order with what is queued already. On any error the leg is write-dead from then on, and
 * its queue is dropped; what was received on it can still be read.
 *
 * Return: 0 (also when write-dead before: the bytes are dropped), -ENOBUFS or -ENOMEM if the
 * queue cannot take the rest, or the -errno of send(2); reported once.
 */
int leg_send(struct leg *leg, const void *data, size_t len);

/** leg_finish() - send FIN once everything queued has gone */
void leg_finish(struct leg *leg);

/** leg_flush() - write from the queue; send a due FIN when it is empty. Return: as leg_send() */
int leg_flush(struct leg *leg);

/* Whether what has been passed on of it ends between two frames, as far as anybody can tell. */
static inline bool leg_at_boundary(const struct leg *leg)
{
	return leg->is_unwalked || (ws_walker_at_boundary(&leg->walker) && leg->held_passed == 0);
}

static inline bool leg_has_output(const struct leg *leg)
{
	return byte_queue_len(&leg->out) > 0;
}
