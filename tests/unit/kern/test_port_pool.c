/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/port_pool.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000000)

static struct address source, endpoint;

static struct address address_of(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(text, &address), 0);
	return address;
}

static int set_up(void **state)
{
	source = address_of("10.0.0.1:0");
	endpoint = address_of("10.0.0.9:9000");
	return 0;
}

static struct port_pool *pool_of(uint16_t first, uint16_t last, size_t spaces_max)
{
	const struct port_pool_options options = {.first = first,
						  .last = last,
						  .quarantine_ns = 60 * SECOND,
						  .spaces_max = spaces_max};
	struct port_pool *pool;

	assert_int_equal(port_pool_new(&options, &pool), 0);
	return pool;
}

static void assert_usage(struct port_pool *pool, size_t n_spaces, size_t n_used,
			 size_t n_quarantined)
{
	struct port_pool_usage usage;

	port_pool_usage(pool, &usage);
	assert_int_equal(usage.n_spaces, n_spaces);
	assert_int_equal(usage.n_used, n_used);
	assert_int_equal(usage.n_quarantined, n_quarantined);
}

static uint16_t take(struct port_pool *pool, uint64_t now_ns)
{
	uint16_t port;

	assert_int_equal(port_pool_take(pool, &source, &endpoint, now_ns, &port), 0);
	return port;
}

static void assert_none_left(struct port_pool *pool, uint64_t now_ns)
{
	uint16_t port = 1;

	assert_int_equal(port_pool_take(pool, &source, &endpoint, now_ns, &port), -EADDRNOTAVAIL);
	assert_int_equal(port, 1);
}

static void new__refuses_options_that_mean_nothing(void **state)
{
	static const struct port_pool_options bad[] = {
	    {.first = 0, .last = 9, .quarantine_ns = SECOND, .spaces_max = 1},
	    {.first = 9, .last = 8, .quarantine_ns = SECOND, .spaces_max = 1},
	    {.first = 1, .last = 9, .quarantine_ns = 0, .spaces_max = 1},
	    {.first = 1, .last = 9, .quarantine_ns = SECOND, .spaces_max = 0},
	};
	struct port_pool *pool = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(port_pool_new(&bad[i], &pool), -EINVAL);
	assert_null(pool);
}

/* Bounds on and off the words of the bitmap, and both ends of the range of ports. */
static void take__gives_each_port_once_and_no_other(void **state)
{
	static const uint16_t ranges[][2] = {{1, 1},         {1, 64},        {64, 127},
					     {100, 100},     {20000, 20200}, {65530, 65535},
					     {65535, 65535}, {1, 65535}};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++) {
		uint16_t first = ranges[i][0], last = ranges[i][1];
		unsigned int n = last - first + 1u;
		_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(first, last, 1);
		_cleanup_free_ bool *seen = calloc(65536, sizeof(*seen));

		for (unsigned int taken = 0; taken < n; taken++) {
			uint16_t port = take(pool, 0);

			assert_in_range(port, first, last);
			assert_false(seen[port]);
			seen[port] = true;
		}
		assert_none_left(pool, 0);
		assert_usage(pool, 1, n, 0);
	}
}

/* RFC 6056 s3.3.1: the first one cannot be foretold. Of 64 pools over 2^15 ports all agree with
 * their neighbour once in 2^945 runs. */
static void take__begins_anywhere(void **state)
{
	bool is_same = true;
	uint16_t before = 0;

	for (int i = 0; i < 64; i++) {
		_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(32768, 65535, 1);
		uint16_t port = take(pool, 0);

		is_same = is_same && (i == 0 || port == before);
		before = port;
	}
	assert_false(is_same);
}

static void take__spaces_do_not_share_ports(void **state)
{
	static const char *const sources[] = {"10.0.0.1:0", "10.0.0.2:0", "[2001:db8::1]:0"};
	static const char *const endpoints[][2] = {{"10.0.0.9:1", "10.0.0.9:2"},
						   {"10.0.0.9:1", "10.0.0.8:1"},
						   {"[2001:db8::9]:1", "[2001:db8::8]:1"}};
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 100);

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		source = address_of(sources[i]);
		for (size_t j = 0; j < 2; j++) {
			endpoint = address_of(endpoints[i][j]);
			assert_int_equal(take(pool, 0), 7);
			assert_none_left(pool, 0);
		}
	}
	assert_usage(pool, 6, 6, 0);
}

/* The kernel gives the two scopes' same address apart; so must the pool. */
static void take__link_local_endpoints_differ_by_scope(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 100);

	source = address_of("[fe80::1%1]:0");
	endpoint = address_of("[fe80::2%1]:80");
	assert_int_equal(take(pool, 0), 7);
	endpoint.in6.sin6_scope_id = 2;
	assert_int_equal(take(pool, 0), 7);
	assert_none_left(pool, 0);
}

