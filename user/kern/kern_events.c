/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/kern_events.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

struct kern_events {
	struct ring_buffer *ring;
	int stats_fd;
	kern_event_fn *on_event;
	void *arg;
	uint64_t n_lost; /* that were taken */
	int left;        /* of one kern_events_consume() */
	int n;
};

/* Stops the walk over the ring: no -errno that libbpf has. */
#define ENOUGH (-4095)

static int sample_cb(void *arg, void *data, size_t size)
{
	struct kern_events *events = arg;
	struct sl_event event;

	/* A newer program's longer record begins with what we know. */
	if (size >= sizeof(event)) {
		memcpy(&event, data, sizeof(event));
		events->on_event(&event, events->arg);
	}
	events->n++;
	return --events->left > 0 ? 0 : ENOUGH;
}

int kern_events_new(int events_fd, int stats_fd, kern_event_fn *on_event, void *arg,
		    struct kern_events **ret_events)
{
	_cleanup_(cleanup_kern_events_free) struct kern_events *events = calloc(1, sizeof(*events));
	int error;

	if (!events)
		return -ENOMEM;
	events->stats_fd = stats_fd;
	events->on_event = on_event;
	events->arg = arg;
	/* What was lost before is nobody's any more: an adopting daemon looks at all flows anyway.
	 */
	error = kern_stat_read(stats_fd, SL_STAT_EVENT_LOST, &events->n_lost);
	if (error < 0)
		return error;
	events->ring = ring_buffer__new(events_fd, sample_cb, events, NULL);
	if (!events->ring)
		return -errno;
	*ret_events = TAKE_PTR(events);
	return 0;
}

void kern_events_free(struct kern_events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}

int kern_events_fd(const struct kern_events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int kern_events_consume(struct kern_events *events, int max)
{
	int result;

	events->left = max;
	events->n = 0;
	result = ring_buffer__consume(events->ring);
	return result < 0 && result != ENOUGH ? result : events->n;
}

int kern_events_take_lost(struct kern_events *events, uint64_t *ret_n)
{
	uint64_t n = 0;
	int error = kern_stat_read(events->stats_fd, SL_STAT_EVENT_LOST, &n);

	if (error < 0)
		return error;
	*ret_n = n - events->n_lost;
	events->n_lost = n;
	return 0;
}

/* ---- counters ------------------------------------------------------------------------------ */

/* @each: room for a number of every CPU */
static int read_stat(int stats_fd, enum sl_stat stat, uint64_t *each, uint64_t *ret_n)
{
	const uint32_t key = stat;
	int n_cpus = libbpf_num_possible_cpus(); /* looked up once */
	int error = bpf_map_lookup_elem(stats_fd, &key, each);
	uint64_t sum = 0;

	if (error < 0)
		return error;
	for (int cpu = 0; cpu < n_cpus; cpu++)
		sum += each[cpu];
	*ret_n = sum;
	return 0;
}

static int allocate_each(uint64_t **ret_each)
{
	int n_cpus = libbpf_num_possible_cpus();

	if (n_cpus < 0)
		return n_cpus;
	*ret_each = calloc((size_t)n_cpus, sizeof(**ret_each));
	return *ret_each ? 0 : -ENOMEM;
}

int kern_stat_read(int stats_fd, enum sl_stat stat, uint64_t *ret_n)
{
	_cleanup_free_ uint64_t *each = NULL;
	int error = allocate_each(&each);

	return error < 0 ? error : read_stat(stats_fd, stat, each, ret_n);
}

int kern_stats_read(int stats_fd, uint64_t ret_stats[SL_STAT_COUNT])
{
	_cleanup_free_ uint64_t *each = NULL;
	uint64_t sums[SL_STAT_COUNT] = {0};
	int error = allocate_each(&each);

	for (int i = 0; i < SL_STAT_COUNT && error == 0; i++)
		error = read_stat(stats_fd, (enum sl_stat)i, each, &sums[i]);
	if (error == 0)
		memcpy(ret_stats, sums, sizeof(sums));
	return error;
}

const char *kern_stat_name(enum sl_stat stat)
{
	static const char *const names[SL_STAT_COUNT] = {
#define X(symbol, name, what) [symbol] = (name),
	    SL_STATS(X)
#undef X
	};

	return (size_t)stat < SL_STAT_COUNT ? names[stat] : "?";
}
