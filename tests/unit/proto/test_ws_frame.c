/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ws_frame.h"

#include "proto/utf8.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- decode -------------------------------------------------------------------------------- */

/*
 * Decodes every prefix of @bytes, each in a heap block of its own. Exactly from @enough bytes on
 * the result is @expected; with fewer it is 0, and without a header nothing is written.
 * Return: the header, or zeroes
 */
static struct ws_frame_header decode_prefixes(const char *what, const uint8_t *bytes, size_t len,
					      uint8_t allowed_rsv, size_t enough, ssize_t expected)
{
	struct ws_frame_header untouched, decoded = {0};

	memset(&untouched, 0x77, sizeof(untouched));
	for (size_t n = 0; n <= len; n++) {
		_cleanup_free_ uint8_t *block = malloc(n ? n : 1);
		struct ws_frame_header h = untouched;
		ssize_t got;

		memcpy(block, bytes, n);
		got = ws_frame_header_decode(n ? block : NULL, n, allowed_rsv, &h);
		if (got != (n < enough ? 0 : expected))
			fail_msg("%s: %zu of %zu bytes: %zd", what, n, len, got);
		if (got > 0)
			decoded = h;
		else
			assert_memory_equal(&h, &untouched, sizeof(h));
	}
	return decoded;
}

#define BYTES(...) (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})

struct good_vector {
	const char *what;
	const uint8_t *bytes;
	size_t len, header_len;
	struct ws_frame_header header;
};

static const struct good_vector good_vectors[] = {
    /* RFC 6455 s5.7 */
    {"unmasked text",
     BYTES(0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f),
     2,
     {.payload_len = 5, .opcode = WS_OP_TEXT, .fin = true}},
    {"masked text",
     BYTES(0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
     6,
     {.payload_len = 5,
      .opcode = WS_OP_TEXT,
      .fin = true,
      .masked = true,
      .mask = {0x37, 0xfa, 0x21, 0x3d}}},
    {"first fragment",
     BYTES(0x01, 0x03, 0x48, 0x65, 0x6c),
     2,
     {.payload_len = 3, .opcode = WS_OP_TEXT}},
    {"last fragment",
     BYTES(0x80, 0x02, 0x6c, 0x6f),
     2,
     {.payload_len = 2, .opcode = WS_OP_CONTINUATION, .fin = true}},
    {"unmasked ping",
     BYTES(0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f),
     2,
     {.payload_len = 5, .opcode = WS_OP_PING, .fin = true}},
    {"masked pong",
     BYTES(0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58),
     6,
     {.payload_len = 5,
      .opcode = WS_OP_PONG,
      .fin = true,
      .masked = true,
      .mask = {0x37, 0xfa, 0x21, 0x3d}}},
    {"256 bytes",
     BYTES(0x82, 0x7e, 0x01, 0x00, 0xaa),
     4,
     {.payload_len = 256, .opcode = WS_OP_BINARY, .fin = true}},
    {"64 KiB",
     BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0, 0xaa),
     10,
     {.payload_len = 65536, .opcode = WS_OP_BINARY, .fin = true}},
    /* bounds of the length forms */
    {"empty", BYTES(0x82, 0x00), 2, {.opcode = WS_OP_BINARY, .fin = true}},
    {"125", BYTES(0x82, 0x7d), 2, {.payload_len = 125, .opcode = WS_OP_BINARY, .fin = true}},
    {"126",
     BYTES(0x82, 0x7e, 0, 126),
     4,
     {.payload_len = 126, .opcode = WS_OP_BINARY, .fin = true}},
    {"65535",
     BYTES(0x82, 0x7e, 0xff, 0xff),
     4,
     {.payload_len = 65535, .opcode = WS_OP_BINARY, .fin = true}},
    {"2^63-1, masked",
     BYTES(0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5),
     14,
     {.payload_len = INT64_MAX,
      .opcode = WS_OP_BINARY,
      .fin = true,
      .masked = true,
      .mask = {1, 2, 3, 4}}},
    {"close",
     BYTES(0x88, 0x02, 0x03, 0xe8),
     2,
     {.payload_len = 2, .opcode = WS_OP_CLOSE, .fin = true}},
    {"longest ping", BYTES(0x89, 0x7d), 2, {.payload_len = 125, .opcode = WS_OP_PING, .fin = true}},
};

