/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules 1 to 3 of sluice/flow.h under threads: two hooks, one for each direction, that send what
 * is dropped again; one that activates, holds and releases, with pauses at every step; and one
 * that watches.
 *
 * Both legs have the same numbers, so that all deltas are 0. A direction's bytes are `taken` by
 * the daemon's socket in LEARN; in ACTIVE they reach the far end, which acknowledges them. And
 * connections that end meanwhile.
 */
#include "bpf/splice_control.h"

#include "base/std.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define N_ROUNDS 1000
#define FAR_NS   1000000000000000 /* later than ever */

struct race {
	struct sl_flow flows[2];
	uint32_t taken[2]; /* by the sockets; written by hooks in LEARN, and while there is none */
	uint32_t stop;
	uint32_t n_passed, n_forwarded, n_dropped, n_expired, n_lowered;
};

struct hook {
	struct race *race;
	int direction;
	uint32_t next; /* byte to be sent */
	uint64_t random;
};

static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 40);
}

static void count(uint32_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* Threads whose life is so short share a CPU to its end if nobody moves them. */
static void go_to_cpu(int number)
{
	cpu_set_t allowed, one;
	int cpu = -1;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return;
	for (number %= CPU_COUNT(&allowed); number >= 0; number -= CPU_ISSET(cpu, &allowed) != 0)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

/* Who yields on a busy machine is back after milliseconds: seldom. The rest is spent here. */
static void pause_a_little(uint64_t *random)
{
	uint32_t n = draw(random) % 32;

	if (n == 0)
		sched_yield();
	for (volatile uint32_t i = 0; i < n * 2; i++)
		;
}

/*
 * The clock of all: a look at it takes a microsecond. A HOLD so ends by what others do meanwhile,
 * and not by the time that somebody had no CPU.
 */
static uint64_t look_ns(void)
{
	static uint64_t now_ns;

	return __atomic_add_fetch(&now_ns, 1000, __ATOMIC_RELAXED);
}

/*
 * Of HOLDs there are those that are over at once, those that may be, and those that last as long as
 * it takes: of these no machine is too busy to see the end.
 */
static struct sl_holding draw_holding(__u32 before, uint64_t *random)
{
	uint64_t now_ns = look_ns();

	switch (draw(random) % 4) {
	case 0:
		return sl_holding_new(before, now_ns, FAR_NS);
	case 1:
		return sl_holding_new(before, now_ns, 1000 * (draw(random) % 4));
	default:
		return sl_holding_new(before, now_ns, 1000 * (draw(random) % 100));
	}
}

/* ---- hooks ----------------------------------------------------------------------------------- */

/* What sl_admit() does, without frames. */
static bool is_admitted(struct sl_flow *flow, const struct sl_segment *segment)
{
	const struct sl_policy policy = {0};
	struct sl_walking w = {0};

	if (!sl_is_beyond(flow, segment))
		return sl_may_pass_unmoved(flow);
	return sl_walk_begin(flow, &policy, segment, &w) == 0 &&
	       sl_walk_end(flow, segment, &w) == 0;
}

/* What bpf/splice_handle.bpf.h does with a packet of the flow. Return: false if it was dropped. */
static bool hook_packet(struct hook *hook, uint32_t end)
{
	const struct sl_segment segment = {.seq = hook->next,
					   .end = end,
					   .payload = end - hook->next};
	struct race *race = hook->race;
	struct sl_flow *flow = &race->flows[hook->direction];
	struct sl_flow *other = &race->flows[!hook->direction];
	int expired = 0;
	__u32 before, state;

	if (!sl_end_seq_publish(flow, end, &before))
		return false;
	pause_a_little(&hook->random);
	state = SL_READ(flow->state);
	if (sl_is_hold(state))
		state = sl_state_settle(flow, &race->flows[0], look_ns(), &expired);
	if (expired)
		count(&race->n_expired);
	if (sl_is_hold(state)) {
		count(&race->n_dropped);
		return false;
	}
	pause_a_little(&hook->random);
	if (state == SL_LEARN) {
		count(&race->n_passed);
		SL_WRITE(race->taken[hook->direction], end);
	} else if (!is_admitted(flow, &segment)) {
		count(&race->n_dropped);
		return false;
	} else {
		pause_a_little(&hook->random);
		count(&race->n_forwarded);
	}
	SL_WRITE(other->ack, end); /* by who has it now */
	return true;
}

static void *hook_run(void *data)
{
	struct hook *hook = data;

	go_to_cpu(hook->direction);
	while (!SL_READ(hook->race->stop)) {
		uint32_t end = hook->next + draw(&hook->random) % 3;

		if (hook_packet(hook, end))
			hook->next = end;
		pause_a_little(&hook->random);
	}
	return NULL;
}

static void *watch_run(void *data)
{
	struct race *race = data;
	uint32_t last[2] = {SL_READ(race->flows[0].end_seq), SL_READ(race->flows[1].end_seq)};

	while (!SL_READ(race->stop)) {
		for (int i = 0; i < 2; i++) {
			uint32_t now = SL_READ(race->flows[i].end_seq);

			if (sl_after(last[i], now))
				count(&race->n_lowered);
			last[i] = now;
		}
		sched_yield();
	}
	return NULL;
}

/* ---- who activates and holds ----------------------------------------------------------------- */

struct driver {
	struct race *race;
	struct sl_pair pair;
	uint64_t random;
	uint32_t n[6]; /* results of activations, by enum sl_ctl_result */
	uint32_t n_held, n_busy, n_late;
};

static void assert_both(const struct driver *driver, __u32 state)
{
	assert_int_equal(SL_READ(driver->pair.first->state), state);
	assert_int_equal(SL_READ(driver->pair.second->state), state);
}

/* Long enough, now and then, for the hooks to end the HOLD. */
static void dawdle(struct driver *driver, const struct sl_holding *holding)
{
	bool wait_for_it = draw(&driver->random) % 8 == 0 && holding->deadline_ns < FAR_NS;

	pause_a_little(&driver->random);
	while (wait_for_it && SL_READ(driver->pair.first->state) == holding->word)
		sched_yield();
}

static __u32 try_activate(struct driver *driver)
{
	struct race *race = driver->race;
	struct sl_activate_args args = {0};
	struct sl_holding holding = draw_holding(SL_LEARN, &driver->random);
	__u32 result;

	args.legs[0].rcv_nxt = args.legs[1].snd_nxt = SL_READ(race->taken[0]);
	args.legs[1].rcv_nxt = args.legs[0].snd_nxt = SL_READ(race->taken[1]);
	pause_a_little(&driver->random);
	result = sl_activate_begin(&driver->pair, &args, &holding);
	assert_int_equal(result, SL_CTL_DONE);
	dawdle(driver, &holding);
	result = sl_activate_end(&driver->pair, &args, &holding, look_ns());
	assert_both(driver, result == SL_CTL_DONE ? SL_ACTIVE : SL_LEARN);
	return result;
}

/* Rule 1: nothing has passed up since the sockets were captured. */
static void assert_nothing_taken(const struct driver *driver, const uint32_t *taken)
{
	for (int i = 0; i < 2; i++)
		assert_int_equal(SL_READ(driver->race->taken[i]), taken[i]);
}

/* Back to LEARN, with sockets that have all that has passed. Return: false if it is not quiet. */
static bool try_hold(struct driver *driver, uint32_t *taken)
{
	struct sl_hold_args args = {0};
	struct sl_holding holding = draw_holding(SL_ACTIVE, &driver->random);
	__u32 result = sl_hold_begin(&driver->pair, &args, &holding);

	assert_nothing_taken(driver, taken);
	if (result == SL_CTL_DATA) {
		/* It may have ended by itself as well: the same. */
		assert_both(driver, SL_ACTIVE);
		driver->n_busy++;
		return false;
	}
	assert_int_equal(result, SL_CTL_DONE);
	for (int i = 0; i < 2; i++) {
		SL_WRITE(driver->race->taken[i], args.got_end[i]);
		taken[i] = args.got_end[i];
	}
	dawdle(driver, &holding);
	result = sl_hold_release(&driver->pair, SL_LEARN);
	if (result == SL_CTL_DONE) {
		assert_both(driver, SL_LEARN);
		driver->n_held++;
		return true;
	}
	assert_int_equal(result, SL_CTL_LATE);
	sl_pair_settle(&driver->pair, look_ns());
	assert_both(driver, SL_ACTIVE);
	assert_nothing_taken(driver, taken);
	driver->n_late++;
	return false;
}

static void drive(struct driver *driver)
{
	while (driver->n[SL_CTL_DONE] < N_ROUNDS) {
		uint32_t taken[2];
		__u32 result = try_activate(driver);

		driver->n[result]++;
		pause_a_little(&driver->random);
		if (result != SL_CTL_DONE)
			continue;
		for (int i = 0; i < 2; i++)
			taken[i] = SL_READ(driver->race->taken[i]);
		do {
			pause_a_little(&driver->random);
			assert_nothing_taken(driver, taken);
		} while (!try_hold(driver, taken));
	}
}

static void states__change_for_both_and_lose_nothing(void **state)
{
	/* Numbers that wrap on the way. */
	struct race race = {.flows = {{.end_seq = 0xfffff000, .marks = SL_M_SEEN},
				      {.end_seq = 0xffffff00, .marks = SL_M_SEEN}},
			    .taken = {0xfffff000, 0xffffff00}};
	struct hook hooks[2] = {{.race = &race, .direction = 0, .next = 0xfffff000, .random = 1},
				{.race = &race, .direction = 1, .next = 0xffffff00, .random = 2}};
	struct driver driver = {.race = &race,
				.pair = {&race.flows[0], &race.flows[1]},
				.random = 3};
	pthread_t threads[3];

	race.flows[0].ack = 0xffffff00;
	race.flows[1].ack = 0xfffff000;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hook_run, &hooks[i]), 0);
	assert_int_equal(pthread_create(&threads[2], NULL, watch_run, &race), 0);
	drive(&driver);
	SL_WRITE(race.stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);

	assert_int_equal(race.n_lowered, 0);
	/* All that can happen has happened. */
	assert_true(driver.n[SL_CTL_DATA] > 0);
	assert_true(driver.n[SL_CTL_LATE] > 0);
	assert_true(driver.n_held > 0 && driver.n_busy > 0 && driver.n_late > 0);
	assert_true(race.n_passed > 0 && race.n_forwarded > 0 && race.n_dropped > 0);
	assert_true(race.n_expired > 0);
	print_message("activations: %u done, %u data, %u late; holds: %u done, %u busy, %u late; "
		      "packets: %u passed, %u forwarded, %u dropped; %u expired\n",
		      driver.n[SL_CTL_DONE], driver.n[SL_CTL_DATA], driver.n[SL_CTL_LATE],
		      driver.n_held, driver.n_busy, driver.n_late, race.n_passed, race.n_forwarded,
		      race.n_dropped, race.n_expired);
}

