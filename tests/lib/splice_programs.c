/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/splice_programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>

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
	    (r = open_object("splice_ctl", &ret->ctl)) < 0 || (r = bpf_object__load(ret->tc)) < 0 ||
	    (r = share_maps(ret->tc, ret->ctl)) < 0 || (r = bpf_object__load(ret->ctl)) < 0)
		return r;
	ret->hook_fd = program_fd(ret->tc, SL_PROG_SPLICE);
	ret->activate_fd = program_fd(ret->ctl, SL_PROG_ACTIVATE);
	ret->hold_fd = program_fd(ret->ctl, SL_PROG_HOLD);
	ret->flows4_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_FLOWS4);
	ret->flows6_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_FLOWS6);
	ret->stats_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_STATS);
	ret->ways_fd = bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_WAYS);
	ret->events = ring_buffer__new(bpf_object__find_map_fd_by_name(ret->tc, SL_MAP_EVENTS),
				       take_event, ret, NULL);
	return ret->events ? 0 : -errno;
}

void splice_programs_close(struct splice_programs *programs)
{
	ring_buffer__free(programs->events);
	bpf_object__close(programs->ctl);
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

int splice_programs_run(const struct splice_programs *programs, uint8_t *frame, size_t size,
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

void splice_programs_call(int fd, void *args, size_t size)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = args, .ctx_size_in = (uint32_t)size);

	assert_int_equal(bpf_prog_test_run_opts(fd, &opts), 0);
}