static void take__the_source_port_does_not_matter(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 1);

	assert_int_equal(take(pool, 0), 7);
	source = address_of("10.0.0.1:1234");
	assert_none_left(pool, 0);
}

static void take__refuses_what_has_no_ports(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(1, 9, 9);
	struct address local = address_of("unix:/x"), other = address_of("[::1]:0");
	uint16_t port;

	assert_int_equal(port_pool_take(pool, &local, &local, 0, &port), -EAFNOSUPPORT);
	assert_int_equal(port_pool_take(pool, &other, &endpoint, 0, &port), -EAFNOSUPPORT);
	assert_int_equal(port_pool_adopt(pool, &other, &endpoint, 5, 0), -EAFNOSUPPORT);
	port_pool_release(pool, &other, &endpoint, 5, 0);
	assert_usage(pool, 0, 0, 0);
}

static void release__quarantines_for_a_minute_at_least_and_five_quarters_at_most(void **state)
{
	/* Released at every phase of a quarter. */
	for (uint64_t phase = 0; phase < 16; phase++) {
		_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 1);
		uint64_t released = 1000 * SECOND + phase * SECOND;

		assert_int_equal(take(pool, released), 7);
		port_pool_release(pool, &source, &endpoint, 7, released);
		assert_usage(pool, 1, 0, 1);
		assert_none_left(pool, released);
		assert_none_left(pool, released + 60 * SECOND - 1);
		assert_int_equal(take(pool, released + 75 * SECOND), 7);
		assert_usage(pool, 1, 1, 0);
	}
}

/* Every port has its own minute, for many rounds of the slots, against a plain list of times. */
static void release__never_gives_a_port_again_too_early(void **state)
{
	enum {
		N = 40,
		STEPS = 4000
	};
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(1, N, 1);
	uint64_t released[N + 1] = {0}, now = 100 * SECOND;
	bool is_used[N + 1] = {false};
	unsigned int seed = 1;
	size_t n_taken = 0;

	for (int step = 0; step < STEPS; step++) {
		unsigned int port = 1 + (unsigned int)rand_r(&seed) % N;
		uint16_t got;

		now += (uint64_t)rand_r(&seed) % (3 * SECOND);
		if (is_used[port]) {
			port_pool_release(pool, &source, &endpoint, (uint16_t)port, now);
			is_used[port] = false;
			released[port] = now;
		} else if (port_pool_take(pool, &source, &endpoint, now, &got) == 0) {
			assert_false(is_used[got]);
			assert_true(released[got] == 0 || now - released[got] >= 60 * SECOND);
			is_used[got] = true;
			n_taken++;
		} else {
			for (unsigned int p = 1; p <= N; p++)
				assert_true(is_used[p] || now - released[p] < 75 * SECOND);
		}
	}
	assert_true(n_taken > STEPS / 10);
}

static void release__ignores_what_is_not_in_use(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(10, 20, 1);
	uint16_t port = take(pool, 0);
	uint16_t other = port == 10 ? 11 : 10;

	port_pool_release(pool, &source, &endpoint, other, 0);
	port_pool_release(pool, &source, &endpoint, 9, 0);
	port_pool_release(pool, &source, &endpoint, 21, 0);
	assert_usage(pool, 1, 1, 0);
	port_pool_release(pool, &source, &endpoint, port, 0);
	port_pool_release(pool, &source, &endpoint, port, 0);
	port_pool_give_back(pool, &source, &endpoint, port, 0);
	assert_usage(pool, 1, 0, 1);
}

static void give_back__frees_at_once(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 1);

	assert_int_equal(take(pool, 0), 7);
	port_pool_give_back(pool, &source, &endpoint, 7, 0);
	assert_usage(pool, 0, 0, 0);
	assert_int_equal(take(pool, 0), 7);
}

static void adopt__marks_a_port_as_used(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 8, 1);

	assert_int_equal(port_pool_adopt(pool, &source, &endpoint, 8, 0), 0);
	assert_int_equal(port_pool_adopt(pool, &source, &endpoint, 8, 0), -EEXIST);
	assert_int_equal(take(pool, 0), 7);
	assert_none_left(pool, 0);
	assert_int_equal(port_pool_adopt(pool, &source, &endpoint, 6, 0), -ERANGE);
	assert_int_equal(port_pool_adopt(pool, &source, &endpoint, 9, 0), -ERANGE);
	assert_usage(pool, 1, 2, 0);
	port_pool_release(pool, &source, &endpoint, 8, 0);
	assert_usage(pool, 1, 1, 1);
}

static void adopt__ends_a_quarantine(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 1);

	assert_int_equal(take(pool, 0), 7);
	port_pool_release(pool, &source, &endpoint, 7, 0);
	assert_int_equal(port_pool_adopt(pool, &source, &endpoint, 7, SECOND), 0);
	assert_usage(pool, 1, 1, 0);
	/* When its quarantine would have been over, it is still in use. */
	assert_none_left(pool, 100 * SECOND);
}