/* ---- ends ------------------------------------------------------------------------------------ */

#define N_ENDINGS 1500

/* A connection that ends while it is held, and given back, and spliced again. */
struct ending {
	struct race race;
	struct hook hook; /* of the side that ends it */
	bool is_fin;
	uint32_t stop;
	uint32_t has_passed; /* in ACTIVE */
	uint32_t n_closed;   /* calls that say that they have closed it */
};

/* The RST, or FIN, as long as it is dropped; then what that side sends behind it. */
static void *ending_run(void *data)
{
	struct ending *ending = data;
	struct sl_flow *flow = &ending->race.flows[ending->hook.direction];
	struct sl_flow *other = &ending->race.flows[!ending->hook.direction];
	uint32_t end = SL_READ(flow->end_seq) + ending->is_fin;

	go_to_cpu(ending->hook.direction);
	while (!SL_READ(ending->stop) && !SL_READ(ending->n_closed)) {
		int expired;
		__u32 before, state;

		pause_a_little(&ending->hook.random);
		if (!sl_end_seq_publish(flow, end, &before))
			continue;
		state = sl_state_settle(flow, &ending->race.flows[0], look_ns(), &expired);
		pause_a_little(&ending->hook.random);
		if (state == SL_LEARN)
			break; /* the daemon's sockets have it */
		if (sl_is_hold(state))
			continue;
		sl_mark(flow, ending->is_fin ? SL_M_FIN : SL_M_RST);
		pause_a_little(&ending->hook.random);
		if (ending->is_fin && !sl_may_pass_unmoved(flow))
			continue;
		SL_WRITE(ending->has_passed, 1);
		SL_WRITE(other->ack, end); /* by who has it now */
		if (!ending->is_fin && sl_close(&ending->race.flows[0], &ending->race.flows[1]))
			count(&ending->n_closed);
	}
	return NULL;
}

