/* SPDX-License-Identifier: Apache-2.0 */
#include "route/dns.h"

#include "base/list.h"

#include <ares.h>
#include <pthread.h>

#define TRIES       2  /* of each server */
#define ANSWERS_MAX 64 /* addresses of one name that are looked at */
/*
 * The hosts file, then the servers: what the configuration promises. c-ares would take the order,
 * and whether to ask servers at all, from nsswitch.conf, which speaks of the C library's resolver.
 */
#define LOOKUPS "fb"

struct dns {
	struct ev_loop *loop;
	ares_channel channel;
	struct list sockets;
	ev_timer timeout;
};

struct dns_socket {
	struct list node;
	struct dns *dns;
	ev_io io;
};

struct dns_lookup {
	dns_fn *done; /* NULL: cancelled */
	void *arg;
};

/* ---- the loop ------------------------------------------------------------------------------ */

static void rearm(struct dns *dns)
{
	struct timeval tv;

	ev_timer_stop(dns->loop, &dns->timeout);
	if (!ares_timeout(dns->channel, NULL, &tv))
		return;
	ev_timer_set(&dns->timeout, (double)tv.tv_sec + (double)tv.tv_usec / 1e6, 0);
	ev_timer_start(dns->loop, &dns->timeout);
}

static void timeout_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct dns *dns = container_of(timer, struct dns, timeout);

	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	rearm(dns);
}

static void io_cb(struct ev_loop *loop, ev_io *io, int revents)
{
	struct dns *dns = container_of(io, struct dns_socket, io)->dns;

	/* The socket may be gone after this. */
	ares_process_fd(dns->channel, revents & EV_READ ? io->fd : ARES_SOCKET_BAD,
			revents & EV_WRITE ? io->fd : ARES_SOCKET_BAD);
	rearm(dns);
}

static struct dns_socket *find_socket(const struct dns *dns, int fd)
{
	list_for_each (node, &dns->sockets) {
		struct dns_socket *s = list_entry(node, struct dns_socket, node);

		if (s->io.fd == fd)
			return s;
	}
	return NULL;
}

static struct dns_socket *socket_new(struct dns *dns)
{
	struct dns_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->dns = dns;
	ev_init(&s->io, io_cb);
	list_append(&dns->sockets, &s->node);
	return s;
}

static void socket_free(struct dns_socket *s)
{
	ev_io_stop(s->dns->loop, &s->io);
	list_remove(&s->node);
	free(s);
}

/* What c-ares waits for now; without memory to wait, its lookup ends at the timeout. */
static void socket_state_cb(void *arg, ares_socket_t fd, int is_reading, int is_writing)
{
	struct dns *dns = arg;
	struct dns_socket *s = find_socket(dns, fd);

	if (!is_reading && !is_writing) {
		if (s)
			socket_free(s);
		return;
	}
	if (!s)
		s = socket_new(dns);
	if (!s)
		return;
	ev_io_stop(dns->loop, &s->io);
	ev_io_set(&s->io, fd, (is_reading ? EV_READ : 0) | (is_writing ? EV_WRITE : 0));
	ev_io_start(dns->loop, &s->io);
}

/* ---- answers ------------------------------------------------------------------------------- */

static int compare_addresses(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	if (x->len != y->len)
		return x->len < y->len ? -1 : 1; /* IPv4 first */
	return memcmp(&x->sa, &y->sa, x->len);
}

static size_t collect(const struct ares_addrinfo *info, struct address all[ANSWERS_MAX])
{
	size_t n = 0, n_kept = 0;

	for (const struct ares_addrinfo_node *node = info->nodes; node && n < ANSWERS_MAX;
	     node = node->ai_next) {
		socklen_t len = (socklen_t)node->ai_addrlen;

		if ((node->ai_family != AF_INET || len != sizeof(struct sockaddr_in)) &&
		    (node->ai_family != AF_INET6 || len != sizeof(struct sockaddr_in6)))
			continue;
		all[n] = (struct address){.len = len};
		memcpy(&all[n].sa, node->ai_addr, len);
		address_set_port(&all[n++], 0);
	}
	/* Servers turn their answers round; we compare them with the ones before. */
	qsort(all, n, sizeof(*all), compare_addresses);
	for (size_t i = 0; i < n; i++) {
		if (n_kept == 0 || !address_equal(&all[i], &all[n_kept - 1]))
			all[n_kept++] = all[i];
	}
	return n_kept;
}

