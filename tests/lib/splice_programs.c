/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/splice_programs.h"

#include "sluice/way.h"
#include "sluice/xdp_port.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define N_FLOWS 64

static const char *const flow_maps[] = {SL_MAP_FLOWS4, SL_MAP_FLOWS6, SL_MAP_CONNS};

/* ---- loading --------------------------------------------------------------------------------- */

static int open_object(const char *name, struct bpf_object **ret)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/build/bpf/%s.bpf.o", SLUICE_SOURCE_DIR, name);
	*ret = bpf_object__open(path);
	if (!*ret)
		return -errno;
	for (size_t i = 0; i < ARRAY_SIZE(flow_maps); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(*ret, flow_maps[i]);

		if (!map || bpf_map__set_max_entries(map, N_FLOWS) < 0)
			return -EINVAL;
	}
	return 0;
}

/* As the loader does: of the same name means the same. */
static int share_maps(struct bpf_object *from, struct bpf_object *to)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, to)
	{
		struct bpf_map *theirs = bpf_object__find_map_by_name(from, bpf_map__name(map));
		int r;

		if (theirs && (r = bpf_map__reuse_fd(map, bpf_map__fd(theirs))) < 0)
			return r;
	}
	return 0;
}

static int program_fd(struct bpf_object *object, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);

	return program ? bpf_program__fd(program) : -ENOENT;
}

static int take_event(void *context, void *data, size_t size)
{
	struct splice_programs *programs = context;

	assert_true(size == sizeof(struct sl_event));
	assert_true(programs->n_got < SPLICE_PROGRAMS_EVENTS);
	memcpy(&programs->got[programs->n_got++], data, sizeof(struct sl_event));
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, format, args) : 0;
}

static bool may_load(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

int splice_programs_load(struct splice_programs *ret)
{
	int r;

	*ret = (struct splice_programs){0};
	if (!may_load())
		return -EPERM;
	libbpf_set_print(quiet);
	if ((r = open_object("splice_tc", &ret->tc)) < 0 ||
	    (r = open_object("splice_xdp", &ret->xdp)) < 0 ||
	    (r = open_object("splice_ctl", &ret->ctl)) < 0 || (r = bpf_object__load(ret->tc)) < 0 ||
	    (r = share_maps(ret->tc, ret->xdp)) < 0 || (r = bpf_object__load(ret->xdp)) < 0 ||
	    (r = share_maps(ret->tc, ret->ctl)) < 0 || (r = bpf_object__load(ret->ctl)) < 0)
		return r;
	ret->hook_fd = program_fd(ret->tc, SL_PROG_SPLICE);
	ret->xdp_fd = program_fd(ret->xdp, SL_PROG_XDP);
	ret->capture_fd = program_fd(ret->ctl, SL_PROG_CAPTURE);
	ret->activate_fd = program_fd(ret->ctl, SL_PROG_ACTIVATE);
	ret->hold_fd = program_fd(ret->ctl, SL_PROG_HOLD);
	ret->flows4_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_FLOWS4);
	ret->flows6_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_FLOWS6);
	ret->stats_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_STATS);
	ret->policies_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_POLICIES);
	ret->ways_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_WAYS);
	ret->ports_fd = bpf_object__find_map_fd_by_name(ret->xdp, SL_MAP_PORTS);
	ret->events = ring_buffer__new(bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_EVENTS),
				       take_event, ret, NULL);
	return ret->events ? 0 : -errno;
}

void splice_programs_set_xdp(struct splice_programs *programs, bool on)
{
	const struct sl_xdp_port_key key = {.ifindex = 1};
	/* For routing it comes in by no interface, as what BPF_PROG_TEST_RUN gives to sl_splice. */
	const struct sl_xdp_port lo = {.out = 1};

	programs->has_xdp_first = on;
	assert_int_equal(bpf_map_update_elem(programs->ports_fd, &key, &lo, BPF_ANY), 0);
}

void splice_programs_close(struct splice_programs *programs)
{
	ring_buffer__free(programs->events);
	bpf_object__close(programs->ctl);
	bpf_object__close(programs->xdp);
	bpf_object__close(programs->tc);
}

/* ---- flows ----------------------------------------------------------------------------------- */

static __be16 network16(uint16_t value)
{
	const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};
	__be16 word;

	memcpy(&word, bytes, sizeof(word));
	return word;
}