/* Packets of the other direction, which end a HOLD that is past its deadline. */
static void *bystander_run(void *data)
{
	struct ending *ending = data;
	struct sl_flow *flow = &ending->race.flows[!ending->hook.direction];

	go_to_cpu(!ending->hook.direction);
	while (!SL_READ(ending->stop)) {
		int expired;

		sl_state_settle(flow, &ending->race.flows[0], look_ns(), &expired);
		sched_yield();
	}
	return NULL;
}

/* Return: false if it has been given back for good. */
static bool drive_ending(struct ending *ending, const struct sl_pair *pair, uint64_t *random)
{
	struct sl_hold_args args = {0};
	struct sl_activate_args back = {0};
	struct sl_holding holding = draw_holding(SL_ACTIVE, random);
	bool had_passed = SL_READ(ending->has_passed);
	__u32 result = sl_hold_begin(pair, &args, &holding);

	if (result != SL_CTL_DONE)
		return true;
	/* Nobody gives sockets back of a connection whose end has passed. */
	assert_false(had_passed);
	pause_a_little(random);
	/*
	 * Rule 6: this holds also for a FIN that was on its way then, as long as the HOLD lasts,
	 * which may be over as soon as that was asked.
	 */
	assert_false(ending->is_fin && SL_READ(ending->has_passed) &&
		     SL_READ(pair->first->state) == holding.word);
	if (sl_hold_release(pair, draw(random) % 2 ? SL_LEARN : SL_ACTIVE) != SL_CTL_DONE ||
	    SL_READ(pair->first->state) != SL_LEARN)
		return true;
	for (int i = 0; i < 2; i++)
		back.legs[i].rcv_nxt = back.legs[!i].snd_nxt = args.got_end[i];
	holding = draw_holding(SL_LEARN, random);
	if (sl_activate_begin(pair, &back, &holding) != SL_CTL_DONE)
		return false;
	pause_a_little(random);
	return sl_activate_end(pair, &back, &holding, look_ns()) == SL_CTL_DONE;
}