static void answer_cb(void *arg, int status, int n_timeouts, struct ares_addrinfo *info)
{
	struct dns_lookup *lookup = arg;
	struct dns_answer answer = {.error = status == ARES_SUCCESS ? NULL : ares_strerror(status)};
	struct address all[ANSWERS_MAX];

	answer.is_abandoned = status == ARES_EDESTRUCTION;
	if (info) {
		answer.n_addresses = MIN(collect(info, all), DNS_ADDRESSES_MAX);
		memcpy(answer.addresses, all, answer.n_addresses * sizeof(*all));
		ares_freeaddrinfo(info);
	}
	if (!answer.error && answer.n_addresses == 0)
		answer.error = ares_strerror(ARES_ENODATA);
	if (lookup->done)
		lookup->done(lookup->arg, &answer);
	free(lookup);
}

int dns_lookup(struct dns *dns, struct slice name, dns_fn *done, void *arg,
	       struct dns_lookup **ret_lookup)
{
	/* Without ARES_AI_NOSORT c-ares would probe routes with sockets of its own. */
	static const struct ares_addrinfo_hints hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = ARES_AI_NOSORT,
	};
	struct dns_lookup *lookup = calloc(1, sizeof(*lookup));
	char text[DNS_NAME_MAX + 1];

	if (!lookup)
		return -ENOMEM;
	assert(name.len <= DNS_NAME_MAX);
	memcpy(text, name.ptr, name.len);
	text[name.len] = '\0';
	lookup->done = done;
	lookup->arg = arg;
	*ret_lookup = lookup;
	ares_getaddrinfo(dns->channel, text, NULL, &hints, answer_cb, lookup);
	rearm(dns);
	return 0;
}

void dns_cancel(struct dns_lookup *lookup)
{
	if (lookup)
		lookup->done = NULL;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int set_servers(ares_channel channel, const struct dns_options *options)
{
	_cleanup_free_ struct ares_addr_port_node *nodes =
	    calloc(MAX(options->n_servers, 1), sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; i < options->n_servers; i++) {
		const struct address *server = &options->servers[i];

		nodes[i].family = server->sa.sa_family;
		nodes[i].udp_port = nodes[i].tcp_port = address_port(server);
		nodes[i].next = i + 1 < options->n_servers ? &nodes[i + 1] : NULL;
		if (server->sa.sa_family == AF_INET)
			nodes[i].addr.addr4 = server->in4.sin_addr;
		else
			memcpy(&nodes[i].addr.addr6, &server->in6.sin6_addr,
			       sizeof(server->in6.sin6_addr));
	}
	return ares_set_servers_ports(channel, nodes) == ARES_SUCCESS ? 0 : -ENOMEM;
}

static void init_library(void)
{
	/* Nothing on this platform that could fail but memory. */
	(void)ares_library_init(ARES_LIB_INIT_ALL);
}

int dns_new(struct ev_loop *loop, const struct dns_options *options, struct dns **ret_dns)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_free_ struct dns *dns = calloc(1, sizeof(*dns));
	char lookups[] = LOOKUPS; /* only read, but not declared so */
	struct ares_options ares = {
	    .timeout = (int)options->timeout_ms,
	    .tries = TRIES,
	    .lookups = lookups,
	    .sock_state_cb = socket_state_cb,
	    .sock_state_cb_data = dns,
	};

	if (!dns)
		return -ENOMEM;
	pthread_once(&once, init_library);
	dns->loop = loop;
	list_init(&dns->sockets);
	ev_init(&dns->timeout, timeout_cb);
	if (ares_init_options(&dns->channel, &ares,
			      ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
				  ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return -ENOMEM;
	if (options->n_servers && set_servers(dns->channel, options) < 0) {
		ares_destroy(dns->channel);
		return -ENOMEM;
	}
	*ret_dns = TAKE_PTR(dns);
	return 0;
}

void dns_free(struct dns *dns)
{
	if (!dns)
		return;
	ares_destroy(dns->channel);
	ev_timer_stop(dns->loop, &dns->timeout);
	list_for_each_safe (node, &dns->sockets) {
		socket_free(list_entry(node, struct dns_socket, node));
	}
	free(dns);
}
