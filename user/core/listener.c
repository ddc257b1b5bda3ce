/* SPDX-License-Identifier: Apache-2.0 */
#include "core/listener.h"

#include "base/unix_socket.h"

#include <netinet/tcp.h>
#include <stdio.h>

static int set_int(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_tcp_options(int fd, const struct address *address)
{
	int error = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);

	if (error == 0)
		error = set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	/* So that 0.0.0.0 and [::] can be listed side by side and mean what they say. */
	if (error == 0 && address->sa.sa_family == AF_INET6)
		error = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	/* Inherited by accepted sockets: frames must not wait for the peer's delayed ACK. */
	if (error == 0)
		error = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return error;
}

static int open_socket(const struct address *address, uint32_t backlog, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int error;

	if (address->sa.sa_family == AF_UNIX)
		return unix_listen(address, (int)backlog, 0666, ret_fd);
	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = set_tcp_options(fd, address);
	if (error < 0)
		return error;
	if (bind(fd, &address->sa, address->len) < 0 || listen(fd, (int)backlog) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/*
 * With SO_REUSEPORT a second daemon of the same user would join the group and get a share of the
 * connections, unnoticed by either. A bind without the option says that somebody is there.
 */
static int check_unused(const struct address *address)
{
	_cleanup_close_ int fd = -1;
	int error;

	if (address->sa.sa_family == AF_UNIX || address_port(address) == 0)
		return 0;
	fd = socket(address->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	error = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (error == 0 && address->sa.sa_family == AF_INET6)
		error = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (error == 0 && bind(fd, &address->sa, address->len) < 0)
		error = -errno;
	return error;
}

/* ---- counters ------------------------------------------------------------------------------ */

static struct listener_stats *stats_ref(struct listener_stats *stats)
{
	atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
	return stats;
}

static void stats_unref(struct listener_stats *stats)
{
	if (stats && atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel) == 1)
		free(stats);
}

/* The sockets of one listener stand side by side. */
static struct listener_stats *stats_of(const struct listener_set *set,
				       const struct config_listener *listener)
{
	struct listener_stats *stats;

	if (set->n_sockets > 0 && set->sockets[set->n_sockets - 1].listener == listener)
		return stats_ref(set->sockets[set->n_sockets - 1].stats);
	stats = aligned_alloc(CACHE_LINE, sizeof(*stats));
	if (stats) {
		atomic_init(&stats->refs, 1);
		atomic_init(&stats->n_accepted, 0);
	}
	return stats;
}

void listener_set_go_on(struct listener_set *set, const struct listener_set *previous)
{
	for (size_t i = 0; i < set->n_sockets; i++) {
		struct listener_socket *s = &set->sockets[i];

		for (size_t p = 0; p < previous->n_sockets; p++) {
			if (strcmp(previous->sockets[p].listener->name, s->listener->name) != 0)
				continue;
			stats_unref(s->stats);
			s->stats = stats_ref(previous->sockets[p].stats);
			break;
		}
	}
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int add_socket(struct listener_set *set, const struct config_listener *listener,
		      const struct address *address, unsigned int worker)
{
	bool is_unix = address->sa.sa_family == AF_UNIX;
	struct listener_socket *s = &set->sockets[set->n_sockets];
	int error;

	*s = (struct listener_socket){.listener = listener,
				      .worker = worker,
				      .is_shared = is_unix,
				      .fd = -1};
	error = open_socket(address, listener->backlog, &s->fd);
	if (error < 0)
		return error;
	s->stats = stats_of(set, listener);
	set->n_sockets++;
	if (!s->stats)
		return -ENOMEM;
	s->address.len = sizeof(s->address.un);
	if (getsockname(s->fd, &s->address.sa, &s->address.len) < 0)
		return -errno;
	return 0;
}

/* The first socket settles the port when 0 was asked for; the other workers' follow it. */
static int open_address(struct listener_set *set, const struct config_listener *listener,
			const struct address *address, unsigned int n_workers)
{
	size_t first = set->n_sockets;
	int error = add_socket(set, listener, address, 0);

	if (error < 0 || address->sa.sa_family == AF_UNIX)
		return error;
	for (unsigned int worker = 1; worker < n_workers && error == 0; worker++) {
		struct address bound = set->sockets[first].address;

		error = add_socket(set, listener, &bound, worker);
	}
	return error;
}

typedef int address_fn(struct listener_set *set, const struct config_listener *listener,
		       const struct address *address, unsigned int n_workers);

static int check_address(struct listener_set *set, const struct config_listener *listener,
			 const struct address *address, unsigned int n_workers)
{
	return check_unused(address);
}

/* Return: 0, or -errno with @ret_error, of the first address for which @fn fails. */
static int for_each_address(struct listener_set *set, unsigned int n_workers, address_fn *fn,
			    struct listener_error *ret_error)
{
	for (size_t i = 0; i < set->config->n_listeners; i++) {
		const struct config_listener *listener = &set->config->listeners[i];

		for (size_t a = 0; a < listener->n_addresses; a++) {
			char text[ADDRESS_TEXT_MAX + 1];
			int error = fn(set, listener, &listener->addresses[a], n_workers);

			if (error == 0)
				continue;
			address_format(&listener->addresses[a], text);
			snprintf(ret_error->text, sizeof(ret_error->text),
				 "listener \"%s\": cannot listen on %s: %s", listener->name, text,
				 strerror(-error));
			return error;
		}
	}
	return 0;
}

static size_t count_addresses(const struct config *config)
{
	size_t n = 0;

	for (size_t i = 0; i < config->n_listeners; i++)
		n += config->listeners[i].n_addresses;
	return n;
}

int listener_set_open(struct config *config, unsigned int n_workers, struct listener_set **ret_set,
		      struct listener_error *ret_error)
{
	_cleanup_(cleanup_listener_set_free) struct listener_set *set = calloc(1, sizeof(*set));
	int error;

	if (!set)
		goto no_memory;
	set->config = config_ref(config);
	set->sockets = calloc(count_addresses(config) * n_workers, sizeof(*set->sockets));
	if (!set->sockets)
		goto no_memory;
	/* All are checked first: 0.0.0.0 and 127.0.0.1 may share a port, but not while checking. */
	error = for_each_address(set, n_workers, check_address, ret_error);
	if (error == 0)
		error = for_each_address(set, n_workers, open_address, ret_error);
	if (error < 0)
		return error;
	*ret_set = TAKE_PTR(set);
	return 0;

no_memory:
	snprintf(ret_error->text, sizeof(ret_error->text), "listeners: out of memory");
	return -ENOMEM;
}

void listener_set_free(struct listener_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n_sockets; i++) {
		if (set->sockets[i].is_shared)
			unix_unlink(&set->sockets[i].address);
		close(set->sockets[i].fd);
		stats_unref(set->sockets[i].stats);
	}
	free(set->sockets);
	config_unref(set->config);
	free(set);
}
