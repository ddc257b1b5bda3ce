/* SPDX-License-Identifier: Apache-2.0 */
#include "base/dscp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_parses(const char *text, uint8_t expected)
{
	uint8_t dscp = 0xff;

	assert_int_equal(dscp_parse(text, &dscp), 0);
	assert_int_equal(dscp, expected);
}

static void assert_refused(const char *text)
{
	uint8_t dscp = 0xff;

	assert_int_equal(dscp_parse(text, &dscp), -EINVAL);
	assert_int_equal(dscp, 0xff);
}

/* RFC 2597 s6: AFxy is x in the upper three bits and y in the next two. */
static void parse__knows_assured_forwarding(void **state)
{
	for (unsigned int x = 1; x <= 4; x++) {
		for (unsigned int y = 1; y <= 3; y++) {
			char name[16];

			snprintf(name, sizeof(name), "AF%u%u", x, y);
			assert_parses(name, (uint8_t)(x << 3 | y << 1));
		}
	}
	assert_refused("AF14");
	assert_refused("AF51");
	assert_refused("AF01");
}

/* RFC 2474 s4.2.2.2: xxx000. */
static void parse__knows_class_selectors(void **state)
{
	for (unsigned int x = 0; x < 8; x++) {
		char name[16];

		snprintf(name, sizeof(name), "CS%u", x);
		assert_parses(name, (uint8_t)(x << 3));
	}
	assert_refused("CS8");
}

static void parse__knows_the_others(void **state)
{
	assert_parses("EF", 0x2e); /* RFC 3246 s2.7: 101110 */
	assert_parses("VA", 0x2c); /* RFC 5865 s3: 101100 */
	assert_parses("LE", 0x01); /* RFC 8622 s1: 000001 */
	assert_parses("ef", 0x2e);
	assert_parses("0", 0);
	assert_parses("63", 63);
}

static void parse__refuses_what_is_none(void **state)
{
	static const char *const texts[] = {"",   "64",  "-1",  "0x2e", "EFF",
					    "AF", "off", "46 ", "4 6"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_refused(texts[i]);
}

static void format__is_parsed_back(void **state)
{
	for (uint8_t dscp = 0; dscp <= DSCP_MAX; dscp++) {
		char text[DSCP_TEXT_MAX + 1];

		dscp_format(dscp, text);
		assert_parses(text, dscp);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(parse__knows_assured_forwarding),
	    cmocka_unit_test(parse__knows_class_selectors),
	    cmocka_unit_test(parse__knows_the_others),
	    cmocka_unit_test(parse__refuses_what_is_none),
	    cmocka_unit_test(format__is_parsed_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
