/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct item {
	char letter;
	struct list node;
};

static void assert_letters(const struct list *head, const char *expected)
{
	const struct list *last = head;
	size_t n = 0;

	list_for_each (node, (struct list *)head) {
		assert_true(n < strlen(expected));
		assert_int_equal(list_entry(node, struct item, node)->letter, expected[n++]);
		assert_ptr_equal(node->prev, last);
		last = node;
	}
	assert_int_equal(n, strlen(expected));
	assert_ptr_equal(head->prev, last);
	assert_int_equal(list_is_empty(head), n == 0);
}

static void insert__at_either_end_and_between(void **state)
{
	struct item a = {'a', {0}}, b = {'b', {0}}, c = {'c', {0}}, d = {'d', {0}};
	struct list head;

	list_init(&head);
	assert_letters(&head, "");
	list_append(&head, &b.node);
	assert_letters(&head, "b");
	list_append(&head, &d.node);
	list_prepend(&head, &a.node);
	assert_letters(&head, "abd");
	list_insert_before(&d.node, &c.node);
	assert_letters(&head, "abcd");
}

static void remove__twice_is_harmless(void **state)
{
	struct item a = {'a', {0}}, b = {'b', {0}}, c = {'c', {0}};
	struct list head;

	list_init(&head);
	list_append(&head, &a.node);
	list_append(&head, &b.node);
	list_append(&head, &c.node);
	list_remove(&b.node);
	assert_letters(&head, "ac");
	assert_true(list_is_empty(&b.node));
	list_remove(&b.node);
	assert_letters(&head, "ac");
	list_remove(&a.node);
	list_remove(&c.node);
	assert_letters(&head, "");
	list_append(&head, &b.node);
	assert_letters(&head, "b");
}

static void for_each_safe__may_free_the_current_one(void **state)
{
	struct list head;
	int n = 0;

	list_init(&head);
	for (int i = 0; i < 5; i++) {
		struct item *item = malloc(sizeof(*item));

		assert_non_null(item);
		item->letter = (char)('a' + i);
		list_append(&head, &item->node);
	}
	list_for_each_safe (node, &head) {
		struct item *item = list_entry(node, struct item, node);

		assert_int_equal(item->letter, 'a' + n++);
		list_remove(node);
		free(item);
	}
	assert_int_equal(n, 5);
	assert_true(list_is_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(insert__at_either_end_and_between),
	    cmocka_unit_test(remove__twice_is_harmless),
	    cmocka_unit_test(for_each_safe__may_free_the_current_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