static void assert_headers_equal(const struct ws_frame_header *a, const struct ws_frame_header *b)
{
	assert_int_equal(a->payload_len, b->payload_len);
	assert_int_equal(a->opcode, b->opcode);
	assert_int_equal(a->rsv, b->rsv);
	assert_int_equal(a->fin, b->fin);
	assert_int_equal(a->masked, b->masked);
	if (b->masked)
		assert_memory_equal(a->mask, b->mask, 4);
}

/* RFC 6455 s5.2, s5.7 */
static void decode__reads_the_vectors_of_the_rfc(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good_vectors); i++) {
		const struct good_vector *v = &good_vectors[i];
		struct ws_frame_header h = decode_prefixes(v->what, v->bytes, v->len, 0,
							   v->header_len, (ssize_t)v->header_len);

		assert_headers_equal(&h, &v->header);
	}
}

struct bad_vector {
	const char *what;
	const uint8_t *bytes;
	size_t len, enough; /* bytes that show it */
	int error;
};

static const struct bad_vector bad_vectors[] = {
    /* RFC 6455 s5.2: reserved bits MUST be 0 */
    {"RSV1", BYTES(0xc1, 0x00), 1, EWS_RSV},
    {"RSV2", BYTES(0xa1, 0x00), 1, EWS_RSV},
    {"RSV3", BYTES(0x91, 0x00), 1, EWS_RSV},
    {"RSV1 of a ping", BYTES(0xc9, 0x00), 1, EWS_RSV},
    {"RSV before opcode", BYTES(0xc3, 0x00), 1, EWS_RSV},
    /* RFC 6455 s5.2: an unknown opcode MUST fail the connection */
    {"opcode 3", BYTES(0x83, 0x00), 1, EWS_OPCODE},
    {"opcode 7", BYTES(0x87, 0x00), 1, EWS_OPCODE},
    {"opcode 11", BYTES(0x8b, 0x00), 1, EWS_OPCODE},
    {"opcode 15", BYTES(0x8f, 0x00), 1, EWS_OPCODE},
    {"opcode before fragmentation", BYTES(0x0b, 0x00), 1, EWS_OPCODE},
    /* RFC 6455 s5.5: control frames MUST NOT be fragmented and MUST have at most 125 bytes */
    {"fragmented close", BYTES(0x08, 0x00), 1, EWS_CONTROL},
    {"fragmented ping", BYTES(0x09, 0x00), 1, EWS_CONTROL},
    {"fragmented pong", BYTES(0x0a, 0x00), 1, EWS_CONTROL},
    {"ping of 126", BYTES(0x89, 0x7e, 0x00, 0x7e), 2, EWS_CONTROL},
    {"close of 64 bits", BYTES(0x88, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0), 2, EWS_CONTROL},
    {"long before not minimal", BYTES(0x8a, 0xfe, 0x00, 0x05), 2, EWS_CONTROL},
    /* RFC 6455 s5.2: the minimal number of bytes MUST be used, the top bit MUST be 0 */
    {"125 in 16 bits", BYTES(0x82, 0x7e, 0x00, 0x7d, 0xaa), 4, EWS_LENGTH},
    {"0 in 16 bits", BYTES(0x82, 0xfe, 0x00, 0x00, 0xaa), 4, EWS_LENGTH},
    {"65535 in 64 bits", BYTES(0x82, 0x7f, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xaa), 8, EWS_LENGTH},
    {"0 in 64 bits", BYTES(0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xaa), 8, EWS_LENGTH},
    {"2^63", BYTES(0x82, 0x7f, 0x80, 0, 0, 0, 0, 0, 0, 0, 0xaa), 3, EWS_LENGTH},
    {"2^64-1", BYTES(0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 3, EWS_LENGTH},
};

/* RFC 6455 s5.2, s5.5 */
static void decode__refuses_at_the_first_byte_that_shows_it(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_vectors); i++) {
		const struct bad_vector *v = &bad_vectors[i];

		decode_prefixes(v->what, v->bytes, v->len, 0, v->enough, -v->error);
	}
}

