/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame walker on several CPUs at once, which have segments of the same stream, and send again
 * what was dropped, while somebody holds the connection and lets it go on (rules 5 and 6 of
 * sluice/flow.h).
 */
#include "bpf/splice_control.h"
#include "lib/splice_walker.h"
#include "lib/ws_stream.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N_CPUS   3
#define N_ROUNDS 12
#define BASE_SEQ 0xffffe000u

struct race {
	struct sl_flow flow, other;
	struct sl_policy policy;
	const struct ws_stream *stream;
	bool is_honest;      /* the receiver acknowledges what has come, and not what may come */
	uint64_t passed_end; /* by who has let a segment pass */
	uint32_t n_dropped;
};

struct cpu {
	struct race *race;
	uint64_t random;
};

static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 40);
}

static void pause_a_little(uint64_t *random)
{
	if (draw(random) % 8 == 0)
		sched_yield();
}

/* What sl_admit() does. */
static int admit(struct cpu *cpu, const struct sl_segment *segment, const uint8_t *bytes)
{
	struct race *race = cpu->race;
	bool is_strict = sl_walk_is_strict(&race->policy, SL_READ(race->flow.walk.flags));
	struct sl_walking w = {0};
	uint32_t n_steps = 0;
	int why;

	if (!sl_may_still_pass(&race->flow))
		return SL_STAT_DROP_HOLD;
	if (!sl_is_beyond(&race->flow, segment))
		return sl_may_pass_unmoved(&race->flow) ? 0 : SL_STAT_DROP_HOLD;
	why = sl_walk_refuse(&race->flow, segment, is_strict, 1);
	if (why == 0)
		why = sl_walk_begin(&race->flow, &race->policy, segment, &w);
	if (why)
		return why;
	pause_a_little(&cpu->random);
	splice_walker_steps(&w, bytes, segment->payload, &n_steps);
	pause_a_little(&cpu->random);
	return sl_walk_end(&race->flow, segment, &w);
}

static uint32_t passed_seq(struct race *race)
{
	return BASE_SEQ + (uint32_t)SL_READ(race->passed_end);
}

