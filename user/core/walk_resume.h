/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the kernel's frame walker (sluice/flow.h) to the relay's: both judge the same, but the
 * relay's lets a header pass only as a whole, while the kernel's has sent on what came of it. Pure.
 */
#pragma once
#include "base/std.h"
#include "proto/ws_walker.h"
#include "sluice/flow.h"

/* The part of a header that has passed. What of it nobody needs (its mask key) is zeros. */
struct walk_header {
	uint8_t bytes[WS_FRAME_HEADER_MAX];
	uint8_t len; /* 0 unless it stands inside a header */
};

/**
 * walk_resume() - bring @w to where @walk stands
 * @w: keeps its counts, limits and what is expected of its frames
 * @ret_header: to be handed to @w again in front of what comes
 *
 * Return: false if @walk does not know where it stands; then @w is as before.
 */
bool walk_resume(const struct sl_walk *walk, struct ws_walker *w, struct walk_header *ret_header);
