/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded first-in first-out queue of bytes, contiguous in memory. Holds no memory while it is
 * empty, so that an idle connection pays for the struct alone.
 */
#pragma once
#include "base/std.h"

struct byte_queue {
	uint8_t *data;  /* owned; NULL while empty */
	uint32_t head;  /* offset of the first unread byte */
	uint32_t len;   /* unread bytes */
	uint32_t cap;   /* bytes allocated, up to half a limit more than the limit */
	uint32_t limit; /* most bytes that may be unread at once, <= 2^31 */
};

/** byte_queue_init() - make @q an empty queue of at most @limit_bytes (1..2^31) */
void byte_queue_init(struct byte_queue *q, uint32_t limit_bytes);
/** byte_queue_done() - free what @q owns; @q is then empty and may be used again */
void byte_queue_done(struct byte_queue *q);

/**
 * byte_queue_append() - copy @len bytes to the tail
 *
 * Return: 0, -ENOBUFS if the limit would be passed, or -ENOMEM; on error nothing was queued.
 */
int byte_queue_append(struct byte_queue *q, const void *data, size_t len);

/**
 * byte_queue_reserve() - make room for @want bytes at the tail, to be read into in place
 * @ret_space: start of the room; valid until the next call on @q
 *
 * Return: 0, -ENOBUFS or -ENOMEM as byte_queue_append(). byte_queue_commit() makes bytes part of
 * the queue.
 */
int byte_queue_reserve(struct byte_queue *q, size_t want, uint8_t **ret_space);
/** byte_queue_commit() - the first @len (<= reserved) bytes of the room are now queued */
void byte_queue_commit(struct byte_queue *q, size_t len);

/** byte_queue_consume() - drop @len (<= byte_queue_len()) bytes from the front; frees when empty */
void byte_queue_consume(struct byte_queue *q, size_t len);

static inline size_t byte_queue_len(const struct byte_queue *q)
{
	return q->len;
}

static inline size_t byte_queue_room(const struct byte_queue *q)
{
	return q->limit - q->len;
}

/* First unread byte; byte_queue_len() bytes follow it. Valid until the next call on @q. */
static inline uint8_t *byte_queue_front(const struct byte_queue *q)
{
	return q->data ? q->data + q->head : NULL;
}
