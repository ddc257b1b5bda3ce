/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread of a client run: an epoll loop over its share of the connections. Threads share
 * nothing but the run's few atomics.
 */
#pragma once
#include "base/list.h"
#include "base/random.h"
#include "base/std.h"
#include "bench_stats.h"
#include "client_options.h"
#include "deadline.h"
#include "message_writer.h"
#include "proto/http1_head.h"

#include <pthread.h>
#include <stdarg.h>

#define CLIENT_TX_BYTES   (128u << 10) /* generated at a time */
#define CLIENT_RX_BYTES   (256u << 10) /* read at a time */
#define CLIENT_RX_RESERVE 16           /* in front of them: an incomplete frame header */

struct client_conn;

/* Shared by the threads of a run. */
struct client_run {
	const struct client_options *options;
	const uint8_t *pool; /* payload of unverified runs; else NULL */
	int done_fd;         /* eventfd: a thread has ended */
	/* atomic */
	uint64_t start_ns;    /* when the load begins; 0 until all connections were tried */
	uint32_t n_ready;     /* threads whose connections were all tried */
	uint32_t n_described; /* errors described on stderr */
	uint32_t n_stops;     /* signals that came; from the second on, nothing is waited for */
	/* set up before the threads start */
	struct client_worker **workers;
	uint32_t n_workers;
};

/*
 *   OPEN ---> WAIT ---> LOAD ---> FINISH ---> DONE
 *     every connection  the     nothing new;   all ended
 *     was tried         start   the answers,
 *                       came    then Close
 *
 * A signal leads from each to FINISH, and another one to its end. In handshake mode OPEN is empty:
 * opening is the load.
 */
enum client_phase {
	CLIENT_PHASE_OPEN,
	CLIENT_PHASE_WAIT,
	CLIENT_PHASE_LOAD,
	CLIENT_PHASE_FINISH,
	CLIENT_PHASE_DONE,
};

struct client_worker {
	struct client_run *run;
	const struct client_options *options;
	uint32_t index;
	int epoll_fd, wake_fd;
	pthread_t thread;
	enum client_phase phase;
	bool is_interrupted;
	uint64_t now_ns;         /* as of the current event */
	uint64_t open_ns;        /* the schedule of openings began */
	uint64_t load_ns;        /* first message; UINT64_MAX until known, as are the next two */
	uint64_t measure_ns;     /* what is sent from here on counts ... */
	uint64_t end_ns;         /* ... up to here */
	uint64_t finish_ns;      /* when FINISH began */
	uint64_t give_up_ns;     /* when FINISH ends at the latest */
	uint64_t last_ns;        /* of the last message or handshake that counted */
	uint64_t cpu_from_ns;    /* of this thread when measuring began */
	uint64_t system_from_ns; /* of the whole system then */
	bool is_measuring;

	struct client_conn *conns; /* owned, n_conns of them: one slab */
	uint64_t *sent_ns;         /* owned: rings of send times, depth for each connection */
	uint32_t n_conns, first_ordinal;
	struct list waiting; /* to be opened, in order */
	struct list ended;   /* to be reaped at the end of the loop turn */
	uint32_t n_opening;  /* connecting or upgrading */
	uint32_t n_settled;  /* of the first opening: open or failed */
	uint32_t n_over;     /* ended for good */
	uint64_t n_opens;    /* openings begun, for --ramp */
	uint64_t quota;      /* messages (handshakes) that may still be begun */
	uint64_t rate_round; /* open loop: the next message is number rate_round of ... */
	uint32_t rate_conn;  /* ... this connection */

	struct deadline_wheel wheel;
	struct mask_source masks;
	struct bench_stats stats;
	struct http1_head head; /* scratch */
	uint8_t *tx, *rx;       /* owned scratch */
};

/**
 * client_worker_new() - a worker for connections @first..@first+@n-1 of the run
 * @quota: its share of --messages, UINT64_MAX for no limit
 *
 * Return: 0, -ENOMEM, or epoll's and eventfd's errors.
 */
int client_worker_new(struct client_run *run, uint32_t index, uint32_t first, uint32_t n,
		      uint64_t quota, struct client_worker **ret_worker);
void client_worker_free(struct client_worker *w);
DEFINE_CLEANUP(struct client_worker, client_worker_free)
/** client_worker_main() - for pthread_create(3); the argument is the worker */
void *client_worker_main(void *worker);
/** client_worker_wake() - any thread */
void client_worker_wake(struct client_worker *w);

/* What connections tell their worker. */
/** client_worker_opening_over() - connecting and upgrading has ended, well or not */
void client_worker_opening_over(struct client_worker *w, struct client_conn *c);
/** client_worker_ended() - @c is to be reaped, and to be opened again if the mode says so */
void client_worker_ended(struct client_worker *w, struct client_conn *c);
/** client_worker_count_error() - count, and describe the first few on stderr */
void client_worker_count_error(struct client_worker *w, const struct client_conn *c,
			       enum bench_error error, const char *fmt, va_list ap);

/* Whether what was due at @at_ns counts. */
static inline bool client_worker_measures(const struct client_worker *w, uint64_t at_ns)
{
	return at_ns >= w->measure_ns;
}
