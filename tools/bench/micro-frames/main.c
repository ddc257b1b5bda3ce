/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the byte work of a frame costs: masking, UTF-8, headers. Each line compares ways of doing
 * the same work, measured in turns in one run; the ratio is to the plainest way, which is first.
 */
#include "base/clock.h"
#include "base/random.h"
#include "proto/utf8.h"
#include "proto/ws_mask.h"
#include "proto/ws_message.h"
#include "proto/ws_walker.h"

#include <stdio.h>

#define RUN_BYTES (64 * 1024) /* what one read of a busy connection brings */
#define WAYS_MAX  8
#define TURNS     100
#define TURN_NS   (100 * NS_PER_US) /* at least */

/* Work on @len bytes at @data; what it returns keeps the compiler from dropping it. */
typedef uint64_t work_fn(const void *arg, uint8_t *data, size_t len);

struct way {
	const char *name;
	work_fn *work;
	const void *arg;
	double ns;      /* best of all turns, for one call */
	uint64_t calls; /* in a turn, so that the clock is read seldom */
};

static uint64_t sink;

static double turn_ns(const struct way *way, uint8_t *data, size_t len)
{
	uint64_t begin = clock_monotonic_ns();

	for (uint64_t i = 0; i < way->calls; i++)
		sink += way->work(way->arg, data, len);
	return (double)(clock_monotonic_ns() - begin);
}

static void measure(struct way *ways, size_t n, uint8_t *data, size_t len)
{
	for (size_t i = 0; i < n; i++) {
		ways[i].ns = 1e18;
		for (ways[i].calls = 1; turn_ns(&ways[i], data, len) < TURN_NS;)
			ways[i].calls *= 2;
	}
	for (int turn = 0; turn < TURNS; turn++) {
		for (size_t i = 0; i < n; i++) {
			double ns = turn_ns(&ways[i], data, len) / (double)ways[i].calls;

			ways[i].ns = MIN(ways[i].ns, ns);
		}
	}
}

/* @bytes: what one call works through, 0 where it does not look at all of them; @n_items in it */
static void print(const char *what, const struct way *ways, size_t n, size_t bytes, size_t n_items)
{
	printf("%-23s", what);
	for (size_t i = 0; i < n; i++) {
		double ns = ways[i].ns;

		printf(" | %-9s %8.1f ns", ways[i].name, ns / (double)n_items);
		if (bytes)
			printf(" %5.1f GB/s", (double)bytes / ns);
		if (i > 0)
			printf(" %5.1fx", ways[0].ns / ns);
	}
	printf("\n");
	fflush(stdout);
}

/* ---- masking -------------------------------------------------------------------------------- */

static uint64_t work_mask(const void *arg, uint8_t *data, size_t len)
{
	static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};
	const struct ws_mask_variant *variant = arg;

	variant->apply(data, len, mask, 0);
	return data[0];
}

static void bench_mask(uint8_t *data)
{
	static const struct ws_mask_variant chosen = {"chosen", ws_mask_apply};
	static const size_t lens[] = {8, 20, 61, 125, 1000, 16384, RUN_BYTES};

	printf("\nmasking, ns for one payload\n");
	for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
		const struct ws_mask_variant *variant;
		struct way ways[WAYS_MAX];
		char what[32];
		size_t n = 0;

		while ((variant = ws_mask_variant_at(n)) && n < WAYS_MAX - 1)
			ways[n++] = (struct way){variant->name, work_mask, variant, 0, 0};
		ways[n++] = (struct way){chosen.name, work_mask, &chosen, 0, 0};
		/* Behind a header of 6 bytes, as payload mostly is. */
		measure(ways, n, data + 6, lens[l]);
		snprintf(what, sizeof(what), "%zu bytes", lens[l]);
		print(what, ways, n, lens[l], 1);
	}
}

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

/* The same, told byte by byte. */
static uint64_t work_utf8_bytes(const void *arg, uint8_t *data, size_t len)
{
	uint8_t need = 0, low = 0x80, high = 0xbf;

	for (size_t i = 0; i < len; i++) {
		uint8_t b = data[i];

		if (need > 0) {
			if (b < low || b > high)
				return 0;
			need--;
			low = 0x80;
			high = 0xbf;
		} else if (b >= 0x80) {
			if (b < 0xc2 || b > 0xf4)
				return 0;
			need = b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
			low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80;
			high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
		}
	}
	return need == 0;
}

static uint64_t work_utf8(const void *arg, uint8_t *data, size_t len)
{
	struct utf8_state s;

	utf8_init(&s);
	return utf8_feed(&s, data, len, NULL) == 0 && utf8_is_complete(&s);
}

/* Words of one script with spaces between them. */
static size_t put_text(uint8_t *data, size_t len, const char *const *letters, size_t n_letters)
{
	struct random_fast r;
	size_t at = 0;

	random_fast_seed(&r, 8);
	while (at + 8 < len) {
		const char *letter = letters[random_fast_below(&r, n_letters)];
		size_t n = strlen(letter);

		if (random_fast_below(&r, 7) == 0)
			data[at++] = ' ';
		memcpy(data + at, letter, n);
		at += n;
	}
	return at;
}

