/* SPDX-License-Identifier: Apache-2.0 */
/* In a BPF file system of its own, in a mount namespace of its own. */
#include "kern/bpf_pins.h"

#include <linux/bpf.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/bpf_maps.h"

#define DIR "/mnt/sluice"

/* Any other will do for what is only opened. */
static int load_program(const char *name)
{
	const struct bpf_insn program[] = {
	    {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 0},
	    {.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, name, "GPL", program,
			     sizeof(program) / sizeof(program[0]), NULL);
}

static void pin(int fd, const char *name)
{
	char path[128];

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), DIR "/%s", name);
	assert_int_equal(bpf_obj_pin(fd, path), 0);
	close(fd);
}

static void pin_programs(void)
{
	pin(load_program(SL_PROG_CAPTURE), SL_PROG_CAPTURE);
	pin(load_program(SL_PROG_ACTIVATE), SL_PROG_ACTIVATE);
	pin(load_program(SL_PROG_HOLD), SL_PROG_HOLD);
}

/* What sluice-loader leaves. */
static void pin_all(const struct sl_abi *abi)
{
	static const struct sl_ids first = {.next_conn_id = 1, .next_name_id = 1};
	const uint32_t zero = 0;
	int fd;

	for (size_t i = 0; i < ARRAY_SIZE(map_shapes); i++) {
		const char *name = map_shapes[i].name;

		fd = map_create(name, strcmp(name, SL_MAP_EVENTS) == 0 ? 4096 : 1);
		if (strcmp(name, SL_MAP_ABI) == 0)
			assert_int_equal(bpf_map_update_elem(fd, &zero, abi, BPF_ANY), 0);
		if (strcmp(name, SL_MAP_IDS) == 0)
			assert_int_equal(bpf_map_update_elem(fd, &zero, &first, BPF_ANY), 0);
		pin(fd, name);
	}
	pin_programs();
}

static const struct sl_abi our_abi = {
    .version = SL_ABI_VERSION,
    .flow_size = sizeof(struct sl_flow),
    .conn_size = sizeof(struct sl_conn),
    .event_size = sizeof(struct sl_event),
};

static bool is_mounted;

static void mount_bpffs(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/mnt", "bpf", 0, NULL) < 0) {
		printf("skipped: a BPF file system: %s (it needs CAP_SYS_ADMIN)\n",
		       strerror(errno));
		skip();
	}
	is_mounted = true;
	assert_int_equal(chmod("/mnt", 0755), 0);
	assert_int_equal(mkdir(DIR, 0755), 0);
}

static int tear_down(void **state)
{
	if (is_mounted && umount2("/mnt", MNT_DETACH) < 0)
		return -1;
	is_mounted = false;
	return 0;
}

static void assert_fails(int code, enum sluice_reason reason, const char *text)
{
	struct bpf_pins pins = {.hold_fd = 4711};
	struct bpf_pins_error error = {0};

	assert_int_equal(bpf_pins_open(DIR, &pins, &error), code);
	assert_string_equal(error.text, text);
	assert_int_equal(error.reason, reason);
	assert_int_equal(pins.hold_fd, 4711);
}

static size_t count_fds(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += dup2(fd, fd) == fd;
	return n;
}

/* To be read, and not written. */
static void assert_policies(const struct bpf_pins_view *view)
{
	const struct sl_policy policy = {.max_frame = 1};
	const uint32_t row = 0;
	struct sl_policy found = {.max_frame = 2};

	assert_int_equal(bpf_map_lookup_elem(view->policies_fd, &row, &found), 0);
	assert_int_equal(found.max_frame, 0);
	assert_int_equal(bpf_map_update_elem(view->policies_fd, &row, &policy, BPF_ANY), -EPERM);
}

static int no_flow(const struct flow_key *key, const struct sl_flow *flow, void *arg)
{
	return -EEXIST;
}

static void open__has_all_of_them(void **state)
{
	struct bpf_pins_error error;
	struct bpf_pins pins;
	size_t n_fds = count_fds();

	mount_bpffs();
	pin_all(&our_abi);
	assert_int_equal(bpf_pins_open(DIR, &pins, &error), 0);
	assert_int_equal(count_fds(), n_fds + 12);
	/* Each is what it should be. */
	assert_int_equal(flow_table_walk(&pins.flows, no_flow, NULL), 0);
	assert_int_equal(kern_ids_take_conn_ids(&pins.ids, 1), 1);
	bpf_pins_close(&pins);
	bpf_pins_close(&pins);
	assert_int_equal(count_fds(), n_fds);
}

