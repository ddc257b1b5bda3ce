/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes against a peer in the same thread: turns of the loop and calls on the peer's socket take
 * turns, until something has happened. Nothing depends on how long that takes.
 */
#include "route/health_probe.h"

#include "lib/split_feeder.h"
#include "proto/ws_handshake.h"
#include "proto/ws_mask.h"
#include "proto/ws_message.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#define TURNS_MAX 100000

struct fixture {
	struct ev_loop *loop;
	int listener, peer; /* -1 = nobody has connected */
	struct address address;
	struct config_cluster cluster;
	bool is_done;
	struct health_result result;
	struct health_probe *probe;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = ev_loop_new(EVFLAG_NOENV);
	f->peer = -1;
	assert_int_equal(address_parse("127.0.0.1:0", &f->address), 0);
	f->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listener, &f->address.sa, f->address.len), 0);
	assert_int_equal(listen(f->listener, 8), 0);
	assert_int_equal(getsockname(f->listener, &f->address.sa, &f->address.len), 0);
	f->cluster.health.timeout_ms = 60000;
	f->cluster.health.path = (char *)"/health?full=1";
	f->cluster.health.host = (char *)"";
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->peer >= 0)
		close(f->peer);
	close(f->listener);
	ev_loop_destroy(f->loop);
	free(f);
	return 0;
}

static void done(void *arg, const struct health_result *result)
{
	struct fixture *f = arg;

	assert_false(f->is_done);
	f->is_done = true;
	f->result = *result;
}

static void turn(struct fixture *f)
{
	ev_run(f->loop, EVRUN_NOWAIT);
}

/* Begins a probe; waits for it to connect unless @type is TCP. */
static void start(struct fixture *f, enum config_health_type type)
{
	f->is_done = false;
	f->cluster.health.type = type;
	if (f->peer >= 0)
		close(f->peer);
	f->peer = -1;
	assert_int_equal(health_probe_start(f->loop, &f->cluster, &f->address, "10.0.0.1:80", done,
					    f, &f->probe),
			 0);
	assert_false(f->is_done);
	for (int i = 0; type != CONFIG_HEALTH_TCP && f->peer < 0 && i < TURNS_MAX; i++) {
		turn(f);
		f->peer = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	}
}

static void say(struct fixture *f, const void *data, size_t len)
{
	assert_int_equal(send(f->peer, data, len, MSG_NOSIGNAL), len);
}

/* What the probe sends next, up to a whole head or @want bytes, with a NUL. */
static size_t hear(struct fixture *f, char *buf, size_t size, size_t want)
{
	size_t len = 0;

	for (int i = 0; i < TURNS_MAX; i++) {
		ssize_t n;

		turn(f);
		n = recv(f->peer, buf + len, want ? want - len : size - 1 - len, 0);
		len += n > 0 ? (size_t)n : 0;
		buf[len] = '\0';
		if (want ? len == want : strstr(buf, "\r\n\r\n") != NULL)
			return len;
	}
	fail_msg("heard only: %s", buf);
	return 0;
}

static void until_done(struct fixture *f)
{
	for (int i = 0; !f->is_done && i < TURNS_MAX; i++)
		turn(f);
	assert_true(f->is_done);
}

static void expect(struct fixture *f, bool is_good, const char *text)
{
	until_done(f);
	assert_string_equal(f->result.text, text);
	assert_int_equal(f->result.is_good, is_good);
}

/* ---- tcp ----------------------------------------------------------------------------------- */

static void tcp__connects_and_says_nothing(void **state)
{
	struct fixture *f = *state;
	char byte;

	start(f, CONFIG_HEALTH_TCP);
	expect(f, true, "connected");
	f->peer = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(recv(f->peer, &byte, 1, 0), 0);
}

static void tcp__is_refused(void **state)
{
	struct fixture *f = *state;

	close(f->listener);
	f->listener = open("/dev/null", O_RDONLY | O_CLOEXEC);
	start(f, CONFIG_HEALTH_TCP);
	expect(f, false, "connect: Connection refused");
}

static void tcp__what_has_come_counts_though_the_time_is_over(void **state)
{
	static const struct timespec longer = {.tv_nsec = 5000000};
	struct fixture *f = *state;
	struct pollfd connection = {.fd = f->listener, .events = POLLIN};

	f->cluster.health.timeout_ms = 1;
	start(f, CONFIG_HEALTH_TCP);
	assert_int_equal(poll(&connection, 1, -1), 1);
	nanosleep(&longer, NULL);
	expect(f, true, "connected");
}

