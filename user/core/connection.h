/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's connection from accept to the end of its access-log line. It belongs to one worker
 * and is touched by that worker's thread only. What happens on an event is decided by its ops,
 * which change with its stage:
 *
 *   handshake.c (core)   reads the request head
 *   proxy.c     (route)  chooses an endpoint, connects, upgrades
 *   relay.c     (core)   moves bytes between the two legs
 *   echo.c      (route)  is the endpoint itself
 *   linger.c    (core)   delivers the last bytes and waits for the peer to go
 */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/std.h"
#include "base/timer.h"
#include "core/config.h"
#include "core/leg.h"
#include "proto/errors.h"
#include "sluice/path.h"

#include <ev.h>
#include <netinet/in.h>

struct class_stats;
struct connection;
struct connection_meter;
struct generation;
struct keepalive;
struct promotion;
struct text_writer;
struct worker;

enum connection_state {
	CONNECTION_ACCEPTED,   /* no byte yet */
	CONNECTION_HANDSHAKE,  /* part of a request head */
	CONNECTION_CONNECTING, /* to an endpoint */
	CONNECTION_UPGRADING,  /* request sent, no complete answer yet */
	CONNECTION_OPEN,       /* WebSocket frames */
	CONNECTION_CLOSING,    /* last bytes, Close frames, FIN */
	CONNECTION_CLOSED,     /* sockets closed; freed at the end of the loop turn */
	CONNECTION_STATES,
};

struct connection_ops {
	void (*on_readable)(struct connection *c, struct leg *leg);
	/* The socket took bytes or has become writable; leg_flush() is the op's to call. */
	void (*on_writable)(struct connection *c, struct leg *leg);
	void (*on_deadline)(struct connection *c);
	/* End politely, as the stage allows, for a reason that is not the peers': @error is
	 * EGW_…, @code a close code for stages that can send one, @text its reason. */
	void (*close)(struct connection *c, int error, uint16_t code, struct slice text);
};

/* The list of a worker's connections also holds cursors, by which a listing resumes. */
struct connection_link {
	struct list node;
	bool is_cursor;
};

struct connection {
	struct connection_link link; /* worker's connections; once CLOSED its graveyard */
	struct hash_node by_id;
	uint64_t id;
	struct worker *worker;
	const struct connection_ops *ops;
	void *stage;                            /* the ops' own, freed by free_stage */
	void (*free_stage)(void *stage);        /* NULL if there is nothing to free */
	void (*on_end)(struct connection *c);   /* the route layer's accounting; may be NULL */
	void *route_state;                      /* the route layer's, for on_end */
	void *endpoint_state;                   /* likewise */
	struct generation *generation;          /* one reference */
	struct config *config;                  /* the generation's */
	const struct config_listener *listener; /* lives as long as the listener */
	const struct config_route *route;       /* NULL until one matched; these live in config */
	const struct config_class *class;       /* NULL until a route matched */
	struct class_stats *class_stats;        /* likewise; the generation has a reference */
	const struct config_cluster *cluster;   /* NULL unless proxied */
	const struct config_endpoint *endpoint; /* likewise, until one is chosen */
	struct leg client, endpoint_leg;
	struct keepalive *keepalive;    /* Pings of ours; NULL = none */
	struct promotion *promotion;    /* into the kernel; NULL = none is possible */
	struct connection_meter *meter; /* owned; NULL = nobody has asked for rates */
	struct timer timer;             /* the stage's deadline */
	ev_timer duration;              /* route's max_connection_duration, whatever the stage */
	uint64_t accepted_ns;           /* CLOCK_MONOTONIC */
	uint64_t opened_ns;             /* 0 = never */
	ev_tstamp active_at;            /* ev_now() of the last byte in either direction */
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} source;
	uint64_t frames_in, frames_out; /* of all kinds; kept by the stage while open */
	bool has_missed_frames;         /* there were more: the kernel has not seen them all */
	uint16_t promotions;
	uint16_t http_status;  /* answered; 0 = none */
	uint16_t close_code;   /* of the first Close frame, whoever sent it; 0 = none */
	int error;             /* why it ended: EGW_…, EEND_…, …, or 0 while it lives */
	uint8_t state;         /* enum connection_state */
	uint8_t path;          /* enum sluice_path */
	uint8_t reason;        /* enum sluice_reason: why not the next cheaper path */
	uint8_t splice_reason; /* enum sluice_reason: why there is no promotion */
	bool is_adopted;       /* made by an earlier process */
	bool is_socketless;    /* the kernel has all of it: it is not in shared->n_connections */
	bool is_over_limit;    /* accepted only to be told 503 */
	bool is_head_request;  /* answers carry no body (RFC 9110 s9.3.2) */
};

