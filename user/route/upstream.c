/* SPDX-License-Identifier: Apache-2.0 */
#include "route/upstream.h"

#include "core/connection.h"
#include "core/promotion.h"
#include "route/connector.h"

#define PORT_TRIES 4 /* that somebody else listens on, or has in TIME-WAIT */

/* Return: 0; -EADDRNOTAVAIL: not from this source; -ENOTSUP: not to be spliced; else the connect's
 * -errno. */
static int connect_from(struct connection *c, const struct address *source,
			const struct address *endpoint, int *ret_fd)
{
	int error = -EADDRNOTAVAIL;

	for (int i = 0; i < PORT_TRIES; i++) {
		struct address local;
		uint32_t mss;

		error = promotion_prepare(c, source, endpoint, &local, &mss);
		if (error < 0)
			return error;
		error = connector_start_from(&local, mss, endpoint, ret_fd);
		if (error == 0)
			return 0;
		promotion_leave_endpoint(c, error != -EADDRINUSE);
		if (error != -EADDRINUSE && error != -EADDRNOTAVAIL)
			return error;
	}
	return -EADDRNOTAVAIL;
}

static int connect_spliceable(struct connection *c, const struct config_cluster *config,
			      _Atomic uint64_t *turn, const struct address *endpoint, int *ret_fd)
{
	uint64_t start =
	    config->n_sources > 0 ? atomic_load_explicit(turn, memory_order_relaxed) : 0;
	bool is_bound = false;
	int error = -ENOTSUP;

	for (size_t i = 0; i < config->n_sources; i++) {
		const struct address *source = &config->sources[(start + i) % config->n_sources];

		if (source->sa.sa_family != endpoint->sa.sa_family)
			continue;
		is_bound = true;
		error = connect_from(c, source, endpoint, ret_fd);
		if (error == 0)
			atomic_fetch_add_explicit(turn, 1, memory_order_relaxed);
		if (error != -EADDRNOTAVAIL)
			return error;
	}
	return is_bound ? error : connect_from(c, NULL, endpoint, ret_fd);
}

int upstream_connect(struct connection *c, const struct config_cluster *config,
		     _Atomic uint64_t *turn, const struct address *endpoint, int *ret_fd)
{
	int error = connect_spliceable(c, config, turn, endpoint, ret_fd);

	/* The kernel may have ports left, of which the pool has none. */
	if (error != -ENOTSUP && error != -EADDRNOTAVAIL)
		return error;
	promotion_end(c);
	if (c->splice_reason == SLUICE_REASON_NONE) /* it was all right, but no port was */
		c->splice_reason = SLUICE_REASON_PORTS;
	return connector_start(config, turn, endpoint, ret_fd);
}