static void cancel__ends_without_a_result(void **state)
{
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_HTTP);
	health_probe_cancel(f->probe);
	for (int i = 0; i < 10; i++)
		turn(f);
	assert_false(f->is_done);
	health_probe_cancel(NULL);
}

/* ---- http ---------------------------------------------------------------------------------- */

static void http__asks_for_the_path(void **state)
{
	struct fixture *f = *state;
	char request[1024];

	start(f, CONFIG_HEALTH_HTTP);
	hear(f, request, sizeof(request), 0);
	assert_string_equal(request, "GET /health?full=1 HTTP/1.1\r\nHost: 10.0.0.1:80\r\n"
				     "User-Agent: sluice-health\r\nConnection: close\r\n\r\n");
	health_probe_cancel(f->probe);
	f->cluster.health.host = (char *)"shop.example:81";
	start(f, CONFIG_HEALTH_HTTP);
	hear(f, request, sizeof(request), 0);
	assert_non_null(strstr(request, "\r\nHost: shop.example:81\r\n"));
	health_probe_cancel(f->probe);
}

#define FIFTY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *response;
	bool is_good;
	const char *text;
} responses[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", true, "200 OK"},
    {"HTTP/1.1 204 No Content\r\n\r\n", true, "204 No Content"},
    {"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n", true, "302 Found"},
    {"HTTP/1.1 399 \r\n\r\n", true, "399 "},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", false, "400 Bad Request"},
    {"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\ndown", false,
     "503 Service Unavailable"},
    {"HTTP/1.1 101 Switching Protocols\r\n\r\n", false, "101 Switching Protocols"},
    {"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", true, "200 OK"},
    {"HTTP/1.1 200 \xc3\xa4\xff\r\n\r\n", true, "200 ???"},
    {"HTTP/1.1 200 " FIFTY FIFTY "\r\n\r\n", true, "200 " FIFTY "xxxxxxxxxxxxxxxxxxxxxxxxx"},
    {"SSH-2.0-OpenSSH_9.2\r\n\r\n", false, "not HTTP: malformed request line or header"},
};

static void http__is_judged_by_its_status_at_every_split(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(responses); i++) {
		struct split_feeder feeder;
		struct slice piece;

		split_feeder_init(&feeder, responses[i].response, strlen(responses[i].response));
		while (split_feeder_next_way(&feeder)) {
			start(f, CONFIG_HEALTH_HTTP);
			while (split_feeder_next_piece(&feeder, &piece)) {
				if (f->is_done)
					continue; /* a body, which nobody waits for */
				say(f, piece.ptr, piece.len);
				turn(f);
			}
			expect(f, responses[i].is_good, responses[i].text);
		}
	}
}

static void http__interim_responses_are_bounded(void **state)
{
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_HTTP);
	for (int i = 0; i < 9; i++)
		say(f, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	expect(f, false, "too many interim responses");
}

static void http__end_without_an_answer_is_a_failure(void **state)
{
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_HTTP);
	say(f, "HTTP/1.1 200 OK\r\n", 17);
	assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
	expect(f, false, "closed the connection");
}

static void http__head_is_bounded(void **state)
{
	static const char line[] = "X-Filler: " FIFTY FIFTY FIFTY FIFTY "\r\n";
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_HTTP);
	say(f, "HTTP/1.1 200 OK\r\n", 17);
	for (int i = 0; !f->is_done && i < 1000; i++) {
		say(f, line, sizeof(line) - 1);
		turn(f);
	}
	expect(f, false, "not HTTP: request head over the limit");
}

static void http__silence_ends_at_the_timeout(void **state)
{
	struct fixture *f = *state;

	f->cluster.health.timeout_ms = 500; /* far more than it takes to connect */
	start(f, CONFIG_HEALTH_HTTP);
	while (!f->is_done)
		ev_run(f->loop, EVRUN_ONCE);
	expect(f, false, "timeout waiting for an answer");
}

/* ---- websocket ----------------------------------------------------------------------------- */

#define RESPONSE_101                                                                        \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Accept: "

