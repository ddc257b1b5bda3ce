/* SPDX-License-Identifier: Apache-2.0 */
/* Payload masking (RFC 6455 s5.3), with the widest vectors that pay on this processor. */
#pragma once
#include "base/std.h"

typedef void ws_mask_fn(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

/**
 * ws_mask_apply() - XOR @len bytes in place; masking and unmasking are the same operation
 * @data: of any alignment
 * @mask: wire order
 * @offset: payload bytes of this frame that came before @data (only its low 2 bits matter)
 */
void ws_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);
/** ws_mask_apply_scalar() - the reference: byte by byte */
void ws_mask_apply_scalar(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);

struct ws_mask_variant {
	const char *name;
	ws_mask_fn *apply;
};

/**
 * ws_mask_variant_at() - the implementations that this processor can run, for tests and benchmarks
 *
 * Return: number @index, from the reference on to wider ones, or NULL behind the last
 */
const struct ws_mask_variant *ws_mask_variant_at(size_t index);
