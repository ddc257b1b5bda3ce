/* SPDX-License-Identifier: Apache-2.0 */
#include "route/respond.h"

#include "base/text_writer.h"
#include "core/connection.h"
#include "core/worker.h"

void respond_begin(struct connection *c, const struct handshake_request *request)
{
	const struct config_route *route = c->route;
	struct slice body = slice_from_str(route->respond.body);
	struct text_writer w;

	if (!c->is_head_request && !slice_equal(request->head->method, SLICE_LITERAL("GET"))) {
		connection_refuse(c, EHTTP_METHOD);
		return;
	}
	text_writer_init(&w, worker_scratch_out(c->worker), WORKER_SCRATCH_OUT);
	text_printf(&w, "HTTP/1.1 %u %s\r\n", route->respond.status,
		    http1_status_text(route->respond.status));
	/* RFC 9110 s8.6: no Content-Length with 204; there is no body either. */
	if (route->respond.status != 204)
		text_printf(&w, "Content-Type: %s\r\nContent-Length: %zu\r\n",
			    route->respond.content_type, body.len);
	text_put_str(&w, "Connection: close\r\n\r\n");
	/* RFC 9110 s9.3.2, s15.4.5: HEAD and 304 announce a body that they do not carry. */
	if (!c->is_head_request && route->respond.status != 204 && route->respond.status != 304)
		text_put_slice(&w, body);
	if (w.is_truncated) {
		connection_refuse(c, EGW_INTERNAL);
		return;
	}
	connection_respond(c, route->respond.status, (struct slice){w.buf, w.len}, EEND_RESPONSE);
}