static void end__meets_holds_at_any_time(void **state)
{
	uint32_t n_closed = 0, n_given_back = 0;
	uint64_t random = 5;

	for (uint32_t i = 0; i < N_ENDINGS; i++) {
		struct ending ending = {
		    .race =
			{.flows =
			     {{.state = SL_ACTIVE, .end_seq = 500, .base_seq = 500, .ack = 700},
			      {.state = SL_ACTIVE, .end_seq = 700, .base_seq = 700, .ack = 500}}},
		    .hook = {.direction = (int)(i & 1), .random = i},
		    .is_fin = i & 2,
		};
		const struct sl_pair pair = {&ending.race.flows[0], &ending.race.flows[1]};
		bool is_ours = true;
		pthread_t threads[2];

		for (int k = 0; k < 2; k++)
			ending.race.flows[k].marks = SL_M_SEEN;
		assert_int_equal(pthread_create(&threads[0], NULL, ending_run, &ending), 0);
		assert_int_equal(pthread_create(&threads[1], NULL, bystander_run, &ending), 0);
		for (int k = 0; k < 20 && is_ours; k++)
			is_ours = drive_ending(&ending, &pair, &random);
		SL_WRITE(ending.stop, 1);
		for (int k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		sl_pair_settle(&pair, UINT64_MAX);
		assert_true(ending.n_closed <= 1);
		assert_int_equal(pair.first->state, pair.second->state);
		if (ending.n_closed)
			assert_int_equal(pair.first->state, SL_CLOSED);
		else
			assert_int_not_equal(pair.first->state, SL_CLOSED);
		n_closed += ending.n_closed;
		n_given_back += !is_ours;
	}
	assert_true(n_closed > 0 && n_given_back > 0);
	print_message("%u endings: %u closed, %u given back\n", N_ENDINGS, n_closed, n_given_back);
}

/* Many that publish at once: the end is the highest of all, and each saw it grow only. */
struct publisher {
	struct sl_flow *flow;
	uint32_t first;
	uint32_t n_wrong;
};

#define N_PUBLISHED 50000

static void *publish_run(void *data)
{
	struct publisher *publisher = data;
	__u32 before, last = SL_READ(publisher->flow->end_seq);

	for (uint32_t i = 0; i < N_PUBLISHED; i++) {
		uint32_t end = publisher->first + i * 3;

		while (!sl_end_seq_publish(publisher->flow, end, &before))
			; /* it is sent again */
		publisher->n_wrong += sl_after(last, before) ? 1 : 0;
		last = SL_READ(publisher->flow->end_seq);
		publisher->n_wrong += sl_after(end, last) ? 1 : 0;
	}
	return NULL;
}

static void end_seq__is_the_highest_of_all(void **state)
{
	struct sl_flow flow = {.end_seq = 0xffff0000};
	struct publisher publishers[3];
	pthread_t threads[3];

	for (uint32_t i = 0; i < 3; i++) {
		publishers[i] = (struct publisher){.flow = &flow, .first = 0xffff0000 + i};
		assert_int_equal(pthread_create(&threads[i], NULL, publish_run, &publishers[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(publishers[i].n_wrong, 0);
	}
	assert_int_equal(flow.end_seq, 0xffff0002 + (N_PUBLISHED - 1) * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(states__change_for_both_and_lose_nothing),
	    cmocka_unit_test(end__meets_holds_at_any_time),
	    cmocka_unit_test(end_seq__is_the_highest_of_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
