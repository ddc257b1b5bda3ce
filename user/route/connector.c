/* SPDX-License-Identifier: Apache-2.0 */
#include "route/connector.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#define MAXSEG_MAX 32767u /* that TCP_MAXSEG takes */

/* Return: the socket, or -errno. */
static int open_socket(const struct address *endpoint)
{
	static const int on = 1;
	int fd = socket(endpoint->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	/* Fails on unix sockets, which have nothing to delay. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int connect_from(const struct address *source, const struct address *endpoint, int *ret_fd)
{
	_cleanup_close_ int fd = open_socket(endpoint);
	static const int on = 1;

	if (fd < 0)
		return fd;
	if (source) {
		/*
		 * The port is chosen by connect(2), which knows the other end, so that a port can
		 * serve once for each endpoint. Without it (Linux before 4.2) bind(2) chooses one.
		 */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, &source->sa, source->len) < 0) /* EADDRINUSE: that had no port left */
			return errno == EADDRINUSE ? -EADDRNOTAVAIL : -errno;
	}
	if (connect(fd, &endpoint->sa, endpoint->len) < 0 && errno != EINPROGRESS)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int connector_start(const struct config_cluster *config, _Atomic uint64_t *turn,
		    const struct address *endpoint, int *ret_fd)
{
	uint64_t start =
	    config->n_sources > 0 ? atomic_fetch_add_explicit(turn, 1, memory_order_relaxed) : 0;
	bool is_bound = false;
	int error = 0;

	for (size_t i = 0; i < config->n_sources; i++) {
		const struct address *source = &config->sources[(start + i) % config->n_sources];

		if (source->sa.sa_family != endpoint->sa.sa_family)
			continue;
		is_bound = true;
		error = connect_from(source, endpoint, ret_fd);
		if (error != -EADDRNOTAVAIL)
			return error;
	}
	return is_bound ? error : connect_from(NULL, endpoint, ret_fd);
}

int connector_start_from(const struct address *local, uint32_t mss, const struct address *endpoint,
			 int *ret_fd)
{
	_cleanup_close_ int fd = open_socket(endpoint);
	static const int on = 1;

	if (fd < 0)
		return fd;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (mss > 0 && mss <= MAXSEG_MAX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss));
	if (bind(fd, &local->sa, local->len) < 0 ||
	    (connect(fd, &endpoint->sa, endpoint->len) < 0 && errno != EINPROGRESS))
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
