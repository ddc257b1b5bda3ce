/* SPDX-License-Identifier: Apache-2.0 */
#include "base/byte_queue.h"

#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The stream that every test queues: byte i of it can be told without remembering it. */
static uint8_t stream_byte(uint64_t i)
{
	return (uint8_t)(i * 167 + (i >> 8) * 13 + (i >> 16));
}

static void append_stream(struct byte_queue *q, uint64_t *written, size_t len)
{
	_cleanup_free_ uint8_t *bytes = malloc(len + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = stream_byte((*written)++);
	assert_int_equal(byte_queue_append(q, bytes, len), 0);
}

static void consume_stream(struct byte_queue *q, uint64_t *consumed, size_t len)
{
	const uint8_t *front = byte_queue_front(q);

	for (size_t i = 0; i < len; i++)
		assert_int_equal(front[i], stream_byte((*consumed)++));
	byte_queue_consume(q, len);
}

static void assert_holds_nothing(const struct byte_queue *q)
{
	assert_int_equal(byte_queue_len(q), 0);
	assert_int_equal(byte_queue_room(q), q->limit);
	assert_null(byte_queue_front(q));
	assert_null(q->data);
	assert_int_equal(q->cap, 0);
}

static void init__is_empty_and_holds_no_memory(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 100);
	assert_holds_nothing(&q);
	byte_queue_done(&q);
}

static void append__keeps_order(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 100);
	assert_int_equal(byte_queue_append(&q, "abc", 3), 0);
	assert_int_equal(byte_queue_append(&q, "defg", 4), 0);
	assert_int_equal(byte_queue_len(&q), 7);
	assert_int_equal(byte_queue_room(&q), 93);
	byte_queue_consume(&q, 2);
	assert_int_equal(byte_queue_append(&q, "h", 1), 0);
	assert_int_equal(byte_queue_len(&q), 6);
	assert_memory_equal(byte_queue_front(&q), "cdefgh", 6);
	byte_queue_done(&q);
}

static void append__of_nothing_allocates_nothing(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 100);
	assert_int_equal(byte_queue_append(&q, NULL, 0), 0);
	assert_holds_nothing(&q);
}

static void append__refuses_beyond_the_limit_and_queues_nothing(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 8);
	assert_int_equal(byte_queue_append(&q, "123456789", 9), -ENOBUFS);
	assert_holds_nothing(&q);
	assert_int_equal(byte_queue_append(&q, "12345", 5), 0);
	assert_int_equal(byte_queue_append(&q, "6789", 4), -ENOBUFS);
	assert_int_equal(byte_queue_append(&q, "678", 3), 0);
	assert_int_equal(byte_queue_room(&q), 0);
	assert_int_equal(byte_queue_append(&q, "9", 1), -ENOBUFS);
	assert_int_equal(byte_queue_append(&q, "", 0), 0);
	assert_int_equal(byte_queue_append(&q, "", SIZE_MAX), -ENOBUFS);
	assert_int_equal(byte_queue_len(&q), 8);
	assert_memory_equal(byte_queue_front(&q), "12345678", 8);
	byte_queue_consume(&q, 3);
	assert_int_equal(byte_queue_append(&q, "abcd", 4), -ENOBUFS);
	assert_int_equal(byte_queue_append(&q, "abc", 3), 0);
	assert_memory_equal(byte_queue_front(&q), "45678abc", 8);
	byte_queue_done(&q);
}

static void consume__frees_when_empty_and_the_queue_is_usable_again(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 1000);
	for (int round = 0; round < 3; round++) {
		assert_int_equal(byte_queue_append(&q, "abcdef", 6), 0);
		byte_queue_consume(&q, 0);
		byte_queue_consume(&q, 4);
		assert_non_null(q.data);
		byte_queue_consume(&q, 2);
		assert_holds_nothing(&q);
		byte_queue_consume(&q, 0);
	}
}

