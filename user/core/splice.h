/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the process has for packet splice: the loader's pins and the pool of source ports. Shared by
 * all workers, and the same from start to end. Without it everything works on the relay.
 */
#pragma once
#include "base/parse.h"
#include "base/std.h"
#include "core/config.h"
#include "kern/bpf_pins.h"
#include "kern/port_pool.h"

struct splice {
	bool is_open;
	struct bpf_pins_error why; /* unless it is open */
	struct bpf_pins pins;      /* if it is open, like all below */
	struct flow_counts counts; /* of pins.flows; those that were there at the start included */
	struct port_pool *ports;
	struct port_range port_range; /* of these */
	uint64_t quarantine_ns;       /* of theirs, and of the entries of what has ended */
	uint32_t epoch;
	int lock_fd; /* of the pins: one daemon at a time works with them */
};

/** splice_open() - as @config says; what prevents it is told in @ret_splice->why */
void splice_open(const struct config *config, struct splice *ret_splice);
/** splice_close() - the workers have ended */
void splice_close(struct splice *splice);
