/* SPDX-License-Identifier: Apache-2.0 */
/* What a client run counts: one struct for each thread, summed at the end. */
#pragma once
#include "base/histogram.h"
#include "base/std.h"

enum bench_error {
	BENCH_ERROR_CONNECT,     /* no connection, or not in time */
	BENCH_ERROR_HANDSHAKE,   /* a 101 that is not valid, or no HTTP */
	BENCH_ERROR_STATUS,      /* a status that was not expected */
	BENCH_ERROR_TIMEOUT,     /* no answer in time */
	BENCH_ERROR_MISMATCH,    /* an answer that is not the message that was sent */
	BENCH_ERROR_PROTOCOL,    /* bytes that RFC 6455 forbids */
	BENCH_ERROR_RESET,       /* connection reset */
	BENCH_ERROR_EARLY_CLOSE, /* closed by the peer before all was answered */
	BENCH_ERROR_COUNT,
};

#define BENCH_CLOSE_CODES 5000 /* 0 = without a code */

struct bench_stats {
	/* Read by the progress line while the thread runs: counter_add(). */
	uint64_t opened;  /* upgrades that succeeded */
	uint64_t failed;  /* connections that were not opened */
	uint64_t refused; /* upgrades refused with the expected status */
	uint64_t messages;
	uint64_t bytes;          /* payload of messages */
	uint64_t messages_total; /* with those of the warm-up */
	uint64_t errors[BENCH_ERROR_COUNT];
	/* Read after the thread has ended. */
	uint64_t stream_sent, stream_received; /* bytes behind the upgrade's heads */
	uint64_t handshakes; /* of opened and refused: those inside the measured time */
	uint64_t pongs;
	uint64_t unsent;        /* open loop: due inside the measured time and never sent */
	uint64_t unchecked;     /* interrupted: sent, and not waited for */
	uint64_t cpu_ns;        /* of the thread, inside the measured time */
	uint64_t system_cpu_ns; /* of the whole system, meanwhile; the first thread counts it */
	uint32_t close_codes[BENCH_CLOSE_CODES]; /* received */
	struct histogram latency;                /* ns */
	struct histogram handshake;              /* ns */
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	/* One writer; the readers only want a value that is not torn. */
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/** bench_error_name() - the key in the JSON result */
const char *bench_error_name(enum bench_error error);
void bench_stats_init(struct bench_stats *s);
void bench_stats_merge(struct bench_stats *s, const struct bench_stats *from);
uint64_t bench_stats_errors(const struct bench_stats *s);
