/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hands an input to an incremental parser in every way that the network might: whole, cut in two
 * at every byte, and byte by byte; or, where that would take too long, in random pieces.
 *
 *	split_feeder_init(&feeder, input, len);
 *	while (split_feeder_next_way(&feeder)) {
 *		... begin a new parser ...
 *		while (split_feeder_next_piece(&feeder, &piece))
 *			... feed it piece.ptr, piece.len ...
 *		... the result must be the same in every way ...
 *	}
 *
 * What is handed out is a copy on the heap without a byte to spare, at a new place every time, so
 * that AddressSanitizer sees a parser that reads ahead, or that keeps a pointer to what it was
 * given. It is good until the next call, and may be written to. A loop that is left early calls
 * split_feeder_done().
 */
#pragma once
#include "base/std.h"

struct split_feeder {
	const char *input; /* borrowed */
	size_t len;
	size_t n_ways;      /* begun so far */
	size_t pos;         /* bytes handed out in this way */
	size_t n_left;      /* of them, at the end, to be handed out again */
	size_t random_ways; /* 0: every way */
	size_t random_max;  /* bytes of a random piece */
	uint64_t random;    /* state */
	char *copy;         /* owned; what was handed out last */
};

static inline void split_feeder_init(struct split_feeder *f, const void *input, size_t len)
{
	*f = (struct split_feeder){.input = input, .len = len};
}

/**
 * split_feeder_init_random() - @n_ways ways, the same for the same @seed
 *
 * The first is the whole; in the others, pieces of 1..@max_piece bytes, short ones more often.
 */
static inline void split_feeder_init_random(struct split_feeder *f, const void *input, size_t len,
					    size_t n_ways, size_t max_piece, uint64_t seed)
{
	*f = (struct split_feeder){
	    .input = input,
	    .len = len,
	    .random_ways = n_ways,
	    .random_max = max_piece,
	    .random = seed,
	};
}

static inline void split_feeder_done(struct split_feeder *f)
{
	free(f->copy);
	f->copy = NULL;
}

/** split_feeder_next_way() - begin again with other pieces; false after the last way */
static inline bool split_feeder_next_way(struct split_feeder *f)
{
	size_t n_all = f->len > 1 ? f->len + 1 : 1;

	if (f->n_ways == (f->random_ways ? f->random_ways : n_all)) {
		split_feeder_done(f);
		return false;
	}
	f->n_ways++;
	f->pos = f->n_left = 0;
	return true;
}

static inline size_t split_feeder_random_end(struct split_feeder *f)
{
	size_t len;

	/* Knuth's MMIX generator; its upper bits are good enough for lengths. */
	f->random = f->random * 6364136223846793005u + 1442695040888963407u;
	len = 1 + ((size_t)(f->random >> 20 & UINT32_MAX) % f->random_max >> (f->random >> 60));
	return MIN(f->len, f->pos + len);
}

static inline size_t split_feeder_next_end(struct split_feeder *f)
{
	size_t way = f->n_ways - 1; /* 0: whole, up to len-1: the place of the cut, len: bytes */

	if (f->random_ways && way > 0)
		return split_feeder_random_end(f);
	if (way > 0 && way == f->len)
		return f->pos + 1;
	return f->pos < way ? way : f->len;
}

static inline struct slice split_feeder_copy(struct split_feeder *f, size_t from, size_t end)
{
	char *copy = malloc(end > from ? end - from : 1);

	if (!copy)
		abort();
	if (end > from)
		memcpy(copy, f->input + from, end - from);
	free(f->copy);
	f->copy = copy;
	return (struct slice){copy, end - from};
}

/** split_feeder_next_piece() - the bytes that come next; false at the end of the input */
static inline bool split_feeder_next_piece(struct split_feeder *f, struct slice *ret_piece)
{
	size_t from = f->pos - f->n_left;

	if (f->pos == f->len)
		return false;
	f->pos = split_feeder_next_end(f);
	f->n_left = 0;
	*ret_piece = split_feeder_copy(f, from, f->pos);
	return true;
}

/** split_feeder_leave() - the last @n bytes of the piece come again, in front of the next */
static inline void split_feeder_leave(struct split_feeder *f, size_t n)
{
	f->n_left = n;
}

/** split_feeder_next_received() - as above, but all bytes so far, for parsers over one buffer */
static inline bool split_feeder_next_received(struct split_feeder *f, struct slice *ret_received)
{
	if (f->pos == f->len)
		return false;
	f->pos = split_feeder_next_end(f);
	*ret_received = split_feeder_copy(f, 0, f->pos);
	return true;
}
