/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/hooks.h"
#include "app/sluice-loader/pins.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void instance__is_a_short_name(void **state)
{
	assert_true(pin_instance_is_valid("a"));
	assert_true(pin_instance_is_valid("edge-2"));
	assert_true(pin_instance_is_valid("abcdefghijklmnopqrstuvwxyz012345"));
	assert_false(pin_instance_is_valid("abcdefghijklmnopqrstuvwxyz0123456"));
	assert_false(pin_instance_is_valid(""));
	assert_false(pin_instance_is_valid("A"));
	assert_false(pin_instance_is_valid("a_b")); /* would be taken for a staging directory */
	assert_false(pin_instance_is_valid("a.b")); /* bpffs has no dots in names */
	assert_false(pin_instance_is_valid("a/b"));
	assert_false(pin_instance_is_valid(".."));
}

static void dir__of_the_default_instance_and_of_others(void **state)
{
	struct pin_dir dir = {0};

	pin_dir_init(&dir, NULL);
	assert_string_equal(dir.path, "/sys/fs/bpf/sluice");
	assert_string_equal(dir.staging, "/sys/fs/bpf/sluice_staging");
	pin_dir_init(&dir, "edge-2");
	assert_string_equal(dir.path, "/sys/fs/bpf/sluice-edge-2");
	assert_string_equal(dir.staging, "/sys/fs/bpf/sluice-edge-2_staging");
}

static void dir__holds_the_longest_names(void **state)
{
	char longest[PIN_INSTANCE_MAX + 1], path[PIN_PATH_MAX], name[PIN_PATH_MAX / 2];
	struct pin_dir dir = {0};

	memset(longest, 'x', PIN_INSTANCE_MAX);
	longest[PIN_INSTANCE_MAX] = '\0';
	pin_dir_init(&dir, longest);
	assert_int_equal(strlen(dir.path), strlen(PIN_ROOT "-") + PIN_INSTANCE_MAX);
	assert_string_equal(dir.staging + strlen(dir.path), "_staging");
	hook_name(HOOK_CLSACT, UINT64_MAX, UINT32_MAX, name);
	pin_path(dir.staging, PIN_HOOKS_DIR, name, path);
	assert_string_equal(path + strlen(path) - strlen(name), name);
}

static void path__joins(void **state)
{
	char path[PIN_PATH_MAX];

	assert_string_equal(pin_path("/a", NULL, "b", path), "/a/b");
	assert_string_equal(pin_path("/a", "ro", "b", path), "/a/ro/b");
}

static void group__by_name_or_number(void **state)
{
	gid_t group = 77;

	assert_int_equal(pin_group_find("4242", &group), 0);
	assert_int_equal(group, 4242);
	assert_int_equal(pin_group_find("root", &group), 0);
	assert_int_equal(group, 0);
	group = 77;
	assert_int_equal(pin_group_find("no-such-group-here", &group), -ENOENT);
	assert_int_equal(pin_group_find("", &group), -ENOENT);
	assert_int_equal(pin_group_find("4294967295", &group), -ENOENT); /* (gid_t)-1: keep it */
	assert_int_equal(pin_group_find("-1", &group), -ENOENT);
	assert_int_equal(group, 77);
}

static void make_file(const char *directory, const char *name)
{
	char path[PIN_PATH_MAX];
	int fd = open(pin_path(directory, NULL, name, path), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void tree__is_removed_as_a_whole(void **state)
{
	char top[] = "/tmp/sluice-test-XXXXXX", sub[PIN_PATH_MAX], mark[PIN_PATH_MAX];

	assert_non_null(mkdtemp(top));
	make_file(top, "map");
	pin_path(top, NULL, "hooks", sub);
	assert_int_equal(mkdir(sub, 0700), 0);
	make_file(sub, "link");
	pin_path(sub, NULL, "record", mark);
	assert_int_equal(mkdir(mark, 0700), 0);
	make_file(mark, "qdisc");
	assert_true(pin_dir_exists(top));
	assert_int_equal(pin_tree_remove(top), 0);
	assert_false(pin_dir_exists(top));
	assert_int_equal(pin_tree_remove(top), 0); /* nothing there is fine */
}

static void hook__name_round_trip(void **state)
{
	static const uint64_t namespaces[] = {0, 4026531840, UINT64_MAX};
	static const uint32_t interfaces[] = {1, 77, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		for (enum hook_kind kind = HOOK_TCX; kind <= HOOK_CLSACT; kind++) {
			char name[PIN_PATH_MAX / 2];
			enum hook_kind got_kind;
			uint64_t netns;
			uint32_t ifindex;

			hook_name(kind, namespaces[i], interfaces[i], name);
			assert_null(strpbrk(name, "./"));
			assert_int_equal(hook_name_parse(name, &got_kind, &netns, &ifindex), 0);
			assert_int_equal(got_kind, kind);
			assert_true(netns == namespaces[i]);
			assert_int_equal(ifindex, interfaces[i]);
		}
	}
}

static void hook__refuses_other_names(void **state)
{
	static const char *const names[] = {
	    "",
	    "tcx",
	    "tcx_",
	    "tcx_1",
	    "tcx_1_",
	    "tcx_1_",
	    "tcx_1_2x",
	    "tcx_01_2",
	    "tcx_1_-2",
	    "tcx_1_2_new",
	    "xdp_1_2",
	    "tcx_1_4294967296",
	    "tcx_18446744073709551616_1",
	    "tcx 1 2",
	    "tcx_ 1_2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		enum hook_kind kind;
		uint64_t netns;
		uint32_t ifindex;

		if (hook_name_parse(names[i], &kind, &netns, &ifindex) != -EINVAL)
			fail_msg("accepted: %s", names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(instance__is_a_short_name),
	    cmocka_unit_test(dir__of_the_default_instance_and_of_others),
	    cmocka_unit_test(dir__holds_the_longest_names),
	    cmocka_unit_test(path__joins),
	    cmocka_unit_test(group__by_name_or_number),
	    cmocka_unit_test(tree__is_removed_as_a_whole),
	    cmocka_unit_test(hook__name_round_trip),
	    cmocka_unit_test(hook__refuses_other_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