/* Where the daemon's pins cannot be opened, those for operators do. */
static void view__reads_by_either_pin(void **state)
{
	struct bpf_pins_error error;
	struct bpf_pins_view view;
	size_t n_fds = count_fds();

	mount_bpffs();
	pin_all(&our_abi);
	assert_int_equal(bpf_pins_view(DIR, &view, &error), 0);
	bpf_pins_view_close(&view);
	assert_int_equal(mkdir(DIR "/ro", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(map_shapes); i++) {
		char from[128], to[128];

		snprintf(from, sizeof(from), DIR "/%s", map_shapes[i].name);
		snprintf(to, sizeof(to), DIR "/ro/%s", map_shapes[i].name);
		assert_int_equal(rename(from, to), 0);
	}
	assert_int_equal(bpf_pins_view(DIR, &view, &error), 0);
	assert_int_equal(count_fds(), n_fds + 6);
	assert_int_equal(flow_table_walk(&view.flows, no_flow, NULL), 0);
	assert_policies(&view);
	bpf_pins_view_close(&view);
	bpf_pins_view_close(&view);
	assert_int_equal(count_fds(), n_fds);
}

static void view__names_what_is_missing(void **state)
{
	struct bpf_pins_error error;
	struct bpf_pins_view view;
	size_t n_fds = count_fds();

	mount_bpffs();
	pin_all(&our_abi);
	assert_int_equal(unlink(DIR "/" SL_MAP_POLICIES), 0);
	assert_int_equal(bpf_pins_view(DIR, &view, &error), -ENOENT);
	assert_string_equal(error.text, DIR ": policies: No such file or directory");
	assert_int_equal(count_fds(), n_fds);
}

static void open__without_anything(void **state)
{
	mount_bpffs();
	assert_int_equal(rmdir(DIR), 0);
	assert_fails(-ENOENT, SLUICE_REASON_NOT_LOADED,
		     DIR ": nothing is loaded there (sluice-loader load)");
	assert_int_equal(mkdir(DIR, 0755), 0);
	assert_fails(-ENOENT, SLUICE_REASON_NOT_LOADED,
		     DIR ": nothing is loaded there (sluice-loader load)");
}

static void open__names_all_that_is_missing(void **state)
{
	size_t n_fds = count_fds();

	mount_bpffs();
	pin_all(&our_abi);
	assert_int_equal(unlink(DIR "/" SL_MAP_NAMES), 0);
	assert_int_equal(unlink(DIR "/" SL_PROG_HOLD), 0);
	assert_fails(-ENOENT, SLUICE_REASON_NOT_LOADED, DIR ": missing: names sl_hold");
	assert_int_equal(count_fds(), n_fds);
}

static void open__names_all_if_all_but_the_version_is_missing(void **state)
{
	mount_bpffs();
	pin_all(&our_abi);
	for (size_t i = 0; i < ARRAY_SIZE(map_shapes); i++) {
		char path[128];

		snprintf(path, sizeof(path), DIR "/%s", map_shapes[i].name);
		if (strcmp(map_shapes[i].name, SL_MAP_ABI) != 0)
			assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(unlink(DIR "/" SL_PROG_HOLD), 0);
	assert_int_equal(unlink(DIR "/" SL_PROG_ACTIVATE), 0);
	assert_int_equal(unlink(DIR "/" SL_PROG_CAPTURE), 0);
	assert_fails(-ENOENT, SLUICE_REASON_NOT_LOADED,
		     DIR ": missing: flows4 flows6 conns names events stats policies hooked "
			 "ids sl_capture sl_activate sl_hold");
}

static void open__names_both_versions(void **state)
{
	struct sl_abi other = our_abi;
	char expected[256];

	mount_bpffs();
	other.version = SL_ABI_VERSION + 1;
	other.flow_size++;
	pin_all(&other);
	snprintf(expected, sizeof(expected),
		 DIR ": version %u is loaded, this is version %u (sluice-loader unload, then load)",
		 SL_ABI_VERSION + 1, SL_ABI_VERSION);
	assert_fails(-EPROTO, SLUICE_REASON_NOT_LOADED, expected);
}

static void open__refuses_other_sizes(void **state)
{
	struct sl_abi other = our_abi;
	struct bpf_pins_error error;
	struct bpf_pins pins;

	mount_bpffs();
	other.conn_size += 8;
	pin_all(&other);
	assert_int_equal(bpf_pins_open(DIR, &pins, &error), -EPROTO);
	assert_int_equal(error.reason, SLUICE_REASON_NOT_LOADED);
}

/* As an ordinary user without any capability: whether it works is up to the pins' group alone. */
static int open_as_nobody(gid_t group)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		struct bpf_pins_error error;
		struct bpf_pins pins;

		if (setgid(group) < 0 || setuid(65534) < 0)
			_exit(100);
		_exit(-bpf_pins_open(DIR, &pins, &error));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void open__is_by_permission_of_the_group(void **state)
{
	mount_bpffs();
	pin_all(&our_abi);
	for (size_t i = 0; i < ARRAY_SIZE(map_shapes) + 3; i++) {
		const char *name = i < ARRAY_SIZE(map_shapes)
				       ? map_shapes[i].name
				       : (const char *[]){SL_PROG_CAPTURE, SL_PROG_ACTIVATE,
							  SL_PROG_HOLD}[i - ARRAY_SIZE(map_shapes)];
		char path[128];

		snprintf(path, sizeof(path), DIR "/%s", name);
		assert_int_equal(chown(path, 0, 4242), 0);
		assert_int_equal(chmod(path, 0660), 0);
	}
	assert_int_equal(open_as_nobody(4242), 0);
	assert_int_equal(open_as_nobody(4243), -EACCES);
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(open__has_all_of_them),
	    TEST(open__without_anything),
	    TEST(open__names_all_that_is_missing),
	    TEST(open__names_all_if_all_but_the_version_is_missing),
	    TEST(open__names_both_versions),
	    TEST(open__refuses_other_sizes),
	    TEST(open__is_by_permission_of_the_group),
	    TEST(view__reads_by_either_pin),
	    TEST(view__names_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
