/* SPDX-License-Identifier: Apache-2.0 */
#include "route/breaker.h"

#define PHASE_OFF 0u /* of requests that are not counted */

/* The diagram of breaker.h, and CLOSED from everywhere when the breaker is turned off. */
static const uint8_t transitions[BREAKER_STATES] = {
#define TO(state) (1u << BREAKER_##state)
    [BREAKER_CLOSED] = TO(OPEN),
    [BREAKER_OPEN] = TO(HALF_OPEN) | TO(CLOSED),
    [BREAKER_HALF_OPEN] = TO(OPEN) | TO(CLOSED),
#undef TO
};

static const char *const names[BREAKER_STATES] = {
    [BREAKER_CLOSED] = "closed",
    [BREAKER_OPEN] = "open",
    [BREAKER_HALF_OPEN] = "half_open",
};

void breaker_init(struct breaker *b)
{
	*b = (struct breaker){.phase = PHASE_OFF + 1};
	pthread_mutex_init(&b->lock, NULL);
}

void breaker_done(struct breaker *b)
{
	pthread_mutex_destroy(&b->lock);
}

enum breaker_state breaker_state(const struct breaker *b)
{
	return atomic_load_explicit(&b->state, memory_order_relaxed);
}

const char *breaker_state_name(enum breaker_state state)
{
	return names[state];
}

/* ---- under the lock ------------------------------------------------------------------------ */

/* The only writer of state. */
static int enter(struct breaker *b, enum breaker_state state, uint64_t open_until_ns)
{
	assert(transitions[breaker_state(b)] & (1u << state));
	atomic_store_explicit(&b->state, (uint8_t)state, memory_order_relaxed);
	b->phase++;
	b->open_until_ns = open_until_ns;
	b->n_trials = 0;
	b->n_succeeded = 0;
	memset(b->buckets, 0, sizeof(b->buckets));
	return (int)state;
}

static struct breaker_bucket *bucket_at(struct breaker *b, uint64_t number)
{
	struct breaker_bucket *bucket = &b->buckets[number % BREAKER_BUCKETS];

	/* A thread whose clock was read earlier does not turn it back. */
	if (bucket->number < number)
		*bucket = (struct breaker_bucket){.number = number};
	return bucket;
}

static bool is_failing(const struct breaker *b, const struct breaker_rules *rules, uint64_t number)
{
	uint64_t n_ok = 0, n_failed = 0;

	for (size_t i = 0; i < BREAKER_BUCKETS; i++) {
		if (b->buckets[i].number + BREAKER_BUCKETS <= number)
			continue;
		n_ok += b->buckets[i].n_ok;
		n_failed += b->buckets[i].n_failed;
	}
	return n_ok + n_failed >= rules->min_requests &&
	       n_failed * 100 >= (n_ok + n_failed) * rules->failure_ratio;
}

static int report_closed(struct breaker *b, const struct breaker_rules *rules,
			 enum breaker_outcome outcome, uint64_t now_ns)
{
	uint64_t number = now_ns / MAX(rules->window_ns / BREAKER_BUCKETS, 1);
	struct breaker_bucket *bucket;

	if (b->window_ns != rules->window_ns) /* reloaded: the numbers have another measure */
		memset(b->buckets, 0, sizeof(b->buckets));
	b->window_ns = rules->window_ns;
	bucket = bucket_at(b, number);
	if (outcome == BREAKER_OK)
		bucket->n_ok++;
	else if (outcome == BREAKER_FAILED)
		bucket->n_failed++;
	if (outcome != BREAKER_FAILED || !is_failing(b, rules, number))
		return -1;
	return enter(b, BREAKER_OPEN, now_ns + rules->open_ns);
}

static int report_trial(struct breaker *b, const struct breaker_rules *rules,
			enum breaker_outcome outcome, uint64_t now_ns)
{
	switch (outcome) {
	case BREAKER_FAILED:
		return enter(b, BREAKER_OPEN, now_ns + rules->open_ns);
	case BREAKER_OK:
		b->n_succeeded++;
		return b->n_succeeded >= rules->probes ? enter(b, BREAKER_CLOSED, 0) : -1;
	case BREAKER_NEITHER:
		b->n_trials--; /* another one takes its place */
		break;
	}
	return -1;
}

static struct breaker_admission admit(struct breaker *b, const struct breaker_rules *rules,
				      uint64_t now_ns)
{
	struct breaker_admission a = {.entered = -1};

	if (breaker_state(b) == BREAKER_OPEN && now_ns >= b->open_until_ns)
		a.entered = enter(b, BREAKER_HALF_OPEN, 0);
	switch (breaker_state(b)) {
	case BREAKER_OPEN:
		a.retry_ns = b->open_until_ns - now_ns;
		break;
	case BREAKER_HALF_OPEN:
		a.is_admitted = b->n_trials < rules->probes;
		b->n_trials += a.is_admitted;
		break;
	default:
		a.is_admitted = true;
	}
	a.phase = b->phase;
	return a;
}

/* ---- for all threads ----------------------------------------------------------------------- */

struct breaker_admission breaker_admit(struct breaker *b, const struct breaker_rules *rules,
				       uint64_t now_ns)
{
	struct breaker_admission a = {.is_admitted = true, .entered = -1, .phase = PHASE_OFF};

	/* Most clusters have none, and pay nothing for it. */
	if (rules->failure_ratio == 0 && breaker_state(b) == BREAKER_CLOSED)
		return a;
	pthread_mutex_lock(&b->lock);
	if (rules->failure_ratio != 0)
		a = admit(b, rules, now_ns);
	else if (breaker_state(b) != BREAKER_CLOSED) /* turned off meanwhile */
		a.entered = enter(b, BREAKER_CLOSED, 0);
	pthread_mutex_unlock(&b->lock);
	return a;
}

int breaker_report(struct breaker *b, const struct breaker_rules *rules, uint64_t phase,
		   enum breaker_outcome outcome, uint64_t now_ns)
{
	int entered = -1;

	if (phase == PHASE_OFF)
		return -1;
	pthread_mutex_lock(&b->lock);
	if (phase == b->phase && breaker_state(b) == BREAKER_CLOSED)
		entered = report_closed(b, rules, outcome, now_ns);
	else if (phase == b->phase && breaker_state(b) == BREAKER_HALF_OPEN)
		entered = report_trial(b, rules, outcome, now_ns);
	pthread_mutex_unlock(&b->lock);
	return entered;
}
