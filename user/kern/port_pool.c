/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/port_pool.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/random.h"

#include <pthread.h>

#define PORTS     65536u
#define WORD_BITS 64u
#define WORDS     (PORTS / WORD_BITS)
/* A quarantine takes QUARTERS whole ones behind that in which the port was released. */
#define QUARTERS 4u
#define SLOTS    (QUARTERS + 1)

/* Bit n % 64 of word n / 64 stands for port n. */
struct bitmap {
	uint64_t words[WORDS];
};

/* Ports that were released within the same quarter of a quarantine. */
struct slot {
	struct bitmap *ports; /* NULL = none */
	uint64_t quarter;     /* number of it since time 0 */
};

struct space_key {
	uint8_t source[16], endpoint[16]; /* IPv4 in the first four bytes */
	uint32_t scope;                   /* of a link-local endpoint */
	uint16_t port;                    /* of the endpoint, network order */
	uint16_t family;
};

struct space {
	struct hash_node node;
	struct list link;
	struct space_key key;
	size_t n_used, n_quarantined;
	struct bitmap taken; /* used, quarantined, or outside of the pool */
	struct slot slots[SLOTS];
};

struct port_pool {
	struct port_pool_options options;
	uint64_t quarter_ns;
	struct hash_key hash_key;
	pthread_mutex_t lock; /* of all below */
	struct hash_table spaces;
	struct list all;
};

/* ---- bits ---------------------------------------------------------------------------------- */

static bool bitmap_has(const struct bitmap *b, unsigned int port)
{
	return b->words[port / WORD_BITS] >> (port % WORD_BITS) & 1;
}

static void bitmap_set(struct bitmap *b, unsigned int port)
{
	b->words[port / WORD_BITS] |= UINT64_C(1) << (port % WORD_BITS);
}

static void bitmap_clear(struct bitmap *b, unsigned int port)
{
	b->words[port / WORD_BITS] &= ~(UINT64_C(1) << (port % WORD_BITS));
}

/* The first zero bit from @port on, or PORTS. */
static unsigned int bitmap_next_zero(const struct bitmap *b, unsigned int port)
{
	unsigned int at = port / WORD_BITS;
	/* What lies before @port in its word counts as taken. */
	uint64_t free_bits = ~b->words[at] & (UINT64_MAX << (port % WORD_BITS));

	while (free_bits == 0 && ++at < WORDS)
		free_bits = ~b->words[at];
	return free_bits ? at * WORD_BITS + (unsigned int)__builtin_ctzll(free_bits) : PORTS;
}

/* ---- spaces -------------------------------------------------------------------------------- */

static int space_key_of(const struct address *source, const struct address *endpoint,
			struct space_key *ret_key)
{
	*ret_key = (struct space_key){.family = endpoint->sa.sa_family};
	if (source->sa.sa_family != endpoint->sa.sa_family)
		return -EAFNOSUPPORT;
	switch (endpoint->sa.sa_family) {
	case AF_INET:
		memcpy(ret_key->source, &source->in4.sin_addr, sizeof(source->in4.sin_addr));
		memcpy(ret_key->endpoint, &endpoint->in4.sin_addr, sizeof(endpoint->in4.sin_addr));
		ret_key->port = endpoint->in4.sin_port;
		return 0;
	case AF_INET6:
		memcpy(ret_key->source, &source->in6.sin6_addr, sizeof(source->in6.sin6_addr));
		memcpy(ret_key->endpoint, &endpoint->in6.sin6_addr,
		       sizeof(endpoint->in6.sin6_addr));
		ret_key->port = endpoint->in6.sin6_port;
		ret_key->scope = endpoint->in6.sin6_scope_id;
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

static struct space *find(const struct port_pool *pool, const struct space_key *key, uint64_t hash)
{
	for (struct hash_node *node = hash_table_first(&pool->spaces, hash); node;
	     node = hash_table_next(node)) {
		struct space *s = container_of(node, struct space, node);

		if (memcmp(&s->key, key, sizeof(*key)) == 0)
			return s;
	}
	return NULL;
}

static void space_free(struct port_pool *pool, struct space *s)
{
	for (size_t i = 0; i < SLOTS; i++)
		free(s->slots[i].ports);
	hash_table_remove(&pool->spaces, &s->node);
	list_remove(&s->link);
	free(s);
}

static int space_new(struct port_pool *pool, const struct space_key *key, uint64_t hash,
		     struct space **ret_space)
{
	struct space *s;

	if (pool->spaces.n_nodes >= pool->options.spaces_max)
		return -ENOBUFS;
	s = calloc(1, sizeof(*s));
	if (!s || hash_table_insert(&pool->spaces, &s->node, hash) < 0) {
		free(s);
		return -ENOMEM;
	}
	s->key = *key;
	list_append(&pool->all, &s->link);
	for (unsigned int port = 0; port < pool->options.first; port++)
		bitmap_set(&s->taken, port);
	for (unsigned int port = pool->options.last + 1u; port < PORTS; port++)
		bitmap_set(&s->taken, port);
	*ret_space = s;
	return 0;
}

static void free_if_idle(struct port_pool *pool, struct space *s)
{
	if (s->n_used == 0 && s->n_quarantined == 0)
		space_free(pool, s);
}

/* ---- quarantine ---------------------------------------------------------------------------- */

/* All ports of @slot are free again. */
static void slot_empty(struct space *s, struct slot *slot)
{
	for (size_t i = 0; i < WORDS; i++) {
		s->n_quarantined -= (size_t)__builtin_popcountll(slot->ports->words[i]);
		s->taken.words[i] &= ~slot->ports->words[i];
	}
	free(TAKE_PTR(slot->ports));
}

static void end_quarantines(const struct port_pool *pool, struct space *s, uint64_t now_ns)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &s->slots[i];

		/* From the end of its quarter on, so that the last one in it gets all its time. */
		if (slot->ports && now_ns / pool->quarter_ns > slot->quarter + QUARTERS)
			slot_empty(s, slot);
	}
}

