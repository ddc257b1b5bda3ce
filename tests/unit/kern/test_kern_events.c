/* SPDX-License-Identifier: Apache-2.0 */
/* Events come from a program of six instructions: one for each packet it is run on, conn_id being
 * the packet's length. */
#include "kern/kern_events.h"

#include <linux/bpf.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"
#include <bpf/libbpf.h>

#define RING_BYTES  4096
#define RECORD_SIZE (8 + sizeof(struct sl_event)) /* with the ring's header */
#define RING_EVENTS (RING_BYTES / RECORD_SIZE)
#define PACKET_MIN  14 /* bytes that a program can be run on */

static int events_fd = -1, stats_fd = -1, program_fd = -1;
static uint64_t seen[2 * RING_EVENTS];
static size_t n_seen;

#define INSN(op, dst, src, offset, immediate) \
	{.code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (immediate)}

/* bpf_ringbuf_output(&events, &(struct sl_event){.conn_id = skb->len}, 24, 0), negated. */
static int load_producer(void)
{
	const struct bpf_insn program[] = {
	    INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),     /* r2 = skb->len */
	    INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 2, -24, 0), /* conn_id */
	    INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 0),  /* time_ns */
	    INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0),   /* detail, type, ... */
	    INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, events_fd),
	    INSN(0, 0, 0, 0, 0), /* second half of that */
	    INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
	    INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -24),
	    INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, sizeof(struct sl_event)),
	    INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0),
	    INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
	    INSN(BPF_ALU64 | BPF_NEG, 0, 0, 0, 0),
	    INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "producer", "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static void open_all(void)
{
	events_fd = map_create(SL_MAP_EVENTS, RING_BYTES);
	stats_fd = map_create(SL_MAP_STATS, SL_STAT_COUNT);
	program_fd = load_producer();
	if (program_fd == -EPERM) {
		printf("skipped: a program: %s (it needs CAP_BPF)\n", strerror(EPERM));
		skip();
	}
	assert_true(program_fd >= 0);
	n_seen = 0;
}

static int tear_down(void **state)
{
	int *fds[] = {&events_fd, &stats_fd, &program_fd};

	for (size_t i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(TAKE_FD(*fds[i]));
	}
	return 0;
}

/* Whether there was room. */
static bool produce(uint32_t conn_id)
{
	static const char packet[PACKET_MIN + 2 * RING_EVENTS];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = conn_id,
		    .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(program_fd, &opts), 0);
	return opts.retval == 0;
}

static void on_event(const struct sl_event *event, void *arg)
{
	assert_ptr_equal(arg, &n_seen);
	assert_true(n_seen < ARRAY_SIZE(seen));
	seen[n_seen++] = event->conn_id;
}

static struct kern_events *open_events(void)
{
	struct kern_events *events;

	assert_int_equal(kern_events_new(events_fd, stats_fd, on_event, &n_seen, &events), 0);
	return events;
}

static bool is_readable(const struct kern_events *events)
{
	struct pollfd wait = {.fd = kern_events_fd(events), .events = POLLIN};

	return poll(&wait, 1, 0) == 1;
}

