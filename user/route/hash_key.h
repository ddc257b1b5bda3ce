/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a request that decides where it goes, as `hash_key` names it. */
#pragma once
#include "base/std.h"
#include "proto/http1_head.h"

#include <sys/socket.h>

/**
 * hash_key_of() - where on the ring a request lies
 * @key: config_is_hash_key()
 *
 * Source is the address without its port, host is without port and case; the others are as
 * received. Of repeated headers, parameters and cookies the first counts. What is missing or empty
 * falls back to the source.
 */
uint64_t hash_key_of(const char *key, const struct http1_head *head, const struct sockaddr *source);
