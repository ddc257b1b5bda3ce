/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mailbox.h"

#include <stdatomic.h>
#include <sys/eventfd.h>

#define CAPACITY_MAX (1u << 20)

/*
 * The ring (D. Vyukov's bounded queue, with a single consumer). Each cell's sequence says whose it
 * is: pos = free for the poster that claims position pos; pos + 1 = filled, for the consumer; the
 * consumer sets pos + capacity, which is free again one lap later. A poster claims a position by
 * advancing tail, fills the cell, and publishes it by storing the sequence.
 *
 * The wakeup. is_awake is set while the consumer is known to look again: it has been woken and has
 * not yet cleared the flag. A poster publishes its mail (A), then exchanges is_awake to true (B)
 * and writes the eventfd only if it was false. The consumer drains the eventfd, stores false into
 * is_awake (C), and then looks at the cells (D). A and B of a poster, and C and D of the consumer,
 * are each ordered by sequential consistency, so for any mail either B comes after C, and the
 * poster finds false and writes the eventfd; or B comes before C, and then A comes before D and the
 * consumer sees the mail in this very run. Neither order loses a wakeup.
 */
struct cell {
	_Atomic size_t sequence;
	struct mail mail;
};

struct mailbox {
	_Alignas(CACHE_LINE) _Atomic size_t tail; /* next position to claim; posters */
	_Alignas(CACHE_LINE) size_t head;         /* next position to take; consumer only */
	_Alignas(CACHE_LINE) _Atomic bool is_awake;
	_Alignas(CACHE_LINE) size_t mask; /* capacity - 1; from here on constant */
	int fd;
	struct cell *cells;
};

int mailbox_new(size_t capacity, struct mailbox **ret_box)
{
	_cleanup_(cleanup_mailbox_free) struct mailbox *box = NULL;
	size_t size = 2;

	if (capacity < 2 || capacity > CAPACITY_MAX)
		return -EINVAL;
	while (size < capacity)
		size *= 2;
	box = aligned_alloc(CACHE_LINE, sizeof(*box));
	if (!box)
		return -ENOMEM;
	memset(box, 0, sizeof(*box));
	box->fd = -1;
	box->mask = size - 1;
	box->cells = calloc(size, sizeof(*box->cells));
	if (!box->cells)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++)
		atomic_init(&box->cells[i].sequence, i);
	box->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (box->fd < 0)
		return -errno;
	*ret_box = TAKE_PTR(box);
	return 0;
}

void mailbox_free(struct mailbox *box)
{
	if (!box)
		return;
	if (box->fd >= 0)
		close(box->fd);
	free(box->cells);
	free(box);
}

static void wake(struct mailbox *box)
{
	uint64_t one = 1;

	/* Only a counter near 2^64 could make this fail. */
	while (write(box->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

int mailbox_post(struct mailbox *box, const struct mail *mail)
{
	/* Relaxed: the claim is settled by the compare-exchange, the content by the sequence. */
	size_t pos = atomic_load_explicit(&box->tail, memory_order_relaxed);
	struct cell *cell;

	for (;;) {
		size_t sequence;
		intptr_t difference;

		cell = &box->cells[pos & box->mask];
		/* Acquire: the consumer has finished reading what was here a lap ago. */
		sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
		difference = (intptr_t)(sequence - pos);
		if (difference < 0)
			return -EAGAIN;
		if (difference > 0) {
			pos = atomic_load_explicit(&box->tail, memory_order_relaxed);
			continue;
		}
		if (atomic_compare_exchange_weak_explicit(&box->tail, &pos, pos + 1,
							  memory_order_relaxed,
							  memory_order_relaxed))
			break;
	}
	cell->mail = *mail;
	/* Sequentially consistent, as the exchange: A before B in the argument above. */
	atomic_store_explicit(&cell->sequence, pos + 1, memory_order_seq_cst);
	if (!atomic_exchange_explicit(&box->is_awake, true, memory_order_seq_cst))
		wake(box);
	return 0;
}

int mailbox_fd(const struct mailbox *box)
{
	return box->fd;
}

static bool take(struct mailbox *box, struct mail *ret_mail)
{
	struct cell *cell = &box->cells[box->head & box->mask];

	/* Sequentially consistent: D comes after C. */
	if (atomic_load_explicit(&cell->sequence, memory_order_seq_cst) != box->head + 1)
		return false;
	*ret_mail = cell->mail;
	/* Release: the poster of the next lap may overwrite the mail. */
	atomic_store_explicit(&cell->sequence, box->head + box->mask + 1, memory_order_release);
	box->head++;
	return true;
}

size_t mailbox_run(struct mailbox *box, size_t budget)
{
	uint64_t ignored;
	size_t n = 0;
	struct mail mail;

	/* Not readable (EAGAIN) when called without a wakeup: harmless. */
	while (read(box->fd, &ignored, sizeof(ignored)) < 0 && errno == EINTR)
		;
	atomic_store_explicit(&box->is_awake, false, memory_order_seq_cst);
	while (n < budget && take(box, &mail)) {
		mail.fn(&mail);
		n++;
	}
	/* The budget is spent and nobody may post again: stay readable for the rest. */
	if (n == budget && !atomic_exchange_explicit(&box->is_awake, true, memory_order_seq_cst))
		wake(box);
	return n;
}