static void consume__calls_back_in_order(void **state)
{
	_cleanup_(cleanup_kern_events_free) struct kern_events *events = NULL;

	open_all();
	events = open_events();
	assert_int_equal(kern_events_consume(events, 100), 0);
	assert_false(is_readable(events));
	for (uint32_t i = 0; i < 10; i++)
		assert_true(produce(PACKET_MIN + i));
	assert_true(is_readable(events));
	assert_int_equal(kern_events_consume(events, 100), 10);
	assert_int_equal(n_seen, 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(seen[i], PACKET_MIN + i);
	assert_false(is_readable(events));
}

/* So that a flood of them does not hold up the thread; what is left keeps it awake. */
static void consume__stops_at_its_limit(void **state)
{
	_cleanup_(cleanup_kern_events_free) struct kern_events *events = NULL;

	open_all();
	events = open_events();
	for (uint32_t i = 0; i < 10; i++)
		assert_true(produce(PACKET_MIN + i));
	assert_int_equal(kern_events_consume(events, 4), 4);
	assert_int_equal(n_seen, 4);
	assert_true(is_readable(events));
	assert_int_equal(kern_events_consume(events, 4), 4);
	assert_int_equal(kern_events_consume(events, 4), 2);
	assert_int_equal(n_seen, 10);
	for (uint32_t i = 0; i < 10; i++)
		assert_int_equal(seen[i], PACKET_MIN + i);
}

/* What was in the ring before the daemon came is not for it to miss. */
static void consume__gets_what_came_before(void **state)
{
	_cleanup_(cleanup_kern_events_free) struct kern_events *events = NULL;

	open_all();
	assert_true(produce(PACKET_MIN));
	events = open_events();
	assert_true(is_readable(events));
	assert_int_equal(kern_events_consume(events, 100), 1);
}

static void count(enum sl_stat stat, uint64_t n)
{
	uint32_t index = stat;
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *each = calloc((size_t)n_cpus, sizeof(*each));

	/* All on the last one. */
	each[n_cpus - 1] = n;
	assert_int_equal(bpf_map_update_elem(stats_fd, &index, each, BPF_ANY), 0);
}

/* The ring is full, the hook counts, and the ring is of use again afterwards. */
static void overflow__is_told_by_the_counter(void **state)
{
	_cleanup_(cleanup_kern_events_free) struct kern_events *events = NULL;
	uint64_t n_lost = 0, n_now = 4711;
	int n = 0;

	open_all();
	count(SL_STAT_EVENT_LOST, 3); /* to a daemon before */
	events = open_events();
	assert_int_equal(kern_events_take_lost(events, &n_now), 0);
	assert_int_equal(n_now, 0);
	for (uint32_t i = 0; i < 2 * RING_EVENTS; i++)
		n_lost += !produce(PACKET_MIN + i);
	assert_true(n_lost >= RING_EVENTS);
	count(SL_STAT_EVENT_LOST, 3 + n_lost);
	assert_int_equal(kern_events_take_lost(events, &n_now), 0);
	assert_int_equal(n_now, n_lost);
	assert_int_equal(kern_events_take_lost(events, &n_now), 0);
	assert_int_equal(n_now, 0);
	n = kern_events_consume(events, 1000);
	assert_int_equal(n, 2 * RING_EVENTS - n_lost);
	assert_true(produce(PACKET_MIN));
	assert_int_equal(kern_events_consume(events, 1000), 1);
}

static void stats__are_added_up(void **state)
{
	uint64_t stats[SL_STAT_COUNT];

	open_all();
	for (uint32_t i = 0; i < SL_STAT_COUNT; i++) {
		int n_cpus = libbpf_num_possible_cpus();
		_cleanup_free_ uint64_t *each = calloc((size_t)n_cpus, sizeof(*each));

		for (int cpu = 0; cpu < n_cpus; cpu++)
			each[cpu] = i + 1;
		assert_int_equal(bpf_map_update_elem(stats_fd, &i, each, BPF_ANY), 0);
	}
	assert_int_equal(kern_stats_read(stats_fd, stats), 0);
	for (uint32_t i = 0; i < SL_STAT_COUNT; i++)
		assert_int_equal(stats[i], (i + 1) * (uint32_t)libbpf_num_possible_cpus());
	assert_true(kern_stats_read(events_fd, stats) < 0);
}

static void stats__have_names(void **state)
{
	assert_string_equal(kern_stat_name(SL_STAT_LEARNED), "learned");
	assert_string_equal(kern_stat_name(SL_STAT_EVENT_LOST), "event_lost");
	assert_string_equal(kern_stat_name(SL_STAT_COUNT), "?");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(consume__calls_back_in_order),
	    TEST(consume__stops_at_its_limit),
	    TEST(consume__gets_what_came_before),
	    TEST(overflow__is_told_by_the_counter),
	    TEST(stats__are_added_up),
	    TEST(stats__have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