static void quarantine(const struct port_pool *pool, struct space *s, unsigned int port,
		       uint64_t now_ns)
{
	uint64_t quarter = now_ns / pool->quarter_ns;
	struct slot *slot = &s->slots[quarter % SLOTS];

	if (!slot->ports) {
		slot->ports = calloc(1, sizeof(*slot->ports));
		slot->quarter = quarter;
	}
	if (!slot->ports)
		return; /* it stays used for ever: a port less is better than one too early */
	bitmap_set(slot->ports, port);
	s->n_used--;
	s->n_quarantined++;
}

static bool end_quarantine_of(struct space *s, unsigned int port)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *slot = &s->slots[i];

		if (slot->ports && bitmap_has(slot->ports, port)) {
			bitmap_clear(slot->ports, port);
			s->n_quarantined--;
			return true;
		}
	}
	return false;
}

/* ---- life ---------------------------------------------------------------------------------- */

int port_pool_new(const struct port_pool_options *options, struct port_pool **ret_pool)
{
	struct port_pool *pool;

	if (options->first == 0 || options->first > options->last ||
	    options->quarantine_ns < QUARTERS || options->spaces_max == 0)
		return -EINVAL;
	pool = calloc(1, sizeof(*pool));
	if (!pool)
		return -ENOMEM;
	pool->options = *options;
	/* Rounded up: four quarters are never less than the whole. */
	pool->quarter_ns = (options->quarantine_ns + QUARTERS - 1) / QUARTERS;
	hash_key_random(&pool->hash_key);
	hash_table_init(&pool->spaces);
	list_init(&pool->all);
	(void)pthread_mutex_init(&pool->lock, NULL); /* without attributes it cannot fail */
	*ret_pool = pool;
	return 0;
}

void port_pool_free(struct port_pool *pool)
{
	if (!pool)
		return;
	list_for_each_safe (link, &pool->all)
		space_free(pool, list_entry(link, struct space, link));
	hash_table_done(&pool->spaces);
	(void)pthread_mutex_destroy(&pool->lock);
	free(pool);
}

/* ---- ports --------------------------------------------------------------------------------- */

static int take_locked(struct port_pool *pool, const struct space_key *key, uint64_t now_ns,
		       uint16_t *ret_port)
{
	const struct port_pool_options *options = &pool->options;
	uint64_t hash = hash_bytes(&pool->hash_key, key, sizeof(*key));
	struct space *s = find(pool, key, hash);
	unsigned int port;
	uint32_t start;
	int error;

	if (!s) {
		error = space_new(pool, key, hash, &s);
		if (error < 0)
			return error;
	}
	end_quarantines(pool, s, now_ns);
	/* Whoever can guess the port is a third of the way to a forged segment. The remainder
	 * favours some ports by 1 in 2^16, which tells nobody anything. */
	random_secure(&start, sizeof(start));
	start = options->first + start % (options->last - options->first + 1u);
	port = bitmap_next_zero(&s->taken, start);
	if (port == PORTS)
		port = bitmap_next_zero(&s->taken, options->first);
	if (port == PORTS)
		return -EADDRNOTAVAIL;
	bitmap_set(&s->taken, port);
	s->n_used++;
	*ret_port = (uint16_t)port;
	return 0;
}