struct sl_key6 splice_programs_key(const struct ref_packet *packet)
{
	struct sl_key6 key = {.sport = network16(packet->sport), .dport = network16(packet->dport)};
	size_t size = packet->is_ipv6 ? 16 : 4;

	memcpy(key.saddr, packet->saddr, size);
	memcpy(key.daddr, packet->daddr, size);
	return key;
}

static struct sl_key4 narrow(const struct sl_key6 *key)
{
	struct sl_key4 narrow = {.sport = key->sport, .dport = key->dport};

	memcpy(&narrow.saddr, key->saddr, 4);
	memcpy(&narrow.daddr, key->daddr, 4);
	return narrow;
}

void splice_programs_put(const struct splice_programs *programs, const struct sl_key6 *key,
			 bool is_ipv6, const struct sl_flow *flow)
{
	struct sl_key4 key4 = narrow(key);

	if (is_ipv6)
		assert_int_equal(bpf_map_update_elem(programs->flows6_fd, key, flow, BPF_ANY), 0);
	else
		assert_int_equal(bpf_map_update_elem(programs->flows4_fd, &key4, flow, BPF_ANY), 0);
}

struct sl_flow splice_programs_get(const struct splice_programs *programs,
				   const struct sl_key6 *key, bool is_ipv6)
{
	struct sl_key4 key4 = narrow(key);
	struct sl_flow flow = {0};

	if (is_ipv6)
		assert_int_equal(bpf_map_lookup_elem(programs->flows6_fd, key, &flow), 0);
	else
		assert_int_equal(bpf_map_lookup_elem(programs->flows4_fd, &key4, &flow), 0);
	return flow;
}

void splice_programs_remove(const struct splice_programs *programs, const struct sl_key6 *key,
			    bool is_ipv6)
{
	struct sl_key4 key4 = narrow(key);

	if (is_ipv6)
		bpf_map_delete_elem(programs->flows6_fd, key);
	else
		bpf_map_delete_elem(programs->flows4_fd, &key4);
}

/* ---- figures --------------------------------------------------------------------------------- */

uint64_t splice_programs_stat(const struct splice_programs *programs, enum sl_stat stat)
{
	int n_cpus = libbpf_num_possible_cpus();
	_cleanup_free_ uint64_t *values = calloc((size_t)n_cpus, sizeof(*values));
	uint32_t key = stat;
	uint64_t sum = 0;

	assert_non_null(values);
	assert_int_equal(bpf_map_lookup_elem(programs->stats_fd, &key, values), 0);
	for (int i = 0; i < n_cpus; i++)
		sum += values[i];
	return sum;
}

size_t splice_programs_events(struct splice_programs *programs)
{
	programs->n_got = 0;
	assert_true(ring_buffer__consume(programs->events) >= 0);
	return programs->n_got;
}

/* ---- running --------------------------------------------------------------------------------- */

static int run_tc(const struct splice_programs *programs, uint8_t *frame, size_t size,
		  struct splice_run *run)
{
	struct __sk_buff context = {
	    .ifindex = run->ifindex,
	    .ingress_ifindex = run->ifindex,
	    .gso_size = run->gso_size,
	};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)size,
		    .data_out = frame, .data_size_out = (uint32_t)size, .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .repeat = (int)run->repeat);

	assert_int_equal(bpf_prog_test_run_opts(programs->hook_fd, &opts), 0);
	run->size = opts.data_size_out;
	run->duration_ns = opts.duration;
	return (int)opts.retval;
}

/* The clock of the hook. */
static uint64_t coarse_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Flows of one map that lead to lo's stack, and as what they came. */
struct turned {
	int fd;
	size_t n;
	struct sl_key6 keys[N_FLOWS];
	uint64_t last_ns[N_FLOWS];
};

static void put_way(const struct splice_programs *programs, const struct sl_flow *flow,
		    uint32_t age)
{
	const struct sl_way way = {
	    .conn_id = flow->conn_id,
	    .age = age,
	    .oif = flow->oif,
	    .mtu = UINT16_MAX,
	};
	uint32_t place = sl_way_place(flow->conn_id, flow->direction);
	_cleanup_free_ struct sl_way *each =
	    calloc((size_t)libbpf_num_possible_cpus(), sizeof(*each));

	assert_non_null(each);
	for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
		each[cpu] = way;
	assert_int_equal(bpf_map_update_elem(programs->ways_fd, &place, each, BPF_ANY), 0);
}

