/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring. Cell i of a box of N cells is used for the positions i, i + N, i + 2N, ... Its sequence
 * says whose it is: `pos` - free, for the poster that claims position pos; `pos + 1` - filled, for
 * the consumer; `pos + N` - taken, which is "free" for the next lap. A poster claims a position by
 * advancing tail, writes the mail, and publishes it with the sequence. Everything that is shared
 * sits on cache lines of its own: the cells, so that neighbouring posters do not slow each other
 * down, and tail, head and the flag below.
 *
 * The wakeup. `is_asleep` says that nothing has been done to wake the consumer since it last looked
 * for mail. Whoever changes it from true to false owes one write to the eventfd:
 *
 *	post:	P1  cell.sequence = pos + 1		run:	C0  read the eventfd
 *		P2  if (is_asleep)				C1  is_asleep = true
 *		P3	if (exchange(is_asleep, false))		C2  look at the cell at head
 *		P4		write the eventfd
 *
 * run() takes mail until the cell at head is empty, then does C0, C1 and C2; if C2 finds a mail
 * after all it does P3 and P4 itself. When its budget ends before that, it does none of it.
 *
 * Claim: from a C1 on (mailbox_new() is the first), as soon as the cell at head is published, the
 * eventfd is readable or somebody is about to write it; and so it stays until the next C0.
 *
 *  1. P1, P2, P3, C1 and C2 are sequentially consistent, so they have one order S. If C2 saw the
 *     mail, the consumer's P3 follows C1. If not, the post P that publishes it has its P1 after C2
 *     in S, hence P2 after C1. If P2 sees false, somebody's P3 came between; if it sees true, P's
 *     own P3 comes next, or somebody's came before it. Always a P3 that follows C1 finds true.
 *  2. That one's P4 comes after C0, since its P3 read what C1 stored, and C0 is before C1. So this
 *     C0 does not swallow it, and up to the next C0 nobody else reads the eventfd.
 *  3. The consumer polls only between a C1 and the next C0, where the claim holds for the cell at
 *     head, in as many runs as the budget makes of it. Mails behind the head wait for it; they may
 *     even have been published, and have caused a wakeup for nothing, before it. The wakeup for
 *     the head takes them along: run() does no C0 before it has seen an empty cell.
 *
 * A P4 may come late, when the consumer has taken the mail already: it then wakes once for nothing.
 */
#include "base/mailbox.h"

#include <stdatomic.h>
#include <sys/eventfd.h>

#define CAPACITY_MIN 2 /* with one cell, "filled" and "free for the next lap" would be equal */
#define CAPACITY_MAX (UINT32_C(1) << 20)

struct cell {
	_Alignas(CACHE_LINE) _Atomic uint64_t sequence;
	struct mail mail;
};

struct mailbox {
	/* Constant. */
	_Alignas(CACHE_LINE) uint64_t mask; /* capacity - 1 */
	int fd;
	/* Next position to claim; posters only. */
	_Alignas(CACHE_LINE) _Atomic uint64_t tail;
	/* Next position to take; consumer only. */
	_Alignas(CACHE_LINE) uint64_t head;
	_Alignas(CACHE_LINE) _Atomic bool is_asleep;
	struct cell cells[];
};

static uint64_t round_up_to_power_of_two(uint64_t n)
{
	uint64_t power = CAPACITY_MIN;

	while (power < n)
		power *= 2;
	return power;
}

int mailbox_new(size_t capacity, struct mailbox **ret_box)
{
	_cleanup_(cleanup_mailbox_free) struct mailbox *box = NULL;
	uint64_t n_cells;

	if (capacity < 1 || capacity > CAPACITY_MAX)
		return -EINVAL;
	n_cells = round_up_to_power_of_two(capacity);
	box = aligned_alloc(CACHE_LINE, sizeof(*box) + n_cells * sizeof(struct cell));
	if (!box)
		return -ENOMEM;
	box->mask = n_cells - 1;
	box->head = 0;
	atomic_init(&box->tail, 0);
	atomic_init(&box->is_asleep, true);
	for (uint64_t i = 0; i < n_cells; i++)
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
	free(box);
}

