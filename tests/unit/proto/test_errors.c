/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/errors.h"

#include "proto/http1_head.h"
#include "proto/ws_frame.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void table__names_are_unique_labels(void **state)
{
	for (size_t i = 0; i < PROTO_ERROR_COUNT; i++) {
		const char *name = proto_error_at(i)->name;

		assert_non_null(name);
		assert_true(strlen(name) >= 3 && strlen(name) <= 31);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_"),
				 strlen(name));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(name, proto_error_at(k)->name);
	}
}

static void table__statuses_are_errors_with_a_phrase(void **state)
{
	for (size_t i = 0; i < PROTO_ERROR_COUNT; i++) {
		const struct proto_error_info *info = proto_error_at(i);

		assert_true(strlen(info->text) > 0);
		if (info->http_status == 0)
			continue;
		assert_in_range(info->http_status, 400, 599);
		assert_true(strlen(http1_status_text(info->http_status)) > 0);
	}
}

/* RFC 6455 s7.4: what we put into a Close must be what we would accept in one. */
static void table__close_codes_may_be_sent(void **state)
{
	size_t n = 0;

	for (size_t i = 0; i < PROTO_ERROR_COUNT; i++) {
		uint16_t code = proto_error_at(i)->close_code;

		if (code == 0)
			continue;
		n++;
		assert_true(ws_close_code_is_valid(code));
		/* s7.4.1: "This is a reserved value and MUST NOT be set" by an endpoint */
		assert_true(code != 1004 && code != 1005 && code != 1006 && code != 1015);
		/* s7.4.1: 1010 is a client's, 1000 no error */
		assert_true(code != 1010 && code != 1000);
	}
	assert_true(n > 0);
}

static void table__says_what_the_specifications_want(void **state)
{
	assert_int_equal(proto_error_info(EWS_VERSION)->http_status, 426); /* RFC 6455 s4.4 */
	assert_int_equal(proto_error_info(EHTTP_HOST)->http_status, 400);  /* RFC 9112 s3.2 */
	assert_int_equal(proto_error_info(EHTTP_TARGET_LONG)->http_status, 414);
	assert_int_equal(proto_error_info(EHTTP_FIELDS_MANY)->http_status, 431); /* RFC 6585 s5 */
	assert_int_equal(proto_error_info(EWS_UTF8)->close_code, 1007);          /* RFC 6455 s8.1 */
	assert_int_equal(proto_error_info(EWS_MASK)->close_code, 1002);          /* RFC 6455 s5.1 */
	assert_int_equal(proto_error_info(EWS_MESSAGE_SIZE)->close_code, 1009);
	assert_int_equal(proto_error_info(EGW_SHUTDOWN)->close_code, 1001);
}

static void index__is_the_place_in_the_table(void **state)
{
	assert_int_equal(proto_error_index(EHTTP_SYNTAX), 0);
	assert_int_equal(proto_error_index(EEND_RESPONSE), PROTO_ERROR_COUNT - 1);
	for (int code = PROTO_ERROR_BASE; code < PROTO_ERROR_END; code++) {
		size_t index = proto_error_index(code);

		assert_int_equal(index, code - PROTO_ERROR_BASE);
		assert_int_equal(proto_error_index(-code), index);
		assert_ptr_equal(proto_error_info(code), proto_error_at(index));
		assert_ptr_equal(proto_error_info(-code), proto_error_at(index));
	}
}

static void info__knows_some_of_the_system(void **state)
{
	assert_string_equal(proto_error_info(ENOMEM)->name, "out_of_memory");
	assert_string_equal(proto_error_info(-ENOMEM)->name, "out_of_memory");
	assert_string_equal(proto_error_info(-ENOBUFS)->name, "out_of_memory");
	assert_string_equal(proto_error_info(-ECONNRESET)->name, "reset");
	assert_string_equal(proto_error_info(EPIPE)->name, "reset");
	assert_string_equal(proto_error_info(-ETIMEDOUT)->name, "reset");
}

static void info__calls_the_rest_internal(void **state)
{
	static const int unknown[] = {
	    0,
	    1,
	    -EINVAL,
	    EBADF,
	    -4095,
	    PROTO_ERROR_FIRST,
	    999,
	    -999,
	    -PROTO_ERROR_FIRST,
	    PROTO_ERROR_END,
	    -PROTO_ERROR_END,
	    INT_MAX,
	    -INT_MAX,
	    INT_MIN,
	};

	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		assert_string_equal(proto_error_info(unknown[i])->name, "internal_error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(table__names_are_unique_labels),
	    cmocka_unit_test(table__statuses_are_errors_with_a_phrase),
	    cmocka_unit_test(table__close_codes_may_be_sent),
	    cmocka_unit_test(table__says_what_the_specifications_want),
	    cmocka_unit_test(index__is_the_place_in_the_table),
	    cmocka_unit_test(info__knows_some_of_the_system),
	    cmocka_unit_test(info__calls_the_rest_internal),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
