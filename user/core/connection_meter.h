/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much passes on a connection in a second: the difference of two readings of its counters, made
 * when somebody asks. Whoever asks most often sets the pace for all.
 */
#pragma once
#include "base/std.h"
#include "core/connection_info.h"

#define METER_SHORTEST_MS 500 /* asked sooner, the meter says what it said before */
/* A reading that is older is not of now: it starts anew. More than the longest delay of
 * `sluicectl top`, 10 s, as every look comes a little later than that. */
#define METER_LONGEST_MS 15000

struct connection_rates {
	bool is_known;
	bool has_frames; /* their rates, too: somebody sees them */
	double bytes_in, bytes_out, frames_in, frames_out; /* a second */
};

struct connection_meter {
	uint64_t at_ns; /* of the counters, CLOCK_MONOTONIC */
	uint64_t bytes_in, bytes_out, frames_in, frames_out;
	struct connection_rates rates; /* as told last */
};

/** connection_meter_start() - of a connection that was accepted at @accepted_ns, counting from 0;
 *  of one that is older than METER_LONGEST_MS the first reading is only a beginning */
void connection_meter_start(struct connection_meter *meter, uint64_t accepted_ns);
/** connection_meter_read() - @traffic: as it is at @now_ns */
void connection_meter_read(struct connection_meter *meter, const struct connection_traffic *traffic,
			   uint64_t now_ns, struct connection_rates *ret_rates);