static void bench_utf8(uint8_t *data)
{
	static const char *const ascii[] = {"e", "t", "a", "o", "n", "{", "\"", "0"};
	static const char *const french[] = {"e", "t", "a", "s", "n",       "u",
					     "i", "l", "r", "d", "\xc3\xa9"};
	static const char *const greek[] = {"\xce\xb1", "\xce\xb5", "\xce\xb9", "\xcf\x83"};
	static const char *const chinese[] = {"\xe4\xb8\x80", "\xe6\x98\xaf", "\xe4\xb8\x8d",
					      "\xe7\x9a\x84"};
	static const char *const emoji[] = {"\xf0\x9f\x98\x80", "\xf0\x9f\x8e\x89", "o", "k"};
	static const struct {
		const char *name;
		const char *const *letters;
		size_t n;
	} scripts[] = {
	    {"ascii", ascii, ARRAY_SIZE(ascii)},      {"french", french, ARRAY_SIZE(french)},
	    {"greek", greek, ARRAY_SIZE(greek)},      {"chinese", chinese, ARRAY_SIZE(chinese)},
	    {"with emoji", emoji, ARRAY_SIZE(emoji)},
	};
	static const size_t lens[] = {60, 1000, RUN_BYTES};

	printf("\nUTF-8, ns for one text\n");
	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		for (size_t l = 0; l < ARRAY_SIZE(lens); l++) {
			struct way ways[] = {{"bytes", work_utf8_bytes, NULL, 0, 0},
					     {"utf8_feed", work_utf8, NULL, 0, 0}};
			size_t len = put_text(data, lens[l], scripts[i].letters, scripts[i].n);
			char what[32];

			measure(ways, ARRAY_SIZE(ways), data, len);
			snprintf(what, sizeof(what), "%s, %zu bytes", scripts[i].name, len);
			print(what, ways, ARRAY_SIZE(ways), len, 1);
		}
	}
}

/* ---- headers -------------------------------------------------------------------------------- */

static const struct ws_message_limits limits = {.max_frame = 1u << 20, .max_message = 1u << 24};

/* One header after the other with the general decoder, as an endpoint would. */
static uint64_t work_decode(const void *arg, uint8_t *data, size_t len)
{
	uint64_t frames[WS_KIND_COUNT] = {0};
	struct ws_frame_header h;
	size_t at = 0;
	ssize_t n;

	while (at < len && (n = ws_frame_header_decode(data + at, len - at, 0, &h)) > 0) {
		frames[ws_frame_kind(h.opcode)]++;
		at += (size_t)n + h.payload_len;
	}
	return frames[WS_KIND_TEXT];
}

static uint64_t work_walker(const void *arg, uint8_t *data, size_t len)
{
	const bool *masked = arg;
	struct ws_walker w;
	int error;

	ws_walker_init(&w, *masked, &limits, 0);
	ws_walker_feed(&w, data, len, &error);
	return w.frames[WS_KIND_TEXT];
}

/* Unmasks, too. Each call undoes the one before: the frames are binary, so that it is all the same.
 */
static uint64_t work_receiver(const void *arg, uint8_t *data, size_t len)
{
	const bool *masked = arg;
	struct ws_receiver r;
	struct ws_event event;
	size_t at = 0;
	ssize_t n;

	ws_receiver_init(&r, *masked ? WS_ROLE_SERVER : WS_ROLE_CLIENT, &limits);
	while ((n = ws_receiver_next(&r, data + at, len - at, &event)) > 0)
		at += (size_t)n;
	return r.frames[WS_KIND_BINARY];
}

static size_t put_frames(uint8_t *data, size_t len, size_t payload_len, bool masked, size_t *ret_n)
{
	struct ws_frame_header h = {
	    .payload_len = payload_len,
	    .opcode = WS_OP_BINARY,
	    .fin = true,
	    .masked = masked,
	    .mask = {1, 2, 3, 4},
	};
	size_t at = 0;

	for (*ret_n = 0; at + WS_FRAME_HEADER_MAX + payload_len <= len; (*ret_n)++) {
		at += ws_frame_header_encode(&h, data + at);
		memset(data + at, 'x', payload_len);
		at += payload_len;
	}
	return at;
}

static void bench_headers(uint8_t *data)
{
	static const size_t payloads[] = {0, 16, 64, 125, 126, 1000, 16384, 65000};

	printf("\nheaders in runs of up to %d KiB, ns for one frame\n", RUN_BYTES / 1024);
	for (size_t p = 0; p < ARRAY_SIZE(payloads); p++) {
		for (int m = 0; m < 2; m++) {
			bool masked = m;
			struct way ways[] = {{"decode", work_decode, NULL, 0, 0},
					     {"walker", work_walker, &masked, 0, 0},
					     {"receiver", work_receiver, &masked, 0, 0}};
			char what[32];
			size_t n, len = put_frames(data, RUN_BYTES, payloads[p], masked, &n);

			measure(ways, ARRAY_SIZE(ways), data, len);
			snprintf(what, sizeof(what), "%zu bytes%s", payloads[p],
				 masked ? ", masked" : "");
			print(what, ways, ARRAY_SIZE(ways), 0, n);
		}
	}
}

int main(void)
{
	_cleanup_free_ uint8_t *data = aligned_alloc(4096, 2 * RUN_BYTES);

	if (!data)
		return 1;
	memset(data, 'x', 2 * RUN_BYTES);
	printf("best of %d turns of %llu us or more; ratio to the first way\n", TURNS,
	       (unsigned long long)(TURN_NS / NS_PER_US));
	bench_mask(data);
	bench_utf8(data);
	bench_headers(data);
	return sink == 1; /* never; but sink is used */
}
