/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/errors.h"

static const struct proto_error_info errors[PROTO_ERROR_COUNT] = {
#define X(symbol_, name_, status_, close_code_, text_)              \
	[(symbol_) - PROTO_ERROR_BASE] = {.name = (name_),          \
					  .text = (text_),          \
					  .http_status = (status_), \
					  .close_code = (close_code_)},
    PROTO_ERRORS(X)
#undef X
};

/* Codes of ours lie above every errno of the system. */
_Static_assert(EHWPOISON < PROTO_ERROR_BASE && EWOULDBLOCK < PROTO_ERROR_BASE, "errno overlaps");

static int from_errno(int error)
{
	switch (error) {
	case ENOMEM:
	case ENOBUFS:
		return EGW_MEMORY;
	case ECONNRESET:
	case EPIPE:
	case ETIMEDOUT: /* the kernel gave up on the peer */
		return EEND_RESET;
	default:
		return EGW_INTERNAL;
	}
}

size_t proto_error_index(int error)
{
	/* Folded to the negative side, where every int has its place. */
	int negative = error > 0 ? -error : error;
	int code = EGW_INTERNAL;

	if (negative <= -PROTO_ERROR_BASE && negative > -PROTO_ERROR_END)
		code = -negative;
	else if (negative > -PROTO_ERROR_BASE)
		code = from_errno(-negative);
	return (size_t)(code - PROTO_ERROR_BASE);
}

const struct proto_error_info *proto_error_info(int error)
{
	return &errors[proto_error_index(error)];
}

const struct proto_error_info *proto_error_at(size_t index)
{
	assert(index < PROTO_ERROR_COUNT);
	return &errors[index];
}