/* Answers the upgrade. @behind: more header lines */
static void upgrade(struct fixture *f, const char *behind)
{
	char request[1024], response[1024], accept[WS_ACCEPT_LEN + 1];
	const char *key;

	start(f, CONFIG_HEALTH_WEBSOCKET);
	hear(f, request, sizeof(request), 0);
	assert_memory_equal(request, "GET /health?full=1 HTTP/1.1\r\n", 29);
	key = strstr(request, "Sec-WebSocket-Key: ");
	assert_non_null(key);
	ws_handshake_accept(key + strlen("Sec-WebSocket-Key: "), accept);
	snprintf(response, sizeof(response), RESPONSE_101 "%s\r\n%s\r\n", accept, behind);
	say(f, response, strlen(response));
}

/* The next frame of the probe, unmasked; all of them are short. */
static struct ws_frame_header hear_frame(struct fixture *f, uint8_t payload[WS_CONTROL_MAX])
{
	struct ws_frame_header header;
	char buf[6 + WS_CONTROL_MAX + 1];

	hear(f, buf, sizeof(buf), 6);
	assert_int_equal(ws_frame_header_decode((uint8_t *)buf, 6, 0, &header), 6);
	/* RFC 6455 s5.1: a client MUST mask. */
	assert_true(header.masked && header.fin);
	if (header.payload_len)
		hear(f, buf, sizeof(buf), (size_t)header.payload_len);
	memcpy(payload, buf, (size_t)header.payload_len);
	ws_mask_apply(payload, (size_t)header.payload_len, header.mask, 0);
	return header;
}

static void say_frame(struct fixture *f, uint8_t opcode, const void *payload, size_t len)
{
	uint8_t frame[2 + WS_CONTROL_MAX] = {(uint8_t)(0x80 | opcode), (uint8_t)len};

	memcpy(frame + 2, payload, len);
	say(f, frame, 2 + len);
}

/* Waits for the ping. Return: its length */
static size_t hear_ping(struct fixture *f, uint8_t payload[WS_CONTROL_MAX])
{
	struct ws_frame_header header = hear_frame(f, payload);

	assert_int_equal(header.opcode, WS_OP_PING);
	assert_int_equal(header.payload_len, 8);
	return (size_t)header.payload_len;
}

/* RFC 6455 s5.5.1: a Close with 1000 (s7.4.1), masked. */
static void hear_close(struct fixture *f)
{
	uint8_t payload[WS_CONTROL_MAX];
	struct ws_frame_header header = hear_frame(f, payload);

	assert_int_equal(header.opcode, WS_OP_CLOSE);
	assert_int_equal(header.payload_len, 2);
	assert_int_equal(payload[0] << 8 | payload[1], 1000);
}

static void websocket__pings_and_closes_with_1000(void **state)
{
	struct fixture *f = *state;
	uint8_t payload[WS_CONTROL_MAX];
	size_t len;

	upgrade(f, "");
	len = hear_ping(f, payload);
	say_frame(f, WS_OP_PONG, payload, len);
	hear_close(f);
	assert_false(f->is_done);
	say_frame(f, WS_OP_CLOSE, "\x03\xe8", 2);
	expect(f, true, "pong");
}

static void websocket__parting_in_a_bad_way_is_still_good(void **state)
{
	static const uint8_t endings[][4] = {
	    {0xff, 0xff, 0xff, 0xff}, /* garbage */
	    {0x88, 0x02, 0x03, 0xf3}, /* another code */
	    {0},                      /* nothing but the end */
	};
	struct fixture *f = *state;
	uint8_t payload[WS_CONTROL_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		upgrade(f, "");
		say_frame(f, WS_OP_PONG, payload, hear_ping(f, payload));
		hear_close(f);
		if (endings[i][0])
			say(f, endings[i], sizeof(endings[i]));
		else
			assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
		expect(f, true, "pong");
	}
}

static void websocket__greetings_other_pongs_and_pings_come_in_between(void **state)
{
	struct fixture *f = *state;
	uint8_t payload[WS_CONTROL_MAX], echoed[WS_CONTROL_MAX];
	struct ws_frame_header header;
	size_t len;

	upgrade(f, "");
	len = hear_ping(f, payload);
	say_frame(f, WS_OP_TEXT, "welcome", 7);
	say_frame(f, WS_OP_PONG, "", 0);
	say_frame(f, WS_OP_PONG, "another!", 8);
	say_frame(f, WS_OP_PING, "are you there", 13);
	/* RFC 6455 s5.5.2: a ping MUST be answered with its payload. */
	header = hear_frame(f, echoed);
	assert_int_equal(header.opcode, WS_OP_PONG);
	assert_int_equal(header.payload_len, 13);
	assert_memory_equal(echoed, "are you there", 13);
	assert_false(f->is_done);
	say_frame(f, WS_OP_PONG, payload, len);
	hear_close(f);
	say_frame(f, WS_OP_CLOSE, "", 0);
	expect(f, true, "pong");
}