/**
 * connection_new() - take a just accepted socket over, ready for its request
 * @fd: non-blocking; owned by the connection from success on
 * @source: peer address as accept(2) gave it
 *
 * Return: 0 or -ENOMEM.
 */
int connection_new(struct worker *worker, const struct config_listener *listener, int fd,
		   const struct sockaddr *source, struct connection **ret_connection);
/**
 * connection_adopt() - one that another process has made, and that the kernel serves: OPEN, without
 * sockets
 * @id: its own
 *
 * The caller tells it what is known of it, and how it is served. Return: 0; -ENOMEM; -EEXIST if
 * there is one of this id.
 */
int connection_adopt(struct worker *worker, struct generation *generation, uint64_t id,
		     const struct sockaddr *source, struct connection **ret_connection);
/** connection_leave() - of one that the kernel serves: forget it without an end, so that another
 *  process can adopt it; it is freed as by connection_end() */
void connection_leave(struct connection *c);
/** connection_free() - by the worker, at the end of the loop turn in which it was closed */
void connection_free(struct connection *c);

/** connection_set_generation() - let go of the one before; the caller sees to what lives in it */
void connection_set_generation(struct connection *c, struct generation *generation);
/** connection_set_state() - the only writer of state; aborts on a transition not in its table */
void connection_set_state(struct connection *c, enum connection_state state);
/**
 * connection_set_class() - decided by its route; later the class of this name in another
 * configuration: what has changed counts at once for the sockets of an open one
 */
void connection_set_class(struct connection *c, const struct config_class *class,
			  struct class_stats *stats);
/** connection_mark() - hold an open one's sockets to its class; by whoever has made new ones */
void connection_mark(struct connection *c);
/** connection_set_stage() - replace the ops and their data (old data is freed) */
void connection_set_stage(struct connection *c, const struct connection_ops *ops, void *stage,
			  void (*free_stage)(void *stage));
/** connection_open() - the 101 has been sent: frames follow on @path */
void connection_open(struct connection *c, enum sluice_path path, enum sluice_reason reason);
/** connection_set_path() - of an open one, when it or its reason changes */
void connection_set_path(struct connection *c, enum sluice_path path, enum sluice_reason reason);
/** connection_limit_duration() - hold an open one to its route's max_connection_duration, counted
 *  since it was opened; when that, or the route, has changed. One that is over ends from the loop
 */
void connection_limit_duration(struct connection *c);

/**
 * connection_end() - close both sockets and account for the connection; it is freed at the end
 * of the loop turn, so the caller may still look at its state
 * @error: why, if no earlier cause was recorded
 */
void connection_end(struct connection *c, int error);
/** connection_set_error() - record why it is going to end; the first cause stays */
void connection_set_error(struct connection *c, int error);

/** connection_limit_closing() - of an open one, both of whose peers' Close frames have passed: RFC
 *  6455 s7.1.1 gives the TCP connections little time more, close_timeout in c->timer */
void connection_limit_closing(struct connection *c);

/** connection_refuse() - answer the request with @error's HTTP response, then linger and end */
void connection_refuse(struct connection *c, int error);
/** connection_refuse_for() - likewise with 503 and Retry-After: @retry_after_s, at least 1 */
void connection_refuse_for(struct connection *c, int error, uint64_t retry_after_s);
/** connection_respond() - send a complete HTTP response and linger; @error says how to count it */
void connection_respond(struct connection *c, uint16_t status, struct slice response, int error);
/** connection_linger() - no more stage logic: deliver what is queued for the client, send FIN, and
 * wait for its FIN, so that our last bytes are not destroyed by an RST (RFC 9112 s9.6) */
void connection_linger(struct connection *c);

static inline bool connection_is_closed(const struct connection *c)
{
	return c->state == CONNECTION_CLOSED;
}

static inline struct leg *connection_other_leg(struct connection *c, const struct leg *leg)
{
	return leg == &c->client ? &c->endpoint_leg : &c->client;
}

/* Events, from leg.c. */
void connection_on_readable(struct connection *c, struct leg *leg);
void connection_on_writable(struct connection *c, struct leg *leg);

const char *connection_state_name(enum connection_state state);

/** connection_format_source() - "1.2.3.4:5", "[::1]:5" or "unix:"; at least 64 bytes */
void connection_format_source(const struct connection *c, char *ret_text, size_t size);
