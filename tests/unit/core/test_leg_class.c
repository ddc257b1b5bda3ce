/* SPDX-License-Identifier: Apache-2.0 */
#include "core/leg_class.h"

#include "base/random.h"
#include "core/config_class.h"
#include "lib/worker_fixture.h"

#define TEXT                                                               \
	LISTENER "class bytes { rate_bytes = 100kb burst_bytes = 20kb }\n" \
		 "class frames { rate_frames = 50 burst_frames = 5 }\n"    \
		 "class marks { priority = 4 }\n"                          \
		 "route r { echo = true }\n"

#define SECOND_NS    NS_PER_S
#define SHORTEST     6u /* bytes of a client's frame */
#define HEADER_EXTRA (WS_FRAME_HEADER_MAX / SHORTEST + 1)

/* ---- buckets, by a clock of the test's own ------------------------------------------------- */

struct stream {
	struct leg_limit limit;
	uint64_t now_ns, begin_ns;
	uint64_t n_bytes, n_frames, n_reads;
};

static void stream_init(struct stream *s, uint64_t rate_bytes, uint64_t burst_bytes,
			uint64_t rate_frames, uint64_t burst_frames)
{
	*s = (struct stream){.now_ns = SECOND_NS, .begin_ns = SECOND_NS};
	token_bucket_init(&s->limit.bytes, rate_bytes, burst_bytes);
	token_bucket_init(&s->limit.frames, rate_frames, burst_frames);
}

/* A peer that always has more, in frames of @frame bytes: one read, and the pause behind it. */
static void read_once(struct stream *s, uint64_t frame)
{
	uint64_t left = (frame - s->n_bytes % frame) % frame, before = s->n_bytes / frame;
	size_t room = leg_limit_room(&s->limit, left, SHORTEST, s->now_ns);

	assert_in_range(room, 1, LEG_READ_MAX);
	s->n_reads++;
	s->n_bytes += room;
	s->n_frames = s->n_bytes / frame;
	s->now_ns += leg_limit_charge(&s->limit, room, s->n_frames - before, s->now_ns);
}

/* What a read costs is rounded down to whole ns. */
static uint64_t allowed(const struct stream *s, uint64_t rate, uint64_t burst)
{
	return burst + (s->now_ns - s->begin_ns + s->n_reads) * rate / SECOND_NS + 1;
}

static void limit__keeps_to_the_rate_of_bytes(void **state)
{
	static const uint64_t rates[] = {4096, 100000, 1 << 20, 1000 << 20};

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct stream s;

		stream_init(&s, rates[i], 8192, 0, 0);
		while (s.now_ns < 20 * SECOND_NS && s.n_bytes < (UINT64_C(1) << 30)) {
			uint64_t before = s.n_bytes;

			read_once(&s, 1000);
			/* At most a small read was too much. */
			assert_true(before <= allowed(&s, rates[i], 8192));
			assert_true(s.n_bytes <= allowed(&s, rates[i], 8192) + 1024);
		}
		/* And nothing is given away. */
		assert_true(s.n_bytes + 1024 >= (s.now_ns - s.begin_ns) * rates[i] / SECOND_NS);
	}
}

static void limit__keeps_to_the_rate_of_frames(void **state)
{
	static const uint64_t sizes[] = {6, 7, 20, 132, 5000, 70000, 1000000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct stream s;

		stream_init(&s, 0, 0, 50, 5);
		while (s.now_ns < 20 * SECOND_NS) {
			read_once(&s, sizes[i]);
			assert_true(s.n_frames <= allowed(&s, 50, 5) + HEADER_EXTRA);
		}
		assert_true(s.n_frames + HEADER_EXTRA >= allowed(&s, 50, 0));
	}
}

static void limit__the_stricter_one_holds(void **state)
{
	struct stream s;

	stream_init(&s, 100000, 5000, 50, 5);
	while (s.now_ns < 20 * SECOND_NS)
		read_once(&s, 100); /* 5,000 bytes a second */
	assert_in_range(s.n_frames, 50 * 18, 50 * 20 + 5 + HEADER_EXTRA);
	stream_init(&s, 100000, 5000, 50, 5);
	while (s.now_ns < 20 * SECOND_NS)
		read_once(&s, 10000); /* 10 frames a second */
	assert_in_range(s.n_bytes, 100000 * 18, 100000 * 20 + 5000 + 1024);
}

/* ---- legs ---------------------------------------------------------------------------------- */

