/* SPDX-License-Identifier: Apache-2.0 */
#include "bench_stats.h"

const char *bench_error_name(enum bench_error error)
{
	static const char *const names[BENCH_ERROR_COUNT] = {
	    [BENCH_ERROR_CONNECT] = "connect",   [BENCH_ERROR_HANDSHAKE] = "handshake",
	    [BENCH_ERROR_STATUS] = "status",     [BENCH_ERROR_TIMEOUT] = "timeout",
	    [BENCH_ERROR_MISMATCH] = "mismatch", [BENCH_ERROR_PROTOCOL] = "protocol",
	    [BENCH_ERROR_RESET] = "reset",       [BENCH_ERROR_EARLY_CLOSE] = "early_close",
	};

	return names[error];
}

void bench_stats_init(struct bench_stats *s)
{
	memset(s, 0, sizeof(*s));
	histogram_init(&s->latency);
	histogram_init(&s->handshake);
}

void bench_stats_merge(struct bench_stats *s, const struct bench_stats *from)
{
	s->opened += from->opened;
	s->failed += from->failed;
	s->refused += from->refused;
	s->messages += from->messages;
	s->bytes += from->bytes;
	s->messages_total += from->messages_total;
	for (size_t i = 0; i < BENCH_ERROR_COUNT; i++)
		s->errors[i] += from->errors[i];
	s->stream_sent += from->stream_sent;
	s->stream_received += from->stream_received;
	s->handshakes += from->handshakes;
	s->pongs += from->pongs;
	s->unsent += from->unsent;
	s->unchecked += from->unchecked;
	s->cpu_ns += from->cpu_ns;
	s->system_cpu_ns += from->system_cpu_ns;
	for (size_t i = 0; i < BENCH_CLOSE_CODES; i++)
		s->close_codes[i] += from->close_codes[i];
	histogram_merge(&s->latency, &from->latency);
	histogram_merge(&s->handshake, &from->handshake);
}

uint64_t bench_stats_errors(const struct bench_stats *s)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < BENCH_ERROR_COUNT; i++)
		sum += counter_read(&s->errors[i]);
	return sum;
}