static void receive(struct race *race, uint64_t end)
{
	uint64_t seen = SL_READ(race->passed_end);

	while (end > seen && !__atomic_compare_exchange_n(&race->passed_end, &seen, end, false,
							  __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		continue;
}

static void *cpu_run(void *data)
{
	struct cpu *cpu = data;
	struct race *race = cpu->race;
	size_t len = race->stream->len;

	for (;;) {
		size_t at = SL_READ(race->passed_end), n = 1 + draw(&cpu->random) % 90;
		size_t back = draw(&cpu->random) % 50;
		struct sl_segment segment = {0};
		int why;

		if (at >= len)
			break;
		at -= MIN(at, back);
		n = MIN(n, len - at);
		segment.seq = BASE_SEQ + (uint32_t)at;
		segment.payload = (__u32)n;
		why = admit(cpu, &segment, race->stream->bytes + at);
		if (why)
			__atomic_fetch_add(&race->n_dropped, 1, __ATOMIC_RELAXED);
		else
			receive(race, at + n);
		if (why == SL_STAT_DROP_HOLD)
			sched_yield(); /* or who holds might wait for the end of our time slice */
		pause_a_little(&cpu->random);
	}
	return NULL;
}

/* Rule 6: in a HOLD that is DONE the position stands, and the walker stands there, too. */
static void hold_now_and_then(struct race *race, uint32_t *n_done, uint32_t *n_busy)
{
	const struct sl_pair pair = {&race->flow, &race->other};
	uint64_t random = 99;

	for (uint32_t number = 1; SL_READ(race->flow.payload_bytes) < race->stream->len; number++) {
		struct sl_holding holding = sl_holding_new(SL_ACTIVE, number << 8, UINT64_MAX / 2);
		struct sl_hold_args args = {0};
		struct sl_walk walk, again;
		bool is_walked;

		/* All that has passed so far is acknowledged; perhaps more has by then. */
		SL_WRITE(race->other.ack,
			 race->is_honest ? passed_seq(race) : sl_position_barrier(&race->flow));
		pause_a_little(&random);
		if (sl_hold_begin(&pair, &args, &holding) != SL_CTL_DONE) {
			(*n_busy)++;
			sched_yield();
			continue;
		}
		(*n_done)++;
		sl_walk_read(&race->flow, &walk);
		for (int i = 0; i < 20; i++) {
			sched_yield();
			sl_walk_read(&race->flow, &again);
			assert_int_equal(again.payload_left, walk.payload_left);
			assert_int_equal(again.stage, walk.stage);
			assert_int_equal(again.message_len, walk.message_len);
		}
		is_walked = !(SL_READ(race->flow.walk.flags) & SL_W_LOST);
		/* Where nobody walks, one who was late may have moved it. */
		if (sl_position_barrier(&race->flow) != args.got_end[0])
			assert_true(SL_READ(race->flow.walk.flags) & SL_W_LOST);
		/* All before got_end passes, if it has not yet, and nothing behind it. */
		while (passed_seq(race) != args.got_end[0] && (race->is_honest || is_walked)) {
			assert_true(sl_after(args.got_end[0], passed_seq(race)));
			sched_yield();
		}
		assert_int_equal(sl_hold_release(&pair, SL_ACTIVE), SL_CTL_DONE);
	}
}

static struct ws_stream *long_stream(uint64_t *random)
{
	static const uint8_t payload[200];
	struct ws_stream *s = ws_stream_new(true);

	for (int i = 0; i < 1500; i++)
		ws_stream_frame(s, FIN | (1 + draw(random) % 2), payload,
				draw(random) % sizeof(payload));
	return s;
}

static void walk__is_exact_or_lost_on_any_number_of_cpus(void **state)
{
	static const __u8 WALKS[] = {SL_WALK_STRICT, SL_WALK_OBSERVE, SL_WALK_OFF};
	uint32_t n_done = 0, n_busy = 0, n_exact = 0, n_lost = 0, n_dropped = 0;
	uint64_t random = 1;

	for (uint32_t round = 0; round < N_ROUNDS; round++) {
		_cleanup_stream_ struct ws_stream *s = long_stream(&random);
		struct race race = {
		    .flow = {.state = SL_ACTIVE, .base_seq = BASE_SEQ, .walk.flags = SL_W_ON},
		    .other = {.state = SL_ACTIVE, .direction = SL_TO_CLIENT},
		    .policy.walk = WALKS[round % ARRAY_SIZE(WALKS)],
		    .stream = s,
		    .is_honest = round & 1,
		};
		struct ws_message_limits none = {0};
		struct relay_walker relay;
		struct cpu cpus[N_CPUS];
		pthread_t threads[N_CPUS];

		relay_walker_init(&relay, true, &none);
		relay_walker_send(&relay, s->bytes, s->len);
		for (uint32_t i = 0; i < N_CPUS; i++) {
			cpus[i] = (struct cpu){.race = &race, .random = round * 10 + i};
			assert_int_equal(pthread_create(&threads[i], NULL, cpu_run, &cpus[i]), 0);
		}
		hold_now_and_then(&race, &n_done, &n_busy);
		for (uint32_t i = 0; i < N_CPUS; i++)
			pthread_join(threads[i], NULL);
		assert_true(race.flow.payload_bytes == s->len);
		assert_false(race.flow.walk.flags & (SL_W_BUSY | SL_W_WRONG));
		n_dropped += race.n_dropped;
		if (race.flow.walk.flags & SL_W_LOST) {
			assert_int_not_equal(race.policy.walk, SL_WALK_STRICT);
			n_lost++;
			continue;
		}
		n_exact++;
		assert_int_equal(race.flow.frames[0], relay.walker.frames[WS_KIND_TEXT]);
		assert_int_equal(race.flow.frames[1], relay.walker.frames[WS_KIND_BINARY]);
		assert_int_equal(race.flow.walk.stage, SL_WALK_FIRST);
	}
	print_message("%u exact, %u lost; holds: %u done, %u busy; %u dropped\n", n_exact, n_lost,
		      n_done, n_busy, n_dropped);
	assert_true(n_done > 0 && n_busy > 0 && n_dropped > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(walk__is_exact_or_lost_on_any_number_of_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
