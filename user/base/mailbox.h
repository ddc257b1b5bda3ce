/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded lock-free mailbox: many threads post, one thread takes. A ring of sequence-numbered
 * cells (Vyukov's bounded queue, restricted to one consumer); a full box refuses, it never blocks
 * and never grows. The consumer sleeps in its event loop on mailbox_fd(); a batch of posts costs
 * one eventfd write, because only the post that finds the consumer "asleep" writes.
 */
#pragma once
#include "base/std.h"

struct mail;
/* Runs on the consumer's thread. */
typedef void mail_fn(const struct mail *mail);

/* Copied by value; who owns *ptr is between poster and fn. */
struct mail {
	mail_fn *fn;
	void *ptr;
	uint64_t arg;
};

struct mailbox; /* opaque, cache-line padded */

/**
 * mailbox_new() - a mailbox of @capacity mails (1..2^20, rounded up to a power of two from 2 on)
 *
 * Return: 0 and an owned box; -EINVAL, -ENOMEM, or eventfd(2)'s error.
 */
int mailbox_new(size_t capacity, struct mailbox **ret_box);
/** mailbox_free() - no poster may be left; mails still inside are dropped. NULL is fine */
void mailbox_free(struct mailbox *box);
DEFINE_CLEANUP(struct mailbox, mailbox_free)

/** mailbox_post() - any thread. Return: 0, or -EAGAIN when the box is full */
int mailbox_post(struct mailbox *box, const struct mail *mail);

/** mailbox_fd() - readable while a wakeup is due; owned by the box */
int mailbox_fd(const struct mailbox *box);

/**
 * mailbox_run() - consumer only: run up to @budget mails; clears the wakeup once none is left
 *
 * Return: mails run. If more are left the fd is readable or about to be, so a budget never strands
 * a mail. A call without a wakeup is harmless, as is a wakeup for nothing.
 */
size_t mailbox_run(struct mailbox *box, size_t budget);
