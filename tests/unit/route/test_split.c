/* SPDX-License-Identifier: Apache-2.0 */
#include "route/split.h"

#include "base/address.h"
#include "lib/config_loading.h"

#include <stdio.h>

#define N_KEYS 100000

#define CLUSTERS                                                   \
	LISTENER                                                   \
	"cluster a { endpoint e { address = \"127.0.0.1:2\" } }\n" \
	"cluster b { endpoint e { address = \"127.0.0.1:2\" } }\n" \
	"cluster c { endpoint e { address = \"127.0.0.1:2\" } }\n"

static const struct sockaddr nobody = {.sa_family = AF_UNIX};

static struct http1_head request_of(const char *user)
{
	struct http1_head head = {.n_fields = 1};

	head.fields[0] = (struct http1_field){SLICE_LITERAL("X-User"), slice_from_str(user)};
	return head;
}

static const char *chosen(const struct config *config, const char *user)
{
	struct http1_head head = request_of(user);

	return split_choose(&config->routes[0], &head, &nobody)->name;
}

static void at__gives_each_its_points(void **state)
{
	struct config *config =
	    load_config(CLUSTERS "route r { split = {\"a 2\", \"b 1\", \"c 3\"} }");
	const char *want = "aabcccaabccc";

	for (uint64_t i = 0; want[i]; i++)
		assert_int_equal(split_at(&config->routes[0], i)->name[0], want[i]);
	config_unref(config);
}

/* Within 1 % of all keys. */
static void expect_share(const unsigned int *n, char name, unsigned int percent)
{
	unsigned int share = n[name - 'a'], want = N_KEYS / 100 * percent;

	assert_in_range(share, want - N_KEYS / 100, want + N_KEYS / 100);
}

static void choose__keeps_to_the_weights(void **state)
{
	static const char *const keys[] = {"random", "\"header:x-user\""};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		unsigned int n[3] = {0};
		char text[512], user[16];
		struct config *config;

		snprintf(text, sizeof(text),
			 CLUSTERS "route r { split = {\"a 90\", \"b 2\", \"c 8\"} split_key = %s }",
			 keys[k]);
		config = load_config(text);
		for (int i = 0; i < N_KEYS; i++) {
			snprintf(user, sizeof(user), "user-%d", i);
			n[chosen(config, user)[0] - 'a']++;
		}
		expect_share(n, 'a', 90);
		expect_share(n, 'b', 2);
		expect_share(n, 'c', 8);
		config_unref(config);
	}
}

/* Golden values: whoever changes them moves everybody's clients. */
static void choose__is_the_same_in_every_process(void **state)
{
	struct config *config =
	    load_config(CLUSTERS "route r { split = {\"a 1\", \"b 1\", \"c 1\"} split_key = "
				 "\"header:X-User\" }");
	char users[] = "0123456789", found[sizeof(users)] = "";

	for (size_t i = 0; users[i]; i++) {
		char user[2] = {users[i], '\0'};

		found[i] = chosen(config, user)[0];
	}
	assert_string_equal(found, "ccacabcaba");
	config_unref(config);
}

static void choose__by_source_ignores_the_port(void **state)
{
	struct config *config =
	    load_config(CLUSTERS "route r { split = {\"a 1\", \"b 1\"} split_key = source }");
	struct http1_head head = {0};
	unsigned int n_a = 0;

	for (int i = 0; i < 100; i++) {
		const struct config_cluster *first = NULL;

		for (int port = 1; port < 10; port++) {
			const struct config_cluster *found;
			struct address address;
			char text[64];

			snprintf(text, sizeof(text), i % 2 ? "10.0.0.%d:%d" : "[2001:db8::%d]:%d",
				 i, port);
			assert_int_equal(address_parse(text, &address), 0);
			found = split_choose(&config->routes[0], &head, &address.sa);
			assert_true(!first || found == first);
			first = found;
		}
		n_a += first->name[0] == 'a';
	}
	assert_in_range(n_a, 20, 80);
	config_unref(config);
}

static void choose__without_the_header_goes_by_source(void **state)
{
	struct config *config = load_config(
	    CLUSTERS "route h { match { path = /h } split = {\"a 1\", \"b 1\"} split_key = "
		     "\"header:X-User\" }\n"
		     "route s { split = {\"a 1\", \"b 1\"} split_key = source }");
	struct http1_head head = {0};

	for (int i = 0; i < 100; i++) {
		struct address address;
		char text[64];

		snprintf(text, sizeof(text), "10.0.0.%d:1", i);
		assert_int_equal(address_parse(text, &address), 0);
		assert_ptr_equal(split_choose(&config->routes[0], &head, &address.sa),
				 split_choose(&config->routes[1], &head, &address.sa));
	}
	config_unref(config);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(at__gives_each_its_points),
	    cmocka_unit_test(choose__keeps_to_the_weights),
	    cmocka_unit_test(choose__is_the_same_in_every_process),
	    cmocka_unit_test(choose__by_source_ignores_the_port),
	    cmocka_unit_test(choose__without_the_header_goes_by_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