static void spaces__are_limited_and_freed_when_idle(void **state)
{
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool = pool_of(7, 7, 2);
	struct address others[3];
	uint16_t port;

	for (size_t i = 0; i < 3; i++) {
		others[i] = endpoint;
		address_set_port(&others[i], (uint16_t)(i + 1));
	}
	assert_int_equal(port_pool_take(pool, &source, &others[0], 0, &port), 0);
	assert_int_equal(port_pool_take(pool, &source, &others[1], 0, &port), 0);
	assert_int_equal(port_pool_take(pool, &source, &others[2], 0, &port), -ENOBUFS);
	assert_int_equal(port_pool_adopt(pool, &source, &others[2], 7, 0), -ENOBUFS);
	port_pool_release(pool, &source, &others[0], 7, 0);
	assert_usage(pool, 2, 1, 1);
	port_pool_sweep(pool, 60 * SECOND - 1);
	assert_usage(pool, 2, 1, 1);
	port_pool_sweep(pool, 75 * SECOND);
	assert_usage(pool, 1, 1, 0);
	assert_int_equal(port_pool_take(pool, &source, &others[2], 75 * SECOND, &port), 0);
}

/* ---- threads ------------------------------------------------------------------------------- */

enum {
	THREADS = 4,
	HELD = 50,
	ROUNDS = 4000
};

struct taker {
	struct port_pool *pool;
	_Atomic int *owners;     /* by port: how many have it */
	_Atomic uint64_t *clock; /* of all: goes on by some tenths of a second in a round */
	bool is_double;
};

static void let_go(struct taker *taker, uint16_t port, bool was_sent, uint64_t now)
{
	taker->owners[port]--;
	if (was_sent)
		port_pool_release(taker->pool, &source, &endpoint, port, now);
	else
		port_pool_give_back(taker->pool, &source, &endpoint, port, now);
}

/* Each holds up to HELD ports, so that all together compete for THREADS * HELD of as many. */
static void *take_and_release(void *arg)
{
	struct taker *taker = arg;
	uint16_t held[HELD];
	size_t n = 0;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t now = *taker->clock += SECOND / 10;
		uint16_t port;

		if (n < HELD && port_pool_take(taker->pool, &source, &endpoint, now, &port) == 0) {
			if (taker->owners[port]++ != 0)
				taker->is_double = true;
			held[n++] = port;
		} else if (n > 0) {
			let_go(taker, held[--n], round % 3 != 0, now);
		}
		if (round % 64 == 0)
			port_pool_sweep(taker->pool, now);
	}
	while (n > 0)
		let_go(taker, held[--n], true, *taker->clock);
	return NULL;
}

static void threads__no_port_has_two_owners(void **state)
{
	static _Atomic int owners[65536];
	static _Atomic uint64_t clock;
	_cleanup_(cleanup_port_pool_free) struct port_pool *pool =
	    pool_of(1000, 1000 + THREADS * HELD - 1, 1);
	struct taker takers[THREADS];
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++) {
		takers[i] = (struct taker){.pool = pool, .owners = owners, .clock = &clock};
		assert_int_equal(pthread_create(&threads[i], NULL, take_and_release, &takers[i]),
				 0);
	}
	for (size_t i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_false(takers[i].is_double);
	}
	port_pool_sweep(pool, clock + 75 * SECOND);
	assert_usage(pool, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(new__refuses_options_that_mean_nothing),
	    cmocka_unit_test_setup(take__gives_each_port_once_and_no_other, set_up),
	    cmocka_unit_test_setup(take__begins_anywhere, set_up),
	    cmocka_unit_test_setup(take__spaces_do_not_share_ports, set_up),
	    cmocka_unit_test_setup(take__link_local_endpoints_differ_by_scope, set_up),
	    cmocka_unit_test_setup(take__the_source_port_does_not_matter, set_up),
	    cmocka_unit_test_setup(take__refuses_what_has_no_ports, set_up),
	    cmocka_unit_test_setup(
		release__quarantines_for_a_minute_at_least_and_five_quarters_at_most, set_up),
	    cmocka_unit_test_setup(release__never_gives_a_port_again_too_early, set_up),
	    cmocka_unit_test_setup(release__ignores_what_is_not_in_use, set_up),
	    cmocka_unit_test_setup(give_back__frees_at_once, set_up),
	    cmocka_unit_test_setup(adopt__marks_a_port_as_used, set_up),
	    cmocka_unit_test_setup(adopt__ends_a_quarantine, set_up),
	    cmocka_unit_test_setup(spaces__are_limited_and_freed_when_idle, set_up),
	    cmocka_unit_test_setup(threads__no_port_has_two_owners, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