static void done__leaves_an_empty_usable_queue(void **state)
{
	struct byte_queue q;

	byte_queue_init(&q, 10);
	assert_int_equal(byte_queue_append(&q, "abcdef", 6), 0);
	byte_queue_done(&q);
	assert_holds_nothing(&q);
	byte_queue_done(&q);
	assert_int_equal(byte_queue_append(&q, "0123456789", 10), 0);
	byte_queue_done(&q);
}

static void reserve__room_is_part_of_the_queue_only_when_committed(void **state)
{
	struct byte_queue q;
	uint8_t *space;

	byte_queue_init(&q, 1000);
	assert_int_equal(byte_queue_append(&q, "abc", 3), 0);
	assert_int_equal(byte_queue_reserve(&q, 997, &space), 0);
	memset(space, 'x', 997); /* all of it is ours: AddressSanitizer would object */
	assert_int_equal(byte_queue_len(&q), 3);
	byte_queue_commit(&q, 2);
	assert_int_equal(byte_queue_len(&q), 5);
	assert_memory_equal(byte_queue_front(&q), "abcxx", 5);
	assert_int_equal(byte_queue_reserve(&q, 996, &space), -ENOBUFS);
	assert_int_equal(byte_queue_reserve(&q, 0, &space), 0);
	byte_queue_commit(&q, 0);
	assert_int_equal(byte_queue_len(&q), 5);
	byte_queue_done(&q);
}

static void commit__of_nothing_to_an_empty_queue_frees(void **state)
{
	struct byte_queue q;
	uint8_t *space;

	byte_queue_init(&q, 1000);
	assert_int_equal(byte_queue_reserve(&q, 500, &space), 0);
	assert_non_null(space);
	byte_queue_commit(&q, 0);
	assert_holds_nothing(&q);
}

/* Counts what growing costs by watching the capacity, which is all of the policy that shows. */
static void append__grows_geometrically_up_to_the_limit(void **state)
{
	uint32_t limit = 100000, cap = 0;
	struct byte_queue q;
	uint64_t written = 0;
	int n_growths = 0;

	byte_queue_init(&q, limit);
	while (byte_queue_room(&q) > 0) {
		append_stream(&q, &written, 1);
		assert_true(q.cap >= cap && q.cap <= limit);
		if (q.cap != cap) {
			assert_true(q.cap >= 2 * cap || q.cap == limit);
			n_growths++;
		}
		cap = q.cap;
	}
	assert_true(n_growths <= 12);
	byte_queue_done(&q);
}

static void reserve__moves_to_the_front_rather_than_grow(void **state)
{
	struct byte_queue q;
	uint64_t written = 0, consumed = 0;
	uint32_t cap;

	byte_queue_init(&q, 100000);
	append_stream(&q, &written, 4000);
	cap = q.cap;
	consume_stream(&q, &consumed, 3000);
	append_stream(&q, &written, cap - 1000);
	assert_int_equal(q.cap, cap);
	assert_int_equal(q.head, 0);
	consume_stream(&q, &consumed, byte_queue_len(&q));
	assert_holds_nothing(&q);
}

/*
 * One byte out for each byte in, at every fill level, is the worst case of a queue that must stay
 * contiguous. That bytes were moved shows as head returning to 0; what was queued was moved.
 */
static void append__moves_few_bytes_however_full_the_queue_is(void **state)
{
	enum {
		LIMIT = 4096,
		ROUNDS = 100000
	};
	static const size_t fills[] = {1, 2, 3, 10, 200, 256, 1000, 2047, 2048, 3000, 4095, 4096};

	for (size_t i = 0; i < ARRAY_SIZE(fills); i++) {
		uint64_t written = 0, consumed = 0, moved = 0;
		struct byte_queue q;

		byte_queue_init(&q, LIMIT);
		append_stream(&q, &written, fills[i]);
		for (int round = 0; round < ROUNDS; round++) {
			uint32_t head;

			consume_stream(&q, &consumed, 1);
			head = q.head;
			append_stream(&q, &written, 1);
			if (q.head < head)
				moved += byte_queue_len(&q) - 1;
		}
		assert_true(moved <= 2 * ((uint64_t)ROUNDS + LIMIT));
		assert_true(q.cap <= LIMIT + LIMIT / 2);
		byte_queue_done(&q);
	}
}