struct given {
	struct worker_fixture f;
	struct connection *c;
	struct leg *leg;
	int peer_fd;
};

static void given_init(struct given *g)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNIX};
	int fds[2];

	worker_fixture_init(&g->f, TEXT);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	g->peer_fd = fds[1];
	assert_int_equal(connection_new(g->f.worker, &g->f.config->listeners[0], fds[0], &nowhere,
					&g->c),
			 0);
	g->leg = &g->c->client;
}

static void given_done(struct given *g)
{
	connection_end(g->c, EEND_EOF);
	close(g->peer_fd);
	worker_fixture_done(&g->f);
}

static const struct config_class *class_of(const struct given *g, const char *name)
{
	return config_class_find(g->f.config, name);
}

static bool is_read(const struct given *g)
{
	return ev_is_active(&g->leg->on_readable);
}

static void leg__without_a_rate_has_no_limit(void **state)
{
	struct given g;

	given_init(&g);
	assert_int_equal(leg_class_apply(g.leg, NULL, class_of(&g, "marks"), NULL), 0);
	assert_null(g.leg->limit);
	assert_int_equal(leg_class_room(g.leg, 0, SHORTEST), LEG_READ_MAX);
	leg_class_charge(g.leg, UINT32_MAX, 1);
	leg_start_reading(g.leg);
	assert_true(is_read(&g));
	given_done(&g);
}

static void leg__pauses_and_goes_on(void **state)
{
	struct given g;

	given_init(&g);
	assert_int_equal(leg_class_apply(g.leg, NULL, class_of(&g, "frames"), NULL), 0);
	leg_start_reading(g.leg);
	leg_class_charge(g.leg, 60, 5);
	assert_true(is_read(&g)); /* a full bucket */
	leg_class_charge(g.leg, 12, 1);
	assert_false(is_read(&g));
	leg_start_reading(g.leg); /* whoever wants it now has to wait */
	assert_false(is_read(&g));
	while (!is_read(&g))
		ev_run(g.f.worker->loop, EVRUN_ONCE);
	leg_class_charge(g.leg, 12, 1);
	leg_stop_reading(g.leg); /* and who does not want it any more is heeded */
	while (g.leg->is_paused)
		ev_run(g.f.worker->loop, EVRUN_ONCE);
	assert_false(is_read(&g));
	given_done(&g);
}

static void leg__that_closes_is_read_at_once(void **state)
{
	struct given g;

	given_init(&g);
	assert_int_equal(leg_class_apply(g.leg, NULL, class_of(&g, "bytes"), NULL), 0);
	leg_start_reading(g.leg);
	leg_class_charge(g.leg, UINT64_C(1) << 30, 0); /* for three hours */
	assert_false(is_read(&g));
	leg_class_lift(g.leg);
	assert_true(is_read(&g));
	leg_class_charge(g.leg, UINT64_C(1) << 30, 0);
	assert_true(is_read(&g));
	given_done(&g);
}

static void apply__keeps_a_bucket_whose_numbers_stay(void **state)
{
	const struct config_class *bytes, *frames;
	struct given g;

	given_init(&g);
	bytes = class_of(&g, "bytes");
	frames = class_of(&g, "frames");
	assert_int_equal(leg_class_apply(g.leg, NULL, bytes, NULL), 0);
	leg_start_reading(g.leg);
	leg_class_charge(g.leg, UINT64_C(1) << 30, 0);
	assert_int_equal(leg_class_apply(g.leg, bytes, bytes, NULL), 0);
	assert_false(is_read(&g));
	assert_true(leg_limit_charge(g.leg->limit, 1, 0, clock_monotonic_ns()) > 0);
	/* Other numbers are another bucket, and the debt is gone. */
	assert_int_equal(leg_class_apply(g.leg, bytes, frames, NULL), 0);
	assert_true(is_read(&g));
	leg_class_charge(g.leg, 1000, 1);
	assert_true(is_read(&g));
	given_done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(limit__keeps_to_the_rate_of_bytes),
	    cmocka_unit_test(limit__keeps_to_the_rate_of_frames),
	    cmocka_unit_test(limit__the_stricter_one_holds),
	    cmocka_unit_test(leg__without_a_rate_has_no_limit),
	    cmocka_unit_test(leg__pauses_and_goes_on),
	    cmocka_unit_test(leg__that_closes_is_read_at_once),
	    cmocka_unit_test(apply__keeps_a_bucket_whose_numbers_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
