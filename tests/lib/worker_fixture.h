/* SPDX-License-Identifier: Apache-2.0 */
/* A worker without a thread or listeners: the test hands it clients and turns its loop. */
#pragma once
#include "core/connection.h"
#include "core/handshake.h"
#include "core/worker.h"
#include "lib/config_loading.h"
#include "route/routing.h"

#include <fcntl.h>
#include <sys/socket.h>

struct worker_fixture {
	struct config *config;
	struct routing *routing;
	struct worker_shared shared;
	struct worker *worker;
};

/** worker_fixture_init() - @text: a configuration, which must be right */
static inline void worker_fixture_init(struct worker_fixture *f, const char *text)
{
	static const struct listener_set nobody_listens;

	*f = (struct worker_fixture){.config = load_config(text)};
	assert_int_equal(routing_new(f->config, NULL, &f->routing), 0);
	f->shared.message_memory_bytes = f->config->limits.message_memory_bytes;
	f->shared.n_workers = 1;
	f->shared.max_connections = 1000;
	f->shared.on_request = routing_on_request;
	f->shared.follow = routing_follow;
	conn_id_source_init(&f->shared.conn_ids, 1000);
	assert_int_equal(worker_new(0, &f->shared, &f->routing->generation, &nobody_listens,
				    &f->worker),
			 0);
}

/** worker_fixture_turn() - turns of the loop while there is something to do */
static inline void worker_fixture_turn(struct worker_fixture *f)
{
	for (int i = 0; i < 100; i++)
		ev_run(f->worker->loop, EVRUN_NOWAIT);
}

/** worker_fixture_run() - turns of the loop, sleeping in between, until no connection is left */
static inline void worker_fixture_run(struct worker_fixture *f)
{
	while (f->worker->by_id.n_nodes > 0)
		ev_run(f->worker->loop, EVRUN_ONCE);
}

/** worker_fixture_done() - all connections have ended */
static inline void worker_fixture_done(struct worker_fixture *f)
{
	worker_fixture_turn(f);
	assert_int_equal(f->worker->by_id.n_nodes, 0);
	worker_free(f->worker);
	generation_unref(&f->routing->generation);
	config_unref(f->config);
}

/**
 * worker_fixture_client() - a client of the worker's, whose socket there holds very little, so that
 * what is sent to it soon waits
 *
 * Return: its end, to be closed by the caller.
 */
static inline int worker_fixture_client(struct worker_fixture *f,
					struct connection **ret_connection)
{
	static const struct sockaddr nameless = {.sa_family = AF_UNIX};
	static const int little = 1; /* the kernel makes it a few KiB */
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
			 0);
	assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &little, sizeof(little)), 0);
	f->shared.n_connections++; /* as accepting it would have */
	assert_int_equal(connection_new(f->worker, &f->config->listeners[0], fds[0], &nameless,
					ret_connection),
			 0);
	handshake_begin(*ret_connection);
	return fds[1];
}

#define WORKER_FIXTURE_UPGRADE                                                   \
	"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"                    \
	"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
	"Sec-WebSocket-Version: 13\r\n\r\n"
