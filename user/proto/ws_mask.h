/* SPDX-License-Identifier: Apache-2.0 */
/* Payload masking (RFC 6455 s5.3), with the widest vectors that the processor has. */
#pragma once
#include "base/std.h"

/**
 * ws_mask_apply() - XOR @len bytes in place; masking and unmasking are the same operation
 * @mask: wire order
 * @offset: payload bytes of this frame that came before @data (only its low 2 bits matter)
 */
void ws_mask_apply(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);
/** ws_mask_apply_scalar() - the reference: byte by byte; for tests and other processors */
void ws_mask_apply_scalar(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset);
