/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel programs, loaded for one test program, with small maps of their own. */
#pragma once
#include "lib/splice_reference.h"
#include "sluice/event.h"
#include "sluice/splice_ctl.h"
#include "sluice/splice_stats.h"

struct bpf_object;
struct ring_buffer;

#define SPLICE_PROGRAMS_EVENTS 16
#define SPLICE_PROGRAMS_TAG    4 /* bytes that a frame may grow by, of a VLAN */

struct splice_programs {
	struct bpf_object *tc, *xdp, *ctl;
	int hook_fd, xdp_fd, capture_fd, activate_fd, hold_fd;
	int flows4_fd, flows6_fd, stats_fd, ways_fd, ports_fd, policies_fd;
	bool has_xdp_first;  /* frames meet sl_splice_xdp before sl_splice, as at one interface */
	uint64_t n_finished; /* of them, those that XDP did not pass on */
	struct ring_buffer *events;
	struct sl_event got[SPLICE_PROGRAMS_EVENTS]; /* by splice_programs_events() */
	size_t n_got;
};

/** splice_programs_load() - Return: 0, -EPERM without the rights, or -errno */
int splice_programs_load(struct splice_programs *ret);
/** splice_programs_set_xdp() - let frames meet sl_splice_xdp first */
void splice_programs_set_xdp(struct splice_programs *programs, bool on);
void splice_programs_close(struct splice_programs *programs);

/** splice_programs_key() - that of the flow of @packet; IPv4: first four bytes of addresses */
struct sl_key6 splice_programs_key(const struct ref_packet *packet);
void splice_programs_put(const struct splice_programs *programs, const struct sl_key6 *key,
			 bool is_ipv6, const struct sl_flow *flow);
struct sl_flow splice_programs_get(const struct splice_programs *programs,
				   const struct sl_key6 *key, bool is_ipv6);
void splice_programs_remove(const struct splice_programs *programs, const struct sl_key6 *key,
			    bool is_ipv6);

/** splice_programs_stat() - the sum over all CPUs */
uint64_t splice_programs_stat(const struct splice_programs *programs, enum sl_stat stat);
/** splice_programs_events() - take all that came since the last time. Return: how many */
size_t splice_programs_events(struct splice_programs *programs);

/** What BPF_PROG_TEST_RUN of the hook takes besides the frame. */
struct splice_run {
	uint32_t ifindex; /* 0 = lo; the frame must be for its address */
	uint32_t gso_size;
	uint32_t repeat;
	/* out */
	size_t size;
	uint32_t duration_ns; /* of one run, on average */
};

/**
 * splice_programs_run() - the hook over a frame; @frame is changed
 *
 * With XDP before it, that gets flows to lo's stack as if they left by lo to a neighbour: else
 * it would pass all of them on. What it passes on has to be as it was.
 *
 * Return: the verdict; XDP's in the words of tc
 */
int splice_programs_run(struct splice_programs *programs, uint8_t *frame, size_t size,
			struct splice_run *run);
/**
 * splice_programs_run_xdp() - XDP alone; @frame may grow by a tag. Return: the verdict of XDP;
 * XDP_PASS: nothing was done
 */
uint32_t splice_programs_run_xdp(const struct splice_programs *programs, uint8_t *frame,
				 size_t size, struct splice_run *run);
/** splice_programs_call() - one of the syscall programs, with @args */
void splice_programs_call(int fd, void *args, size_t size);