static void websocket__wrong_accept_is_a_failure(void **state)
{
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_WEBSOCKET);
	/* RFC 6455 s4.1: the answer to the sample key of s1.3 is not the one to ours. */
	say(f, RESPONSE_101 "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
	    strlen(RESPONSE_101 "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
	expect(f, false, "endpoint's Sec-WebSocket-Accept is wrong");
}

static void websocket__extension_is_a_failure(void **state)
{
	struct fixture *f = *state;

	upgrade(f, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
	expect(f, false, "endpoint chose an extension that was not offered");
}

static void websocket__plain_http_is_a_failure(void **state)
{
	struct fixture *f = *state;

	start(f, CONFIG_HEALTH_WEBSOCKET);
	say(f, "HTTP/1.1 200 OK\r\n\r\n", 19);
	expect(f, false, "200 OK instead of 101");
}

static void websocket__close_instead_of_a_pong_is_a_failure(void **state)
{
	struct fixture *f = *state;

	upgrade(f, "");
	say_frame(f, WS_OP_CLOSE, "\x03\xe9", 2);
	expect(f, false, "closed with code 1001 instead of a pong");
}

static void websocket__broken_frames_are_a_failure(void **state)
{
	struct fixture *f = *state;

	upgrade(f, "");
	/* RFC 6455 s5.1: a client MUST NOT accept a masked frame. */
	say(f, "\x8a\x80\x01\x02\x03\x04", 6);
	expect(f, false, "client frame not masked or server frame masked (RFC 6455 s5.1)");
}

static void websocket__flood_is_bounded(void **state)
{
	static const uint8_t zeroes[4096];
	struct fixture *f = *state;
	size_t n_sent = 0;

	upgrade(f, "");
	say(f, "\x82\x7f\x00\x00\x00\x00\x40\x00\x00\x00", 10); /* a frame of 1 GiB */
	for (int i = 0; !f->is_done && i < TURNS_MAX; i++) {
		ssize_t n = send(f->peer, zeroes, sizeof(zeroes), MSG_NOSIGNAL);

		n_sent += n > 0 ? (size_t)n : 0;
		turn(f);
	}
	expect(f, false, "sent more than 65536 bytes");
	assert_in_range(n_sent, HEALTH_PROBE_BYTES - 4096, HEALTH_PROBE_BYTES + (1u << 20));
}

static void websocket__no_pong_ends_at_the_timeout(void **state)
{
	struct fixture *f = *state;
	uint8_t payload[WS_CONTROL_MAX];

	f->cluster.health.timeout_ms = 2000; /* far more than the handshake takes */
	upgrade(f, "");
	hear_ping(f, payload);
	while (!f->is_done)
		ev_run(f->loop, EVRUN_ONCE);
	expect(f, false, "timeout waiting for a pong");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	    TEST(tcp__connects_and_says_nothing),
	    TEST(tcp__is_refused),
	    TEST(tcp__what_has_come_counts_though_the_time_is_over),
	    TEST(cancel__ends_without_a_result),
	    TEST(http__asks_for_the_path),
	    TEST(http__is_judged_by_its_status_at_every_split),
	    TEST(http__interim_responses_are_bounded),
	    TEST(http__end_without_an_answer_is_a_failure),
	    TEST(http__head_is_bounded),
	    TEST(http__silence_ends_at_the_timeout),
	    TEST(websocket__pings_and_closes_with_1000),
	    TEST(websocket__parting_in_a_bad_way_is_still_good),
	    TEST(websocket__greetings_other_pongs_and_pings_come_in_between),
	    TEST(websocket__wrong_accept_is_a_failure),
	    TEST(websocket__extension_is_a_failure),
	    TEST(websocket__plain_http_is_a_failure),
	    TEST(websocket__close_instead_of_a_pong_is_a_failure),
	    TEST(websocket__broken_frames_are_a_failure),
	    TEST(websocket__flood_is_bounded),
	    TEST(websocket__no_pong_ends_at_the_timeout),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