static int expected_of_first_byte(unsigned int byte, uint8_t allowed_rsv)
{
	bool fin = byte & 0x80;

	switch (byte & 0x0f) {
	case 0x0: /* RFC 7692 s6.1: RSV1 MUST NOT be set on other fragments than the first. Other
		   * extensions (x-webkit-deflate-frame) have other rules. */
		if (allowed_rsv == 0x40)
			allowed_rsv = 0;
		return byte & 0x70 & ~(unsigned int)allowed_rsv ? -EWS_RSV : 0;
	case 0x1:
	case 0x2:
		return byte & 0x70 & ~(unsigned int)allowed_rsv ? -EWS_RSV : 0;
	case 0x8:
	case 0x9:
	case 0xa:
		return byte & 0x70 ? -EWS_RSV : fin ? 0 : -EWS_CONTROL;
	default:
		if (byte & 0x08)
			allowed_rsv = 0;
		return byte & 0x70 & ~(unsigned int)allowed_rsv ? -EWS_RSV : -EWS_OPCODE;
	}
}

/* RFC 6455 s5.2, s5.5, s5.8; RFC 7692 s6, s6.1: bits are for the extension that was negotiated */
static void decode__judges_every_first_byte(void **state)
{
	for (unsigned int rsv = 0; rsv <= 0x70; rsv += 0x10) {
		for (unsigned int byte = 0; byte < 256; byte++) {
			uint8_t buf[] = {(uint8_t)byte, 0};
			int expected = expected_of_first_byte(byte, (uint8_t)rsv);
			struct ws_frame_header h;
			ssize_t n = ws_frame_header_decode(buf, 2, (uint8_t)rsv, &h);

			assert_int_equal(n, expected < 0 ? expected : 2);
			if (n > 0) {
				assert_int_equal(h.opcode, byte & 0x0f);
				assert_int_equal(h.rsv, byte & 0x70);
				assert_int_equal(h.fin, byte >> 7);
			}
			assert_int_equal(ws_frame_header_decode(buf, 1, (uint8_t)rsv, &h),
					 n < 0 ? n : 0);
		}
	}
}

/* RFC 6455 s5.2: "the minimal number of bytes MUST be used to encode the length" */
static void decode__takes_16_bit_lengths_from_126_on(void **state)
{
	for (unsigned int len = 0; len <= UINT16_MAX; len++) {
		uint8_t buf[] = {0x82, 0x7e, (uint8_t)(len >> 8), (uint8_t)len};
		struct ws_frame_header h;
		ssize_t n = ws_frame_header_decode(buf, sizeof(buf), 0, &h);

		assert_int_equal(n, len < 126 ? -EWS_LENGTH : 4);
		if (n > 0)
			assert_int_equal(h.payload_len, len);
	}
}

/* RFC 6455 s5.2: as above, and "the most significant bit MUST be 0" */
static void decode__takes_64_bit_lengths_from_65536_to_2_63(void **state)
{
	for (unsigned int shift = 0; shift < 64; shift++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t len = (UINT64_C(1) << shift) + (uint64_t)(int64_t)delta;
			uint8_t buf[10] = {0x82, 0x7f};
			struct ws_frame_header h;
			ssize_t n;

			for (int i = 0; i < 8; i++)
				buf[2 + i] = (uint8_t)(len >> (56 - 8 * i));
			n = ws_frame_header_decode(buf, sizeof(buf), 0, &h);
			assert_int_equal(n, len >= 65536 && len >> 63 == 0 ? 10 : -EWS_LENGTH);
			if (n > 0)
				assert_true(h.payload_len == len);
		}
	}
}

/* ---- encode -------------------------------------------------------------------------------- */

static const uint64_t lengths[] = {0,     1,     125,      126,   127,        255,
				   256,   65534, 65535,    65536, 0xffffffff, UINT64_C(0x100000000),
				   65537, 70000, INT64_MAX};

/* RFC 6455 s5.2: the length is minimal */
static size_t minimal_header(uint64_t payload_len, bool masked)
{
	return 2 + (payload_len <= 125 ? 0u : payload_len <= 0xffff ? 2u : 8u) + (masked ? 4u : 0u);
}

static void encode_and_decode(uint8_t opcode, uint8_t rsv, bool fin, bool masked, uint64_t len)
{
	struct ws_frame_header h = {.payload_len = len,
				    .opcode = opcode,
				    .rsv = rsv,
				    .fin = fin,
				    .masked = masked,
				    .mask = {0xde, 0xad, 0xbe, 0xef}};
	struct ws_frame_header back;
	uint8_t buf[WS_FRAME_HEADER_MAX + 1];
	size_t n;

	memset(buf, 0x55, sizeof(buf));
	n = ws_frame_header_encode(&h, buf);
	assert_int_equal(n, minimal_header(len, masked));
	for (size_t i = n; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0x55);
	back = decode_prefixes("encoded", buf, n, rsv, n, (ssize_t)n);
	assert_headers_equal(&back, &h);
}

