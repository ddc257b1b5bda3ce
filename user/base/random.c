/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <endian.h>
#include <pthread.h>
#include <sys/random.h>

/* ---- for secrets ----------------------------------------------------------------------------- */

/* getrandom(2) gives up to 256 bytes in one piece, whatever signals arrive. */
#define POOL_BYTES 256

static __thread struct {
	uint8_t bytes[POOL_BYTES];
	size_t n_left; /* at the end of bytes; what was handed out before is zero */
} pool;

static pthread_once_t is_fork_watched = PTHREAD_ONCE_INIT;

static void get_random(uint8_t *ret_bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = getrandom(ret_bytes, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			abort();
		ret_bytes += n;
		len -= (size_t)n;
	}
}

/* The child has one thread, the one that forked; it must not hand out what the parent will. */
static void forget_pool(void)
{
	explicit_bzero(&pool, sizeof(pool));
}

static void watch_fork(void)
{
	if (pthread_atfork(NULL, NULL, forget_pool) != 0)
		abort();
}

static void refill(void)
{
	(void)pthread_once(&is_fork_watched, watch_fork);
	get_random(pool.bytes, POOL_BYTES);
	pool.n_left = POOL_BYTES;
}

void random_secure(void *ret_bytes, size_t len)
{
	uint8_t *from;

	if (len > POOL_BYTES) {
		get_random(ret_bytes, len);
		return;
	}
	if (len == 0)
		return;
	if (len > pool.n_left)
		refill();
	from = pool.bytes + POOL_BYTES - pool.n_left;
	memcpy(ret_bytes, from, len);
	explicit_bzero(from, len);
	pool.n_left -= len;
}

/* ---- for everything else --------------------------------------------------------------------- */

static inline uint64_t rotate_left(uint64_t x, unsigned int bits)
{
	return x << bits | x >> (64 - bits);
}

/* SplitMix64 (Steele, Lea, Flood 2014), as xoshiro's authors advise: no seed gives a zero state. */
void random_fast_seed(struct random_fast *r, uint64_t seed)
{
	for (size_t i = 0; i < ARRAY_SIZE(r->s); i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
		z = (z ^ z >> 27) * 0x94d049bb133111eb;
		r->s[i] = z ^ z >> 31;
	}
}

uint64_t random_fast_next(struct random_fast *r)
{
	uint64_t *s = r->s;
	uint64_t result = rotate_left(s[1] * 5, 7) * 9;
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

/*
 * Lemire 2019: the high half of a 64 by 64 bit product is below @bound, and equally likely for
 * each value once the first 2^64 mod @bound values of the low half are thrown away.
 */
uint64_t random_fast_below(struct random_fast *r, uint64_t bound)
{
	unsigned __int128 product;
	uint64_t rejected;

	assert(bound >= 1);
	product = (unsigned __int128)random_fast_next(r) * bound;
	if ((uint64_t)product < bound) {
		rejected = -bound % bound; /* 2^64 mod bound */
		while ((uint64_t)product < rejected)
			product = (unsigned __int128)random_fast_next(r) * bound;
	}
	return (uint64_t)(product >> 64);
}

void random_fast_fill(struct random_fast *r, void *ret_bytes, size_t len)
{
	uint8_t *to = ret_bytes;

	while (len > 0) {
		uint64_t word = htole64(random_fast_next(r));
		size_t n = MIN(len, sizeof(word));

		memcpy(to, &word, n);
		to += n;
		len -= n;
	}
}
