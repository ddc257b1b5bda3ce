/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at all connections of all workers, of which only the result leaves them: the few that come
 * first in an order, and sums. Each worker goes through its own as ordinary work, below its
 * traffic, one worker after the other.
 */
#pragma once
#include "app/top_by.h"
#include "base/hash.h"
#include "base/std.h"
#include "core/connection_filter.h"
#include "core/connection_meter.h"
#include "core/connection_order.h"
#include "sluice/path.h"

struct control_call;

struct survey_plan {
	struct connection_filter filter;
	struct connection_order order;
	enum top_by by;
	size_t limit;     /* of rows or groups, 1..CONNECTION_LIMIT_MAX */
	bool is_measured; /* rates are wanted */
};

struct survey_row {
	struct connection_info info; /* of one that has gone since it was chosen: id is 0 */
	struct connection_rates rates;
};

/* Connections that have something in common. */
struct survey_group {
	struct hash_node by_name;
	char name[2 * CONFIG_NAME_MAX + 2]; /* CLUSTER/NAME of an endpoint; "" = of none */
	uint64_t n_connections;
	uint64_t on_path[SLUICE_PATH_COUNT]; /* the open ones */
	struct connection_traffic traffic;   /* idle_ms means nothing */
	struct connection_rates rates;       /* of those whose are known */
};

struct survey_result {
	struct survey_group total;
	struct survey_row *rows; /* by connection */
	size_t n_rows;
	struct survey_group **groups; /* otherwise; those that come first */
	size_t n_groups;
};

/** survey_fn - main thread: to answer @call with @result, which is gone afterwards */
typedef void survey_fn(struct control_call *call, const struct survey_plan *plan,
		       const struct survey_result *result);
/** survey_start() - main thread; the call is failed, or @done is called later */
void survey_start(struct control_call *call, const struct survey_plan *plan, survey_fn *done);