static void encode__is_undone_by_decode(void **state)
{
	static const uint8_t opcodes[] = {WS_OP_CONTINUATION, WS_OP_TEXT, WS_OP_BINARY,
					  WS_OP_CLOSE,        WS_OP_PING, WS_OP_PONG};

	for (size_t o = 0; o < ARRAY_SIZE(opcodes); o++) {
		bool is_control = opcodes[o] >= WS_OP_CLOSE;

		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			for (int bits = 0; bits < 8; bits++) {
				bool fin = bits & 1, masked = bits & 2;
				uint8_t rsv = bits & 4 && opcodes[o] % 8 != 0 ? WS_RSV1 : 0;

				if (is_control && (!fin || rsv || lengths[l] > 125))
					continue;
				encode_and_decode(opcodes[o], rsv, fin, masked, lengths[l]);
			}
		}
	}
}

/* RFC 6455 s5.7, in the other direction */
static void encode__writes_the_vectors_of_the_rfc(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(good_vectors); i++) {
		const struct good_vector *v = &good_vectors[i];
		uint8_t buf[WS_FRAME_HEADER_MAX];

		assert_int_equal(ws_frame_header_encode(&v->header, buf), v->header_len);
		assert_memory_equal(buf, v->bytes, v->header_len);
	}
}

/* ---- kinds --------------------------------------------------------------------------------- */

static void kind__names_every_opcode(void **state)
{
	static const struct {
		uint8_t opcode;
		enum ws_frame_kind kind;
		const char *name;
	} table[] = {
	    {0x0, WS_KIND_CONTINUATION, "continuation"},
	    {0x1, WS_KIND_TEXT, "text"},
	    {0x2, WS_KIND_BINARY, "binary"},
	    {0x8, WS_KIND_CLOSE, "close"},
	    {0x9, WS_KIND_PING, "ping"},
	    {0xa, WS_KIND_PONG, "pong"},
	};

	assert_int_equal(ARRAY_SIZE(table), WS_KIND_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		assert_int_equal(ws_frame_kind(table[i].opcode), table[i].kind);
		assert_string_equal(ws_frame_kind_name(table[i].kind), table[i].name);
		assert_int_equal(ws_opcode_is_control(table[i].opcode), table[i].opcode >= 8);
	}
}

/* ---- close --------------------------------------------------------------------------------- */

/* RFC 6455 s7.4.1 (1005, 1006, 1015 MUST NOT be in a frame), s7.4.2; IANA for 1012 to 1014 */
static void close_code__knows_every_code(void **state)
{
	static const uint16_t assigned[] = {1000, 1001, 1002, 1003, 1007, 1008,
					    1009, 1010, 1011, 1012, 1013, 1014};

	for (unsigned int code = 0; code <= UINT16_MAX; code++) {
		bool expected = code / 1000 == 3 || code / 1000 == 4;

		for (size_t i = 0; i < ARRAY_SIZE(assigned); i++)
			expected |= code == assigned[i];
		if (ws_close_code_is_valid((uint16_t)code) != expected)
			fail_msg("%u", code);
	}
}

/* Encodes and takes the frame apart by hand. Return: length of the reason. */
static size_t close_reason(uint16_t code, struct slice reason, const uint8_t *mask,
			   uint8_t ret_reason[WS_CONTROL_MAX])
{
	uint8_t frame[WS_CLOSE_FRAME_MAX + 1];
	size_t n, header_len = mask ? 6 : 2, payload_len;

	memset(frame, 0x55, sizeof(frame));
	n = ws_close_encode(code, reason, mask, frame);
	assert_in_range(n, header_len + 2, WS_CLOSE_FRAME_MAX);
	assert_int_equal(frame[n], 0x55);
	assert_int_equal(frame[0], 0x88);
	assert_int_equal(frame[1] & 0x80, mask ? 0x80 : 0);
	payload_len = frame[1] & 0x7f;
	assert_in_range(payload_len, 2, WS_CONTROL_MAX); /* RFC 6455 s5.5 */
	assert_int_equal(n, header_len + payload_len);
	if (mask) {
		assert_memory_equal(frame + 2, mask, 4);
		for (size_t i = 0; i < payload_len; i++)
			frame[header_len + i] ^= mask[i % 4];
	}
	/* RFC 6455 s5.5.1: a 2-byte unsigned integer in network byte order */
	assert_int_equal(frame[header_len] << 8 | frame[header_len + 1], code);
	memcpy(ret_reason, frame + header_len + 2, payload_len - 2);
	return payload_len - 2;
}

