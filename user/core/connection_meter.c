/* SPDX-License-Identifier: Apache-2.0 */
#include "core/connection_meter.h"

#include "base/clock.h"

void connection_meter_start(struct connection_meter *meter, uint64_t accepted_ns)
{
	*meter = (struct connection_meter){.at_ns = accepted_ns};
}

/* What the kernel counts can seem to go back, where an entry is gone before it is accounted for. */
static double rate_of(uint64_t now, uint64_t then, double elapsed_s)
{
	return now > then ? (double)(now - then) / elapsed_s : 0;
}

static void measure(struct connection_meter *meter, const struct connection_traffic *traffic,
		    uint64_t elapsed_ns)
{
	double elapsed_s = (double)elapsed_ns / (double)NS_PER_S;

	meter->rates = (struct connection_rates){
	    .is_known = true,
	    .has_frames = traffic->frames_exact,
	    .bytes_in = rate_of(traffic->bytes_in, meter->bytes_in, elapsed_s),
	    .bytes_out = rate_of(traffic->bytes_out, meter->bytes_out, elapsed_s),
	    .frames_in = rate_of(traffic->frames_in, meter->frames_in, elapsed_s),
	    .frames_out = rate_of(traffic->frames_out, meter->frames_out, elapsed_s),
	};
}

void connection_meter_read(struct connection_meter *meter, const struct connection_traffic *traffic,
			   uint64_t now_ns, struct connection_rates *ret_rates)
{
	uint64_t elapsed_ns = now_ns > meter->at_ns ? now_ns - meter->at_ns : 0;

	if (elapsed_ns >= METER_SHORTEST_MS * NS_PER_MS) {
		if (elapsed_ns <= METER_LONGEST_MS * NS_PER_MS)
			measure(meter, traffic, elapsed_ns);
		else
			meter->rates = (struct connection_rates){0};
		meter->at_ns = now_ns;
		meter->bytes_in = traffic->bytes_in;
		meter->bytes_out = traffic->bytes_out;
		meter->frames_in = traffic->frames_in;
		meter->frames_out = traffic->frames_out;
	}
	*ret_rates = meter->rates;
}
