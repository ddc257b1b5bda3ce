/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread of the server: an epoll loop with listening sockets of its own (SO_REUSEPORT), so that
 * the kernel spreads connections and threads share nothing.
 */
#pragma once
#include "base/list.h"
#include "base/std.h"
#include "deadline.h"
#include "message_writer.h"
#include "proto/http1_head.h"
#include "server_options.h"

#include <pthread.h>
#include <sys/uio.h>

#define SERVER_RX_BYTES (256u << 10) /* read at a time */
#define SERVER_HOLD_BYTES                                                                         \
	(64u << 10)                   /* frames up to here are echoed whole, longer ones in parts \
				       */
#define SERVER_TX_BYTES   (64u << 10) /* generated at a time by a source */
#define SERVER_RX_RESERVE 16          /* room for a header in front of the read buffer */
#define SERVER_RUNS_MAX   256

/* What stands behind epoll's pointer. */
enum server_source_kind {
	SERVER_WAKEUP,
	SERVER_LISTENER,
	SERVER_CONN,
};

struct server_source {
	enum server_source_kind kind;
	int fd; /* owned; -1 = none */
};

struct server_listener {
	struct server_source source; /* first */
	sa_family_t family;
};

struct server_counters {
	uint64_t connections, refused, messages, bytes, sent, aborted;
	uint64_t stream_sent, stream_received; /* bytes behind the upgrade's heads */
};

struct server_worker {
	const struct server_options *options;
	int epoll_fd;
	bool is_stopping; /* atomic */
	pthread_t thread;
	struct server_source wakeup;
	struct server_listener listeners[SERVER_LISTEN_MAX];
	size_t n_listeners;
	uint64_t now_ns;
	uint64_t accept_resume_ns; /* accepting pauses until then; 0 = it does not */
	struct list conns;         /* of struct server_conn */
	struct list ended;         /* to be freed at the end of the loop turn */
	struct deadline_wheel wheel;
	struct server_counters counters;
	struct http1_head head;             /* scratch */
	struct iovec runs[SERVER_RUNS_MAX]; /* scratch: output that lies in the read buffer */
	size_t n_runs;
	uint8_t *tx, *rx; /* owned scratch */
};

/** server_worker_new() - without listeners yet. Return: 0, -ENOMEM or a system call's error */
int server_worker_new(const struct server_options *options, struct server_worker **ret_worker);
void server_worker_free(struct server_worker *w);
/**
 * server_worker_listen() - add a listening socket for @address
 * @shared_fd: a socket to duplicate instead (unix sockets know no SO_REUSEPORT), or -1
 *
 * Return: 0 or the failing system call's -errno.
 */
int server_worker_listen(struct server_worker *w, const struct address *address, int shared_fd);
/** server_worker_main() - for pthread_create(3); the argument is the worker */
void *server_worker_main(void *worker);
/** server_worker_stop() - any thread */
void server_worker_stop(struct server_worker *w);
