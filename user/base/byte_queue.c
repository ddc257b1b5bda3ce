/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_queue.h"

#define FIRST_BYTES 256

void byte_queue_init(struct byte_queue *q, uint32_t limit_bytes)
{
	assert(limit_bytes >= 1 && limit_bytes <= UINT32_C(1) << 31);
	*q = (struct byte_queue){.limit = limit_bytes};
}

void byte_queue_done(struct byte_queue *q)
{
	free(q->data);
	q->data = NULL;
	q->head = q->len = q->cap = 0;
}

static void move_to_front(struct byte_queue *q)
{
	if (q->head > 0)
		memmove(q->data, q->data + q->head, q->len);
	q->head = 0;
}

/*
 * A move costs q->len. It is paid for by the q->head bytes that were consumed since the last one,
 * or by the @want bytes that are about to be written; otherwise a nearly full queue from which a
 * byte is taken for each byte that comes would move all of itself each time. Such a queue gets
 * more memory instead, beyond the limit if it is full: with half a limit to spare, a move happens
 * at most once for every half limit of bytes consumed.
 */
static int make_room(struct byte_queue *q, size_t want)
{
	size_t need = q->len + want;
	bool fits = need <= q->cap;
	bool is_move_paid = q->len <= q->head + want;
	size_t cap, most = fits ? (size_t)q->limit + q->limit / 2 : q->limit;
	uint8_t *data;

	if (q->head + need <= q->cap)
		return 0;
	move_to_front(q);
	if (fits && (is_move_paid || q->cap >= most))
		return 0;
	cap = MIN(MAX(MAX(need, FIRST_BYTES), 2 * (size_t)q->cap), most);
	data = realloc(q->data, cap);
	if (!data)
		return fits ? 0 : -ENOMEM;
	q->data = data;
	q->cap = (uint32_t)cap;
	return 0;
}

int byte_queue_reserve(struct byte_queue *q, size_t want, uint8_t **ret_space)
{
	int error;

	if (want > byte_queue_room(q))
		return -ENOBUFS;
	error = make_room(q, want);
	if (error < 0)
		return error;
	*ret_space = q->data ? q->data + q->head + q->len : NULL;
	return 0;
}

void byte_queue_commit(struct byte_queue *q, size_t len)
{
	assert(q->head + q->len + len <= q->cap && len <= byte_queue_room(q));
	q->len += (uint32_t)len;
	if (q->len == 0)
		byte_queue_done(q);
}

int byte_queue_append(struct byte_queue *q, const void *data, size_t len)
{
	uint8_t *space;
	int error;

	if (len == 0)
		return 0;
	error = byte_queue_reserve(q, len, &space);
	if (error < 0)
		return error;
	assert(space); /* there is room for at least one byte */
	memcpy(space, data, len);
	byte_queue_commit(q, len);
	return 0;
}

void byte_queue_consume(struct byte_queue *q, size_t len)
{
	assert(len <= q->len);
	q->head += (uint32_t)len;
	q->len -= (uint32_t)len;
	if (q->len == 0)
		byte_queue_done(q);
}
