/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/name_cache.h"

#include "kern/kern_ids.h"
#include "kern/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

static struct sl_ids counters;
static struct kern_ids ids = {.shared = &counters};

static int set_up(void **state)
{
	counters = (struct sl_ids){.next_conn_id = 1, .next_name_id = 1};
	return 0;
}

static uint32_t id_of(struct name_cache *cache, enum sl_name_kind kind, const char *text)
{
	uint32_t id = 0;

	assert_int_equal(name_cache_id(cache, kind, text, &id), 0);
	assert_true(id > 0);
	return id;
}

static void id__is_that_of_the_map(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_NAMES, 8);
	struct name_cache cache, other;
	uint32_t route, id;

	name_cache_init(&cache, fd, &ids);
	name_cache_init(&other, fd, &ids);
	route = id_of(&cache, SL_NAME_ROUTE, "game");
	assert_true(id_of(&cache, SL_NAME_CLUSTER, "game") != route);
	assert_true(id_of(&cache, SL_NAME_ROUTE, "gam") != route);
	assert_int_equal(id_of(&other, SL_NAME_ROUTE, "game"), route);
	assert_int_equal(names_id(fd, &ids, SL_NAME_ROUTE, "game", &id), 0);
	assert_int_equal(id, route);
	name_cache_done(&cache);
	name_cache_done(&other);
}

static void id__needs_the_map_once(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_NAMES, 8);
	struct name_cache cache;
	uint32_t id;

	name_cache_init(&cache, fd, &ids);
	id = id_of(&cache, SL_NAME_ROUTE, "a");
	cache.names_fd = -1;
	assert_int_equal(id_of(&cache, SL_NAME_ROUTE, "a"), id);
	assert_int_equal(name_cache_id(&cache, SL_NAME_ROUTE, "b", &id), -EBADF);
	name_cache_done(&cache);
}

static void id__failed_once_may_be_had_later(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_NAMES, 1);
	char text[SL_NAME_MAX + 2];
	struct name_cache cache;
	uint32_t id = 4711;

	name_cache_init(&cache, fd, &ids);
	memset(text, 'x', sizeof(text));
	text[SL_NAME_MAX + 1] = '\0';
	assert_int_equal(name_cache_id(&cache, SL_NAME_ROUTE, text, &id), -ENAMETOOLONG);
	(void)id_of(&cache, SL_NAME_ROUTE, "a");
	assert_int_equal(name_cache_id(&cache, SL_NAME_ROUTE, "b", &id), -ENOSPC);
	assert_int_equal(id, 4711);
	cache.names_fd = map_create(SL_MAP_NAMES, 1);
	(void)id_of(&cache, SL_NAME_ROUTE, "b");
	close(cache.names_fd);
	name_cache_done(&cache);
}

/* More than its table has buckets for at first. */
static void id__of_many(void **state)
{
	enum {
		N = 300
	};
	_cleanup_close_ int fd = map_create(SL_MAP_NAMES, N);
	struct name_cache cache;
	uint32_t list[N];
	char text[16];

	name_cache_init(&cache, fd, &ids);
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "name-%d", i);
		list[i] = id_of(&cache, SL_NAME_ENDPOINT, text);
		assert_true(i == 0 || list[i] > list[i - 1]);
	}
	for (int i = 0; i < N; i++) {
		snprintf(text, sizeof(text), "name-%d", i);
		assert_int_equal(id_of(&cache, SL_NAME_ENDPOINT, text), list[i]);
	}
	name_cache_done(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(id__is_that_of_the_map, set_up),
	    cmocka_unit_test_setup(id__needs_the_map_once, set_up),
	    cmocka_unit_test_setup(id__failed_once_may_be_had_later, set_up),
	    cmocka_unit_test_setup(id__of_many, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
