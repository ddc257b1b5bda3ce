/* SPDX-License-Identifier: Apache-2.0 */
/* Names and the counters that their numbers come from. */
#include "kern/names.h"

#include "kern/kern_ids.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

static int names_fd = -1, ids_fd = -1;
static struct kern_ids ids;

/* As the loader leaves them. */
static void open_maps(uint32_t n_names)
{
	static const struct sl_ids first = {.next_conn_id = 1, .next_name_id = 1};
	const uint32_t zero = 0;

	names_fd = map_create(SL_MAP_NAMES, n_names);
	ids_fd = map_create(SL_MAP_IDS, 1);
	assert_int_equal(bpf_map_update_elem(ids_fd, &zero, &first, BPF_ANY), 0);
	assert_int_equal(kern_ids_open(ids_fd, &ids), 0);
}

static int tear_down(void **state)
{
	kern_ids_close(&ids);
	if (names_fd >= 0)
		close(TAKE_FD(names_fd));
	if (ids_fd >= 0)
		close(TAKE_FD(ids_fd));
	return 0;
}

static uint32_t id_of(enum sl_name_kind kind, const char *text)
{
	uint32_t id = 0;

	assert_int_equal(names_id(names_fd, &ids, kind, text, &id), 0);
	assert_true(id > 0);
	return id;
}

static void id__is_the_same_ever_after(void **state)
{
	uint32_t route, cluster, other;

	open_maps(8);
	route = id_of(SL_NAME_ROUTE, "game");
	cluster = id_of(SL_NAME_CLUSTER, "game");
	other = id_of(SL_NAME_ROUTE, "gam");
	assert_true(route != cluster && route != other && cluster != other);
	/* A daemon that comes later has the map alone. */
	kern_ids_close(&ids);
	assert_int_equal(kern_ids_open(ids_fd, &ids), 0);
	assert_int_equal(id_of(SL_NAME_ROUTE, "game"), route);
	assert_int_equal(id_of(SL_NAME_CLUSTER, "game"), cluster);
	assert_true(id_of(SL_NAME_ROUTE, "new") > other);
}

static void id__of_the_longest_name(void **state)
{
	char text[SL_NAME_MAX + 2];
	struct sl_name name;
	uint32_t id;

	open_maps(8);
	memset(text, 'x', sizeof(text));
	text[SL_NAME_MAX + 1] = '\0';
	assert_int_equal(names_id(names_fd, &ids, SL_NAME_ENDPOINT, text, &id), -ENAMETOOLONG);
	text[SL_NAME_MAX] = '\0';
	id = id_of(SL_NAME_ENDPOINT, text);
	assert_int_equal(names_find(names_fd, id, &name), 0);
	assert_int_equal(name.kind, SL_NAME_ENDPOINT);
	assert_string_equal(name.text, text);
}

static void id__says_when_the_map_is_full(void **state)
{
	uint32_t id = 4711;

	open_maps(1);
	(void)id_of(SL_NAME_ROUTE, "a");
	assert_int_equal(names_id(names_fd, &ids, SL_NAME_ROUTE, "b", &id), -ENOSPC);
	assert_int_equal(id, 4711);
	(void)id_of(SL_NAME_ROUTE, "a");
}

static void find__says_if_there_is_none(void **state)
{
	struct sl_name name;

	open_maps(8);
	assert_int_equal(names_find(names_fd, 1, &name), -ENOENT);
	(void)id_of(SL_NAME_ROUTE, "a");
	assert_int_equal(names_find(names_fd, 4711, &name), -ENOENT);
}

enum {
	THREADS = 4,
	NAMES = 100
};

static uint32_t thread_ids[THREADS][NAMES];

static void *name_all(void *arg)
{
	uint32_t *results = arg;

	for (int i = 0; i < NAMES; i++) {
		char text[16];

		snprintf(text, sizeof(text), "name-%d", i);
		(void)names_id(names_fd, &ids, SL_NAME_ROUTE, text, &results[i]);
	}
	return NULL;
}

static void id__is_one_for_all_threads(void **state)
{
	pthread_t threads[THREADS];

	open_maps(NAMES);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, name_all, thread_ids[i]), 0);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (size_t name = 0; name < NAMES; name++) {
		assert_true(thread_ids[0][name] > 0);
		for (size_t i = 1; i < THREADS; i++)
			assert_int_equal(thread_ids[i][name], thread_ids[0][name]);
		for (size_t other = 0; other < name; other++)
			assert_true(thread_ids[0][other] != thread_ids[0][name]);
	}
}

static void ids__go_on_where_they_were(void **state)
{
	uint64_t conn;
	uint32_t epoch;

	open_maps(1);
	assert_int_equal(kern_ids_take_conn_ids(&ids, 256), 1);
	conn = kern_ids_take_conn_ids(&ids, 1);
	assert_int_equal(conn, 257);
	epoch = kern_ids_take_epoch(&ids);
	kern_ids_close(&ids);
	kern_ids_close(&ids);
	assert_int_equal(kern_ids_open(ids_fd, &ids), 0);
	assert_int_equal(kern_ids_take_conn_ids(&ids, 1), 258);
	assert_int_equal(kern_ids_take_epoch(&ids), epoch + 1);
}

static void ids__refuse_a_map_that_cannot_be_mapped(void **state)
{
	_cleanup_close_ int fd = map_create(SL_MAP_ABI, 1);
	struct kern_ids none = {0};

	assert_true(kern_ids_open(fd, &none) < 0);
	kern_ids_close(&none);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(id__is_the_same_ever_after),
	    TEST(id__of_the_longest_name),
	    TEST(id__says_when_the_map_is_full),
	    TEST(find__says_if_there_is_none),
	    TEST(id__is_one_for_all_threads),
	    TEST(ids__go_on_where_they_were),
	    TEST(ids__refuse_a_map_that_cannot_be_mapped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