static void append__works_up_to_the_smallest_limits(void **state)
{
	for (uint32_t limit = 1; limit <= 5; limit++) {
		uint64_t written = 0, consumed = 0;
		struct byte_queue q;

		byte_queue_init(&q, limit);
		append_stream(&q, &written, limit);
		for (int i = 0; i < 100; i++) {
			assert_int_equal(byte_queue_append(&q, "x", 1), -ENOBUFS);
			consume_stream(&q, &consumed, 1);
			append_stream(&q, &written, 1);
		}
		consume_stream(&q, &consumed, limit);
		assert_holds_nothing(&q);
	}
}

static void reserve__at_the_largest_limit_does_not_overflow(void **state)
{
	struct byte_queue q;
	uint8_t *space;

	byte_queue_init(&q, UINT32_C(1) << 31);
	assert_int_equal(byte_queue_append(&q, "ab", 2), 0);
	assert_int_equal(byte_queue_reserve(&q, (UINT32_C(1) << 31) - 1, &space), -ENOBUFS);
	assert_int_equal(byte_queue_reserve(&q, SIZE_MAX, &space), -ENOBUFS);
	assert_memory_equal(byte_queue_front(&q), "ab", 2);
	byte_queue_done(&q);
}

/* Any mix of calls gives out what went in, within the limit. */
static void queue__behaves_as_a_stream(void **state)
{
	struct random_fast random;

	random_fast_seed(&random, 1);
	for (int run = 0; run < 200; run++) {
		uint32_t limit = 1 + (uint32_t)random_fast_below(&random, 3000);
		uint64_t written = 0, consumed = 0;
		struct byte_queue q;

		byte_queue_init(&q, limit);
		for (int step = 0; step < 300; step++) {
			size_t len = random_fast_below(&random, limit + 2);
			uint8_t *space;

			assert_int_equal(byte_queue_len(&q), written - consumed);
			switch (random_fast_below(&random, 3)) {
			case 0:
				if (len <= byte_queue_room(&q)) {
					append_stream(&q, &written, len);
					break;
				}
				assert_int_equal(byte_queue_reserve(&q, len, &space), -ENOBUFS);
				break;
			case 1:
				len = MIN(len, byte_queue_room(&q));
				assert_int_equal(byte_queue_reserve(&q, len, &space), 0);
				len = random_fast_below(&random, len + 1);
				for (size_t i = 0; i < len; i++)
					space[i] = stream_byte(written++);
				byte_queue_commit(&q, len);
				break;
			default:
				consume_stream(&q, &consumed, MIN(len, byte_queue_len(&q)));
			}
		}
		byte_queue_done(&q);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(init__is_empty_and_holds_no_memory),
	    cmocka_unit_test(append__keeps_order),
	    cmocka_unit_test(append__of_nothing_allocates_nothing),
	    cmocka_unit_test(append__refuses_beyond_the_limit_and_queues_nothing),
	    cmocka_unit_test(consume__frees_when_empty_and_the_queue_is_usable_again),
	    cmocka_unit_test(done__leaves_an_empty_usable_queue),
	    cmocka_unit_test(reserve__room_is_part_of_the_queue_only_when_committed),
	    cmocka_unit_test(commit__of_nothing_to_an_empty_queue_frees),
	    cmocka_unit_test(append__grows_geometrically_up_to_the_limit),
	    cmocka_unit_test(reserve__moves_to_the_front_rather_than_grow),
	    cmocka_unit_test(append__moves_few_bytes_however_full_the_queue_is),
	    cmocka_unit_test(append__works_up_to_the_smallest_limits),
	    cmocka_unit_test(reserve__at_the_largest_limit_does_not_overflow),
	    cmocka_unit_test(queue__behaves_as_a_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
