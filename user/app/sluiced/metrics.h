/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's figures in the text format of Prometheus (contracts.md s8). */
#pragma once
#include "base/std.h"

struct gateway;

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/** metrics_write() - Return: 0 with an owned text of *ret_len bytes, or -ENOMEM */
int metrics_write(const struct gateway *g, char **ret_text, size_t *ret_len);