int port_pool_take(struct port_pool *pool, const struct address *source,
		   const struct address *endpoint, uint64_t now_ns, uint16_t *ret_port)
{
	struct space_key key;
	int error = space_key_of(source, endpoint, &key);

	if (error < 0)
		return error;
	pthread_mutex_lock(&pool->lock);
	error = take_locked(pool, &key, now_ns, ret_port);
	pthread_mutex_unlock(&pool->lock);
	return error;
}

static int adopt_locked(struct port_pool *pool, const struct space_key *key, uint16_t port,
			uint64_t now_ns)
{
	uint64_t hash = hash_bytes(&pool->hash_key, key, sizeof(*key));
	struct space *s = find(pool, key, hash);
	int error;

	if (!s) {
		error = space_new(pool, key, hash, &s);
		if (error < 0)
			return error;
	}
	end_quarantines(pool, s, now_ns);
	if (bitmap_has(&s->taken, port) && !end_quarantine_of(s, port))
		return -EEXIST;
	bitmap_set(&s->taken, port);
	s->n_used++;
	return 0;
}

static bool is_in_range(const struct port_pool *pool, uint16_t port)
{
	return port >= pool->options.first && port <= pool->options.last;
}

int port_pool_adopt(struct port_pool *pool, const struct address *source,
		    const struct address *endpoint, uint16_t port, uint64_t now_ns)
{
	struct space_key key;
	int error = space_key_of(source, endpoint, &key);

	if (error < 0)
		return error;
	if (!is_in_range(pool, port))
		return -ERANGE;
	pthread_mutex_lock(&pool->lock);
	error = adopt_locked(pool, &key, port, now_ns);
	pthread_mutex_unlock(&pool->lock);
	return error;
}

static bool is_quarantined(const struct space *s, unsigned int port)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (s->slots[i].ports && bitmap_has(s->slots[i].ports, port))
			return true;
	}
	return false;
}

static void let_go(struct port_pool *pool, const struct address *source,
		   const struct address *endpoint, uint16_t port, uint64_t now_ns, bool was_sent)
{
	struct space_key key;
	struct space *s;

	if (space_key_of(source, endpoint, &key) < 0 || !is_in_range(pool, port))
		return;
	pthread_mutex_lock(&pool->lock);
	s = find(pool, &key, hash_bytes(&pool->hash_key, &key, sizeof(key)));
	if (s) {
		end_quarantines(pool, s, now_ns);
		if (bitmap_has(&s->taken, port) && !is_quarantined(s, port)) {
			if (was_sent) {
				quarantine(pool, s, port, now_ns);
			} else {
				bitmap_clear(&s->taken, port);
				s->n_used--;
			}
		}
		free_if_idle(pool, s);
	}
	pthread_mutex_unlock(&pool->lock);
}

void port_pool_release(struct port_pool *pool, const struct address *source,
		       const struct address *endpoint, uint16_t port, uint64_t now_ns)
{
	let_go(pool, source, endpoint, port, now_ns, true);
}

void port_pool_give_back(struct port_pool *pool, const struct address *source,
			 const struct address *endpoint, uint16_t port, uint64_t now_ns)
{
	let_go(pool, source, endpoint, port, now_ns, false);
}

void port_pool_sweep(struct port_pool *pool, uint64_t now_ns)
{
	pthread_mutex_lock(&pool->lock);
	list_for_each_safe (link, &pool->all) {
		struct space *s = list_entry(link, struct space, link);

		end_quarantines(pool, s, now_ns);
		free_if_idle(pool, s);
	}
	pthread_mutex_unlock(&pool->lock);
}

void port_pool_usage(struct port_pool *pool, struct port_pool_usage *ret_usage)
{
	pthread_mutex_lock(&pool->lock);
	*ret_usage = (struct port_pool_usage){.n_spaces = pool->spaces.n_nodes};
	list_for_each (link, &pool->all) {
		const struct space *s = list_entry(link, struct space, link);

		ret_usage->n_used += s->n_used;
		ret_usage->n_quarantined += s->n_quarantined;
	}
	pthread_mutex_unlock(&pool->lock);
}
