/* SPDX-License-Identifier: Apache-2.0 */
/* The frames of one open connection: what is generated to be sent, what is done with each event. */
#pragma once
#include "client_conn.h"

/** client_frames_init() - a new life: nothing sent, nothing received */
void client_frames_init(struct client_conn *c);
/** client_frames_fill() - write what is due into @cap bytes. Return: bytes; 0 if nothing is due */
size_t client_frames_fill(struct client_conn *c, uint8_t *buf, size_t cap);
/**
 * client_frames_consume() - take @len received bytes apart, unmasking in place
 *
 * Ends or fails the connection where the bytes say so; an incomplete frame header is kept in
 * c->carry.
 */
void client_frames_consume(struct client_conn *c, uint8_t *buf, size_t len);
