/* SPDX-License-Identifier: Apache-2.0 */
/* The opening of a client connection: connect, upgrade request, response head. */
#pragma once
#include "client_conn.h"

/** client_open_connect() - connect, or try again where a unix socket's backlog was full */
void client_open_connect(struct client_conn *c);
/** client_open_connected() - the connection stands or was refused: ask for the upgrade */
void client_open_connected(struct client_conn *c);
/** client_open_receive() - bytes of the response, and perhaps of frames behind it */
void client_open_receive(struct client_conn *c, const uint8_t *data, size_t len);
/** client_open_take_early() - read the frames that came together with the response */
void client_open_take_early(struct client_conn *c);
