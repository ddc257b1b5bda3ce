/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process has for packet splice: the loader's pins and the pool of source ports. Shared by
 * all workers. Without it everything works on the relay.
 *
 *   CLOSED ---- splice_open() or splice_retry() has the pins, and their lock ----> OPEN, to the end
 *
 * The main thread opens it, at the start or later: while another daemon works with the pins, when
 * that lets go. A worker uses what an open one has from the moment that it has a promoter.
 */
#pragma once
#include "base/parse.h"
#include "base/std.h"
#include "core/config.h"
#include "core/policies.h"
#include "kern/bpf_pins.h"
#include "kern/port_pool.h"

#include <stdatomic.h>

struct splice {
	/* With kernel.splice = off nothing is spliced that was not before; that is looked after. */
	bool takes_new;
	_Atomic int reason; /* enum sluice_reason: why nothing more is spliced; NONE = it is */
	_Atomic unsigned int n_hooks_lost; /* any: connections may be spliced over such */

	/* The main thread's. */
	bool is_open;
	bool has_lost_pins; /* it works with maps that are no longer pinned */
	bool is_contended;  /* it is not, because another daemon is at work */
	char why[256];      /* reason, for people */

	/* If it is open. */
	struct bpf_pins pins;
	struct flow_counts counts; /* of pins.flows; those that were there at the start included */
	struct port_pool *ports;
	struct port_range port_range; /* of these */
	uint64_t quarantine_ns;       /* of theirs, and of the entries of what has ended */
	struct policies *policies;
	uint32_t epoch;
	int lock_fd; /* of the pins: one daemon at a time works with them */
};

/** splice_open() - as @config says; what prevents it is told in @ret_splice */
void splice_open(const struct config *config, struct splice *ret_splice);
/** splice_retry() - of one that is not open: it may be possible by now */
void splice_retry(const struct config *config, struct splice *splice);
/** splice_abandon() - of one that is open, but that no worker has seen: close it, because of @error
 */
void splice_abandon(struct splice *splice, int error);
/**
 * splice_lose_pins() - of one that is open: has another set, or none, taken the place of its pins?
 * @dir: where they were
 *
 * Then nothing more is spliced, and @splice tells why. Return: whether that is news
 */
bool splice_lose_pins(struct splice *splice, const char *dir);
/** splice_close() - the workers have ended, or have not seen it open */
void splice_close(struct splice *splice);

/** splice_refuses() - any thread: why nothing is spliced anew, or NONE. NULL is fine */
static inline enum sluice_reason splice_refuses(const struct splice *splice)
{
	if (!splice)
		return SLUICE_REASON_NOT_LOADED;
	return (enum sluice_reason)atomic_load_explicit(&splice->reason, memory_order_relaxed);
}
