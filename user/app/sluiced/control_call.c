/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluiced/control_call.h"

#include <stdarg.h>
#include <stdio.h>

struct gateway *control_call_gateway(const struct control_call *call)
{
	return call->gateway;
}

const json_t *control_call_args(const struct control_call *call)
{
	return call->args;
}

bool control_is_wanted(const struct control_call *call)
{
	return !call->is_gone;
}

void control_finish(struct control_call *call, json_t *data)
{
	call->caller->finish(call, data);
}

void control_fail(struct control_call *call, const char *code, const char *fmt, ...)
{
	char detail[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	call->caller->fail(call, code, detail);
}

void control_page(struct control_call *call, json_t *data, control_next_fn *next, void *arg)
{
	call->next = next;
	call->next_arg = arg;
	if (call->is_gone)
		json_decref(data);
	else if (!call->caller->page(call, data))
		return;
	control_go_on(call);
}

void control_wait(struct control_call *call, control_next_fn *next, void *arg)
{
	call->is_endless = true;
	call->next = next;
	call->next_arg = arg;
	if (call->is_gone)
		control_go_on(call);
	else if (call->caller->wait)
		call->caller->wait(call);
}

void control_go_on(struct control_call *call)
{
	control_next_fn *next = TAKE_PTR(call->next);

	if (next)
		next(call, call->next_arg);
}

void control_leave(struct control_call *call)
{
	call->is_gone = true;
	/* One that waits for its caller to read would wait for ever: let it see that it is gone. */
	control_go_on(call);
}
