/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request head that an endpoint gets: the client's (proto/ws_handshake.h), with the route's
 * changes to path and headers, and who the client is.
 */
#pragma once
#include "base/std.h"
#include "base/text_writer.h"
#include "core/config.h"
#include "proto/http1_head.h"

struct sockaddr;

/**
 * forward_write() - write the complete head to @w
 * @target_max: bytes of a rewritten path
 * @source: the client's address
 *
 * What X-Forwarded-For and Forwarded say already stays, in one field, with the client's address
 * behind it; X-Forwarded-Proto and -Host are this gateway's alone (RFC 7239 s4, s7.1). A client on
 * a unix socket has no address: Forwarded says "unknown" (s6.2), X-Forwarded-For nothing new.
 *
 * Return: 0; -EHTTP_HEAD_LARGE or -EHTTP_FIELDS_MANY if it does not fit @w, or what the head of a
 * request may have; -EHTTP_TARGET_LONG if the rewritten path is over @target_max; -EHTTP_TARGET if
 * it has dot segments, which the client could have put together, or if its expression did not come
 * to an end; -EGW_MEMORY.
 */
int forward_write(const struct config_route *route, size_t target_max,
		  const struct sockaddr *source, const struct http1_head *head,
		  struct text_writer *w);
