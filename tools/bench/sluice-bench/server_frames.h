/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of an open server connection. Echoing copies nothing: a client's frame is unmasked where
 * it was read, and the 4 bytes that the mask key leaves free make the room for the server's header
 * right in front of it. Only small frames are moved together, which costs less than an iovec each.
 */
#pragma once
#include "server_conn.h"

void server_frames_init(struct server_conn *c);
/**
 * server_frames_consume() - take @len bytes apart; @buf lies in the worker's read buffer
 *
 * What is to be sent goes out or to c->out, what is incomplete to c->in.
 */
void server_frames_consume(struct server_conn *c, uint8_t *buf, size_t len);
/** server_frames_generate() - a source's next bytes, at most @cap. Return: bytes, 0 at its end */
size_t server_frames_generate(struct server_conn *c, uint8_t *buf, size_t cap);
