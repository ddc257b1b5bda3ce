/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets. Every worker has its own socket for each TCP address (SO_REUSEPORT: the
 * kernel spreads connections over them); a unix socket exists once and all workers accept from it.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"
#include "core/config.h"

#include <stdatomic.h>

/* Of one listener, all its addresses and workers; it outlives its set. */
struct listener_stats {
	atomic_uint refs;
	_Alignas(CACHE_LINE) _Atomic uint64_t n_accepted; /* not those that were reset at once */
};

struct listener_socket {
	const struct config_listener *listener; /* in the set's configuration */
	struct listener_stats *stats;           /* one reference */
	struct address address;                 /* as bound: with the real port if 0 was asked */
	int fd;                                 /* owned by the set, non-blocking */
	bool is_shared;                         /* one fd for all workers (unix) */
	unsigned int worker;                    /* whose it is, unless shared */
};

struct listener_set {
	struct config *config; /* one reference */
	struct listener_socket *sockets;
	size_t n_sockets;
};

struct listener_error {
	char text[256]; /* which listener, which address, why */
};

/**
 * listener_set_open() - bind and listen on all addresses of @config for @n_workers workers
 *
 * A unix path that exists is taken over only if nothing accepts there any more. A TCP address on
 * which any other socket listens is -EADDRINUSE, although SO_REUSEPORT would allow it.
 * Return: 0, or -errno with @ret_error and nothing left open.
 */
int listener_set_open(struct config *config, unsigned int n_workers, struct listener_set **ret_set,
		      struct listener_error *ret_error);
/** listener_set_go_on() - count on where the listeners of the same names in @previous are; before
 * workers use @set */
void listener_set_go_on(struct listener_set *set, const struct listener_set *previous);
/** listener_set_free() - close all, unlink unix paths. NULL is fine */
void listener_set_free(struct listener_set *set);
DEFINE_CLEANUP(struct listener_set, listener_set_free)