int mailbox_fd(const struct mailbox *box)
{
	return box->fd;
}

/* P3 and P4. */
static void wake(struct mailbox *box)
{
	static const uint64_t one = 1;
	ssize_t n;

	/*
	 * Sequentially consistent: in C11 (7.17.3p6) P2 might otherwise read past a C1 to a store
	 * that is not part of S. It costs nothing: x86 has one exchange, and it is made once a
	 * batch.
	 */
	if (!atomic_exchange_explicit(&box->is_asleep, false, memory_order_seq_cst))
		return;
	/* Fails only near a count of 2^64, and then the eventfd is readable. */
	n = write(box->fd, &one, sizeof(one));
	(void)n;
}

/* Return: the cell claimed for *ret_position, or NULL when the box is full */
static struct cell *claim(struct mailbox *box, uint64_t *ret_position)
{
	/* Relaxed: a stale tail is found out by the sequence or by the exchange. */
	uint64_t pos = atomic_load_explicit(&box->tail, memory_order_relaxed);

	for (;;) {
		struct cell *cell = &box->cells[pos & box->mask];
		/* Acquire: the consumer's copying of the last lap's mail comes before our write. */
		uint64_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);

		if (sequence == pos) {
			/* Relaxed: only decides who; the mail is handed on by the sequence. */
			if (atomic_compare_exchange_weak_explicit(&box->tail, &pos, pos + 1,
								  memory_order_relaxed,
								  memory_order_relaxed)) {
				*ret_position = pos;
				return cell;
			}
		} else if ((int64_t)(sequence - pos) < 0) {
			return NULL; /* still holds the mail of a lap ago */
		} else {
			pos = atomic_load_explicit(&box->tail, memory_order_relaxed);
		}
	}
}

int mailbox_post(struct mailbox *box, const struct mail *mail)
{
	uint64_t pos;
	struct cell *cell = claim(box, &pos);

	if (!cell)
		return -EAGAIN;
	cell->mail = *mail;
	/* P1. Releases the mail, and stands before P2 in S: release alone would let P2 pass it. */
	atomic_store_explicit(&cell->sequence, pos + 1, memory_order_seq_cst);
	/* P2. A load first, so that posters to a busy consumer share the line instead of fighting.
	 */
	if (atomic_load_explicit(&box->is_asleep, memory_order_seq_cst))
		wake(box);
	return 0;
}

/* Acquire at least: the poster's writing of the mail comes before our reading it. */
static inline bool has_mail(struct mailbox *box, memory_order order)
{
	struct cell *cell = &box->cells[box->head & box->mask];

	return atomic_load_explicit(&cell->sequence, order) == box->head + 1;
}

static struct mail take(struct mailbox *box)
{
	struct cell *cell = &box->cells[box->head & box->mask];
	struct mail mail = cell->mail;

	/* Release: our copying comes before the next lap's poster writes. */
	atomic_store_explicit(&cell->sequence, box->head + box->mask + 1, memory_order_release);
	box->head++;
	return mail;
}

static void fall_asleep(struct mailbox *box)
{
	uint64_t count;
	ssize_t n;

	/* C0. Nothing to read (EAGAIN) if nobody woke us. */
	n = read(box->fd, &count, sizeof(count));
	(void)n;
	/* C1, before C2 in S, and C0 before both for those whose exchange reads from it. */
	atomic_store_explicit(&box->is_asleep, true, memory_order_seq_cst);
	/* C2. A mail that came meanwhile is left to the next turn of the loop. */
	if (has_mail(box, memory_order_seq_cst))
		wake(box);
}

size_t mailbox_run(struct mailbox *box, size_t budget)
{
	size_t n = 0;

	while (has_mail(box, memory_order_acquire)) {
		struct mail mail;

		if (n == budget)
			return n; /* the eventfd is still readable, see 3. */
		mail = take(box);
		n++;
		mail.fn(&mail);
	}
	fall_asleep(box);
	return n;
}