static void turn(const struct splice_programs *programs, int fd, uint64_t now_ns,
		 struct turned *ret)
{
	struct sl_key6 key;
	int r = bpf_map_get_next_key(fd, NULL, &key);

	*ret = (struct turned){.fd = fd};
	for (; r == 0; r = bpf_map_get_next_key(fd, &key, &key)) {
		struct sl_flow flow;

		assert_int_equal(bpf_map_lookup_elem(fd, &key, &flow), 0);
		if (!(flow.flags & SL_F_TO_LOCAL))
			continue;
		ret->keys[ret->n] = key;
		ret->last_ns[ret->n++] = flow.last_ns;
		flow.flags &= (__u8)~SL_F_TO_LOCAL;
		flow.last_ns = now_ns - 1;
		assert_int_equal(bpf_map_update_elem(fd, &key, &flow, BPF_EXIST), 0);
		put_way(programs, &flow, sl_way_age(now_ns));
	}
}

static void turn_back(const struct splice_programs *programs, const struct turned *turned,
		      uint64_t now_ns)
{
	for (size_t i = 0; i < turned->n; i++) {
		struct sl_flow flow;

		assert_int_equal(bpf_map_lookup_elem(turned->fd, &turned->keys[i], &flow), 0);
		flow.flags |= SL_F_TO_LOCAL;
		if (flow.last_ns == now_ns - 1) /* the hook has not been there */
			flow.last_ns = turned->last_ns[i];
		assert_int_equal(bpf_map_update_elem(turned->fd, &turned->keys[i], &flow,
						     BPF_EXIST),
				 0);
		put_way(programs, &flow, sl_way_age(now_ns) - 1);
	}
}

static uint32_t run_xdp_once(const struct splice_programs *programs, uint8_t *frame, size_t size,
			     struct splice_run *run)
{
	uint64_t now_ns = coarse_ns();
	struct turned turned4, turned6;
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)size,
		    .data_out = frame, .data_size_out = (uint32_t)size + SPLICE_PROGRAMS_TAG,
		    .repeat = (int)run->repeat);

	turn(programs, programs->flows4_fd, now_ns, &turned4);
	turn(programs, programs->flows6_fd, now_ns, &turned6);
	assert_int_equal(bpf_prog_test_run_opts(programs->xdp_fd, &opts), 0);
	turn_back(programs, &turned4, now_ns);
	turn_back(programs, &turned6, now_ns);
	run->size = opts.data_size_out;
	run->duration_ns = opts.duration;
	return opts.retval;
}

uint32_t splice_programs_run_xdp(const struct splice_programs *programs, uint8_t *frame,
				 size_t size, struct splice_run *run)
{
	uint8_t before[REF_FRAME_MAX + SPLICE_PROGRAMS_TAG];
	uint32_t verdict, age;

	assert_true(size <= sizeof(before));
	memcpy(before, frame, size);
	do {
		memcpy(frame, before, size);
		age = sl_way_age(coarse_ns());
		verdict = run_xdp_once(programs, frame, size, run);
		/* What it remembered was too old by then: but so nothing was done. */
	} while (verdict == XDP_PASS && age != sl_way_age(coarse_ns()));
	if (verdict == XDP_PASS && run->repeat == 1) {
		assert_int_equal(run->size, size);
		assert_memory_equal(frame, before, size);
	}
	return verdict;
}

int splice_programs_run(struct splice_programs *programs, uint8_t *frame, size_t size,
			struct splice_run *run)
{
	uint32_t verdict = XDP_PASS;

	if (programs->has_xdp_first && run->gso_size == 0 && run->ifindex == 0)
		verdict = splice_programs_run_xdp(programs, frame, size, run);
	if (verdict == XDP_PASS)
		return run_tc(programs, frame, size, run);
	programs->n_finished++;
	assert_true(verdict == XDP_REDIRECT || verdict == XDP_DROP);
	return verdict == XDP_REDIRECT ? TC_ACT_REDIRECT : TC_ACT_SHOT;
}

void splice_programs_call(int fd, void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = (uint32_t)size);

	assert_int_equal(bpf_prog_test_run_opts(fd, &opts), 0);
}
