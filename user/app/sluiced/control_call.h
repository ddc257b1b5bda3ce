/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request being carried out, whoever asked: a line on the control socket or an HTTP request. A
 * command owns its call until it has finished it, on the main thread, exactly once, with
 * control_finish() or control_fail(). Whoever asked may be gone by then.
 */
#pragma once
#include "base/std.h"

#include <jansson.h>

struct control_call;
struct gateway;

typedef void control_next_fn(struct control_call *call, void *arg);

/* ---- for commands -------------------------------------------------------------------------- */

struct gateway *control_call_gateway(const struct control_call *call);
const json_t *control_call_args(const struct control_call *call);
/** control_is_wanted() - whether anybody still waits for the answer */
bool control_is_wanted(const struct control_call *call);

/** control_finish() - the (last page of the) answer; takes the reference to @data */
void control_finish(struct control_call *call, json_t *data);
void control_fail(struct control_call *call, const char *code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
/**
 * control_page() - a page with more to come; takes the reference to @data
 * @next: called when the caller has taken enough, or is gone (see control_is_wanted())
 */
void control_page(struct control_call *call, json_t *data, control_next_fn *next, void *arg);
/**
 * control_wait() - there is nothing to say now, but may be some day: of an answer without an end
 * @next: called by control_go_on(), or when the caller is gone
 */
void control_wait(struct control_call *call, control_next_fn *next, void *arg);

/* ---- for callers: who embeds a call and has commands_run() carry it out --------------------- */

struct control_caller {
	/* The call has ended: these free it. @data's reference is theirs. */
	void (*finish)(struct control_call *call, json_t *data);
	void (*fail)(struct control_call *call, const char *code, const char *detail);
	/*
	 * Takes the reference to @data. Return: whether the next page may come at once; if not,
	 * control_go_on() asks for it.
	 */
	bool (*page)(struct control_call *call, json_t *data);
	/* There is nothing to say for now: see to it that control_leave() is called as soon as
	 * nobody waits any more. NULL = that is known anyhow */
	void (*wait)(struct control_call *call);
};

struct control_call {
	const struct control_caller *caller;
	struct gateway *gateway;
	const json_t *args; /* an object; borrowed */
	bool is_gone;       /* nobody waits any more */
	bool is_endless;    /* it has used control_wait() */
	control_next_fn *next;
	void *next_arg;
};

/** control_go_on() - run what a page, or a wait, has left to be done; nothing if there is none */
void control_go_on(struct control_call *call);
/** control_leave() - nobody waits any more. The call ends later, or within this */
void control_leave(struct control_call *call);
