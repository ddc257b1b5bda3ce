/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses, by c-ares on a libev loop: nothing blocks. /etc/hosts and resolv.conf are
 * read as they are when the resolver of names is made (hosts: at each lookup).
 */
#pragma once
#include "base/address.h"
#include "base/std.h"

#include <ev.h>

#define DNS_ADDRESSES_MAX 16u
#define DNS_NAME_MAX      253

struct dns;
struct dns_lookup;

struct dns_options {
	const struct address *servers; /* none: those of resolv.conf */
	size_t n_servers;
	uint64_t timeout_ms; /* for one answer; each server is asked twice */
};

struct dns_answer {
	const char *error; /* what went wrong, or NULL */
	bool is_abandoned; /* by dns_free(): nobody knows; with an error */
	/* Sorted, none twice, without port; of more than these the first in that order. */
	struct address addresses[DNS_ADDRESSES_MAX];
	size_t n_addresses; /* 1 or more without error */
};

/* The lookup is gone when this is called. It may begin others. */
typedef void dns_fn(void *arg, const struct dns_answer *answer);

/** dns_new() - Return: 0 or -errno */
int dns_new(struct ev_loop *loop, const struct dns_options *options, struct dns **ret_dns);
/** dns_free() - lookups that are on their way end with an error. Not from a dns_fn. NULL is fine */
void dns_free(struct dns *dns);

/**
 * dns_lookup() - @name's IPv4 and IPv6 addresses
 * @name: up to DNS_NAME_MAX bytes; copied
 * @done: called once, later or within this call
 * @ret_lookup: written before @done is called
 *
 * Return: 0, or -ENOMEM and @done is never called.
 */
int dns_lookup(struct dns *dns, struct slice name, dns_fn *done, void *arg,
	       struct dns_lookup **ret_lookup);
/** dns_cancel() - @done is never called. NULL is fine */
void dns_cancel(struct dns_lookup *lookup);