static void close_encode__empty_without_a_code(void **state)
{
	static const uint8_t mask[4] = {9, 8, 7, 6};
	uint8_t frame[WS_CLOSE_FRAME_MAX];

	assert_int_equal(ws_close_encode(0, SLICE_LITERAL("ignored"), NULL, frame), 2);
	assert_memory_equal(frame, "\x88\x00", 2);
	assert_int_equal(ws_close_encode(0, (struct slice){0}, mask, frame), 6);
	assert_memory_equal(frame, "\x88\x80\x09\x08\x07\x06", 6);
}

static void close_encode__carries_code_and_reason(void **state)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	uint8_t reason[WS_CONTROL_MAX];

	assert_int_equal(close_reason(1000, (struct slice){0}, NULL, reason), 0);
	assert_int_equal(close_reason(4999, (struct slice){0}, mask, reason), 0);
	for (int masked = 0; masked < 2; masked++) {
		size_t n =
		    close_reason(1001, SLICE_LITERAL("going away"), masked ? mask : NULL, reason);

		assert_int_equal(n, 10);
		assert_memory_equal(reason, "going away", 10);
	}
}

/* RFC 6455 s5.5, s5.5.1: at most 125 bytes, and the reason is UTF-8 */
static void close_encode__cuts_between_characters(void **state)
{
	static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac",
						 "\xf0\x9f\x98\x80"};

	for (size_t c = 0; c < ARRAY_SIZE(characters); c++) {
		size_t width = c + 1;

		for (size_t lead = 0; lead < 4; lead++) {
			char text[300] = "xyz";
			uint8_t reason[WS_CONTROL_MAX];
			size_t len = lead;

			for (; len + width <= sizeof(text); len += width)
				memcpy(text + len, characters[c], width);
			for (size_t cut = lead; cut <= len; cut += width) {
				size_t got =
				    close_reason(1008, (struct slice){text, cut}, NULL, reason);
				size_t most = lead + (123 - lead) / width * width;

				assert_int_equal(got, cut <= 123 ? cut : most);
				assert_memory_equal(reason, text, got);
			}
		}
	}
}

/* RFC 6455 s5.5.1, s8.1: whatever the caller hands in, what goes out is UTF-8 */
static void close_encode__stops_at_what_is_not_utf8(void **state)
{
	static const struct {
		struct slice text;
		size_t expected;
	} table[] = {
	    {SLICE_LITERAL("ok\xff tail"), 2},
	    {SLICE_LITERAL("ok\xe2\x82"), 2},
	    {SLICE_LITERAL("ok\xe2\x82 tail"), 2},
	    {SLICE_LITERAL("\xed\xa0\x80"), 0},
	    {SLICE_LITERAL("\x80"), 0},
	    {SLICE_LITERAL("caf\xc3\xa9\xc0\x80"), 5},
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		uint8_t reason[WS_CONTROL_MAX];

		assert_int_equal(close_reason(1008, table[i].text, NULL, reason),
				 table[i].expected);
		assert_memory_equal(reason, table[i].text.ptr, table[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(decode__reads_the_vectors_of_the_rfc),
	    cmocka_unit_test(decode__refuses_at_the_first_byte_that_shows_it),
	    cmocka_unit_test(decode__judges_every_first_byte),
	    cmocka_unit_test(decode__takes_16_bit_lengths_from_126_on),
	    cmocka_unit_test(decode__takes_64_bit_lengths_from_65536_to_2_63),
	    cmocka_unit_test(encode__is_undone_by_decode),
	    cmocka_unit_test(encode__writes_the_vectors_of_the_rfc),
	    cmocka_unit_test(kind__names_every_opcode),
	    cmocka_unit_test(close_code__knows_every_code),
	    cmocka_unit_test(close_encode__empty_without_a_code),
	    cmocka_unit_test(close_encode__carries_code_and_reason),
	    cmocka_unit_test(close_encode__cuts_between_characters),
	    cmocka_unit_test(close_encode__stops_at_what_is_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
