/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source ports for connections to endpoints, chosen here and not by the kernel, which no longer
 * knows a connection once that is spliced and would give its port away again.
 *
 * A port is taken for one space: a source address together with an endpoint's address and port.
 * The same number may be in use in every other space.
 *
 *	FREE --take, adopt--> USED --release--> QUARANTINED --quarantine_ns--> FREE
 *	  ^------give_back------'
 *
 * The quarantine keeps late packets of the old connection from the next one on the same addresses.
 * Ports go through it in slots: those released within a quarter of it become free together, so it
 * lasts up to a quarter longer than asked for and costs one bitmap for each slot.
 *
 * One pool serves all workers, under one lock. A part of the ports for each worker would need no
 * lock, but a worker would run out of them while others have plenty, and adopted connections have
 * their ports wherever those are. What the lock is held for is a look-up and the search for a zero
 * bit: well under a microsecond, once when a connection begins and once when it ends.
 *
 * Memory: 8 KiB for a space in which a port is used or quarantined, up to 48 KiB while many of its
 * ports are released; nothing for any other. Their number is limited.
 */
#pragma once
#include "base/address.h"
#include "base/std.h"

struct port_pool;

struct port_pool_options {
	uint16_t first, last;   /* host order, 1 <= first <= last */
	uint64_t quarantine_ns; /* > 0 */
	size_t spaces_max;      /* > 0 */
};

#define PORT_POOL_SPACES_MAX 4096

/* Counters of the moment. */
struct port_pool_usage {
	size_t n_spaces, n_used, n_quarantined;
};

/** port_pool_new() - with all ports free. Return: 0, -EINVAL (options) or -ENOMEM */
int port_pool_new(const struct port_pool_options *options, struct port_pool **ret_pool);
void port_pool_free(struct port_pool *pool);
DEFINE_CLEANUP(struct port_pool, port_pool_free)

/*
 * All below: any thread. @source and @endpoint are of one family, IPv4 or IPv6; the port of
 * @source is not looked at. @now_ns is one clock's, which never goes back.
 */

/**
 * port_pool_take() - a free port, looked for from a random one on (RFC 6056 s3.3.1)
 *
 * Return: 0; -EADDRNOTAVAIL if all are used or in quarantine; -ENOBUFS if there are spaces_max
 * other spaces; -ENOMEM; -EAFNOSUPPORT.
 */
int port_pool_take(struct port_pool *pool, const struct address *source,
		   const struct address *endpoint, uint64_t now_ns, uint16_t *ret_port);
/**
 * port_pool_adopt() - mark the port of a connection that lives already as used
 *
 * Return: 0, also for one in quarantine, which is then over for it; -EEXIST if it is used; -ERANGE
 * if it is none of the pool's, so that nobody will be given it; else as port_pool_take().
 */
int port_pool_adopt(struct port_pool *pool, const struct address *source,
		    const struct address *endpoint, uint16_t port, uint64_t now_ns);
/** port_pool_release() - the connection is over: quarantine its port. One outside of the pool, or
 *  not in use, is ignored */
void port_pool_release(struct port_pool *pool, const struct address *source,
		       const struct address *endpoint, uint16_t port, uint64_t now_ns);
/** port_pool_give_back() - likewise, but no packet was ever sent from it: it is free at once */
void port_pool_give_back(struct port_pool *pool, const struct address *source,
			 const struct address *endpoint, uint16_t port, uint64_t now_ns);
/** port_pool_sweep() - end quarantines that are over, and free the memory of spaces not in use. The
 *  other functions do so for the space that they are about */
void port_pool_sweep(struct port_pool *pool, uint64_t now_ns);
void port_pool_usage(struct port_pool *pool, struct port_pool_usage *ret_usage);
