/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/hooks.h"

#include "app/sluice-loader/tc_qdisc.h"
#include "base/hash.h"
#include "sluice/abi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <inttypes.h>
#include <stdio.h>

/*
 * Our place among an interface's filters. Programs of others usually take the first priorities;
 * what they let pass comes to us.
 */
#define FILTER_PRIORITY 5100
#define FILTER_HANDLE   0x51
/* Instances that are not the default one have a handle by their name. */
#define FILTER_HANDLE_OTHERS 0x40000000

#define QDISC_MARK "qdisc"

/* Debian 12's linux/bpf.h is older than tcx. */
#define ATTACH_TCX_INGRESS 46

struct tcx_link_info {
	uint32_t type, id, program_id, padding;
	uint32_t ifindex, attach_type;
};

static const char *const kind_names[] = {
    [HOOK_TCX] = "tcx",
    [HOOK_CLSACT] = "clsact",
};

const char *hook_kind_name(enum hook_kind kind)
{
	return kind_names[kind];
}

/* ---- records ------------------------------------------------------------------------------- */

const char *hook_name(enum hook_kind kind, uint64_t netns, uint32_t ifindex,
		      char ret[PIN_PATH_MAX / 2])
{
	snprintf(ret, PIN_PATH_MAX / 2, "%s_%" PRIu64 "_%" PRIu32, kind_names[kind], netns,
		 ifindex);
	return ret;
}

/* "_NUMBER". Return: what follows; the number's form is for the caller to check. */
static const char *skip_number(const char *text, uint64_t *ret)
{
	char *end = (char *)text;

	if (*text == '_')
		*ret = strtoull(text + 1, &end, 10);
	return end;
}

int hook_name_parse(const char *name, enum hook_kind *ret_kind, uint64_t *ret_netns,
		    uint32_t *ret_ifindex)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++) {
		size_t len = strlen(kind_names[i]);
		uint64_t netns = 0, ifindex = 0;
		char again[PIN_PATH_MAX / 2];

		if (strncmp(name, kind_names[i], len) != 0)
			continue;
		skip_number(skip_number(name + len, &netns), &ifindex);
		/* Strict by comparing: no sign, no leading zero, no overflow, nothing behind it. */
		hook_name((enum hook_kind)i, netns, (uint32_t)ifindex, again);
		if (strcmp(name, again) != 0)
			continue;
		*ret_kind = (enum hook_kind)i;
		*ret_netns = netns;
		*ret_ifindex = (uint32_t)ifindex;
		return 0;
	}
	return -EINVAL;
}

static const char *record_path(const char *dir, const struct hook *hook, char ret[PIN_PATH_MAX])
{
	char name[PIN_PATH_MAX / 2];

	return pin_path(dir, PIN_HOOKS_DIR, hook_name(hook->kind, hook->netns, hook->ifindex, name),
			ret);
}

static const char *qdisc_mark_path(const char *dir, const struct hook *hook, char ret[PIN_PATH_MAX])
{
	char record[PIN_PATH_MAX];

	return pin_path(record_path(dir, hook, record), NULL, QDISC_MARK, ret);
}

int hook_forget(const char *dir, const struct hook *hook)
{
	char path[PIN_PATH_MAX];

	record_path(dir, hook, path);
	if (hook->kind == HOOK_CLSACT)
		return pin_tree_remove(path);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* ---- tcx ----------------------------------------------------------------------------------- */

static enum bpf_attach_type tcx_ingress(void)
{
	// NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): younger than the header
	return (enum bpf_attach_type)ATTACH_TCX_INGRESS;
}

bool hook_has_tcx(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_prog_query_opts, query);

	return bpf_prog_query_opts((int)ifindex, tcx_ingress(), &query) == 0;
}

static int open_link(const char *dir, const struct hook *hook)
{
	char path[PIN_PATH_MAX];
	int fd = bpf_obj_get(record_path(dir, hook, path));

	return fd < 0 ? -errno : fd;
}

static int read_link_info(int fd, struct tcx_link_info *ret)
{
	union {
		struct bpf_link_info known; /* for its size */
		struct tcx_link_info tcx;
	} info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	*ret = info.tcx;
	return 0;
}

static void read_tcx(const char *dir, struct hook *hook)
{
	_cleanup_close_ int fd = open_link(dir, hook);
	struct tcx_link_info info = {0};

	/* The kernel clears the interface when it disappears. */
	hook->is_gone = fd < 0 || read_link_info(fd, &info) < 0 || info.ifindex == 0;
	if (hook->is_gone)
		return;
	hook->link_id = info.id;
	hook->program_id = info.program_id;
}

int hook_try_tcx(int program_fd, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	_cleanup_close_ int fd = bpf_link_create(program_fd, (int)ifindex, tcx_ingress(), &opts);

	return fd < 0 ? -errno : 0;
}

static int attach_tcx(const char *dir, int program_fd, struct hook *hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts);
	_cleanup_close_ int fd =
	    bpf_link_create(program_fd, (int)hook->ifindex, tcx_ingress(), &opts);
	char path[PIN_PATH_MAX];

	if (fd < 0)
		return -errno;
	/* Not pinned, it is gone with our descriptor. */
	if (bpf_obj_pin(fd, record_path(dir, hook, path)) < 0)
		return -errno;
	read_tcx(dir, hook);
	return 0;
}

/* ---- clsact -------------------------------------------------------------------------------- */

static uint32_t filter_handle(const char *dir)
{
	static const struct hash_key key = {0}; /* nobody attacks it, and it has to stay */

	if (strcmp(dir, PIN_ROOT) == 0)
		return FILTER_HANDLE;
	return FILTER_HANDLE_OTHERS | (uint32_t)(hash_bytes(&key, dir, strlen(dir)) & 0x3fffffff);
}

static int query_filter(uint32_t handle, uint32_t ifindex, uint32_t *ret_program_id)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTER_PRIORITY);
	int r = bpf_tc_query(&place, &filter);

	if (r < 0)
		return r;
	*ret_program_id = filter.prog_id;
	return 0;
}

static int put_filter(uint32_t handle, uint32_t ifindex, int program_fd, bool is_replacing,
		      uint32_t *ret_program_id)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTER_PRIORITY,
		    .prog_fd = program_fd, .flags = is_replacing ? BPF_TC_F_REPLACE : 0);
	int r = bpf_tc_attach(&place, &filter);

	if (r < 0)
		return r;
	*ret_program_id = filter.prog_id;
	return 0;
}

static int create_qdisc(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);

	return bpf_tc_hook_create(&place);
}

int hook_try_clsact(int program_fd, uint32_t ifindex)
{
	int r = create_qdisc(ifindex);
	uint32_t program_id;

	return r < 0 ? r : put_filter(FILTER_HANDLE, ifindex, program_fd, false, &program_id);
}

/* Only if nobody has put anything into it meanwhile. */
static int destroy_empty_qdisc(uint32_t ifindex)
{
	// NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): a set of bits
	const enum bpf_tc_attach_point both = BPF_TC_INGRESS | BPF_TC_EGRESS;
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)ifindex, .attach_point = both);
	size_t n_filters;
	int r = tc_count_filters(ifindex, &n_filters);

	if (r < 0)
		return r;
	return n_filters > 0 ? 0 : bpf_tc_hook_destroy(&place);
}

static void read_clsact(const char *dir, struct hook *hook)
{
	char path[PIN_PATH_MAX];

	hook->owns_qdisc = pin_dir_exists(qdisc_mark_path(dir, hook, path));
	hook->filter.handle = filter_handle(dir);
	hook->filter.priority = FILTER_PRIORITY;
	if (hook->is_here)
		hook->is_gone =
		    query_filter(filter_handle(dir), hook->ifindex, &hook->program_id) < 0;
}

/* Pins that were removed by other means leave a filter behind. One of another program stays. */
static int take_over_filter(uint32_t handle, uint32_t ifindex, int program_fd,
			    uint32_t *ret_program_id)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info), id;
	_cleanup_close_ int fd = -1;

	if (query_filter(handle, ifindex, &id) == 0)
		fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0 || bpf_prog_get_info_by_fd(fd, &info, &size) < 0 ||
	    strcmp(info.name, SL_PROG_SPLICE) != 0)
		return -EEXIST;
	return put_filter(handle, ifindex, program_fd, true, ret_program_id);
}

static int attach_clsact(const char *dir, int program_fd, struct hook *hook)
{
	char record[PIN_PATH_MAX], mark[PIN_PATH_MAX];
	int r;

	if (mkdir(record_path(dir, hook, record), 0700) < 0)
		return -errno;
	r = create_qdisc(hook->ifindex);
	if (r == 0 && mkdir(qdisc_mark_path(dir, hook, mark), 0700) < 0)
		r = -errno;
	if (r == 0)
		hook->owns_qdisc = true;
	if (r == 0 || r == -EEXIST)
		r = put_filter(filter_handle(dir), hook->ifindex, program_fd, false,
			       &hook->program_id);
	if (r == -EEXIST)
		r = take_over_filter(filter_handle(dir), hook->ifindex, program_fd,
				     &hook->program_id);
	if (r < 0) {
		if (hook->owns_qdisc)
			destroy_empty_qdisc(hook->ifindex);
		hook_forget(dir, hook);
	}
	return r;
}

static int detach_clsact(const char *dir, const struct hook *hook)
{
	uint32_t handle = filter_handle(dir);
	LIBBPF_OPTS(bpf_tc_hook, place, .ifindex = (int)hook->ifindex,
		    .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = handle, .priority = FILTER_PRIORITY);
	int r;

	if (!hook->is_here)
		return -EXDEV;
	if (!hook->is_gone) {
		r = bpf_tc_detach(&place, &filter);
		if (r < 0 && r != -ENOENT && r != -ENODEV)
			return r;
	}
	if (hook->owns_qdisc) {
		r = destroy_empty_qdisc(hook->ifindex);
		if (r < 0 && r != -ENOENT && r != -EINVAL && r != -ENODEV)
			return r;
	}
	return 0;
}

/* ---- either -------------------------------------------------------------------------------- */

struct reading {
	const char *dir;
	uint64_t here; /* inode of the network namespace */
	struct hook *hooks;
	size_t n;
};

static int read_record(const char *name, void *arg)
{
	struct reading *r = arg;
	struct hook hook = {0}, *more;

	if (hook_name_parse(name, &hook.kind, &hook.netns, &hook.ifindex) < 0)
		return 0;
	more = reallocarray(r->hooks, r->n + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	r->hooks = more;
	hook.is_here = hook.netns == r->here;
	if (hook.kind == HOOK_TCX)
		read_tcx(r->dir, &hook);
	else
		read_clsact(r->dir, &hook);
	r->hooks[r->n++] = hook;
	return 0;
}

int hooks_read(const char *dir, struct hook **ret, size_t *ret_n)
{
	struct reading r = {.dir = dir, .here = netns_inode()};
	int error = pin_walk(dir, PIN_HOOKS_DIR, read_record, &r);

	if (error < 0) {
		free(r.hooks);
		return error;
	}
	*ret = r.hooks;
	*ret_n = r.n;
	return 0;
}

int hook_attach(const char *dir, int program_fd, uint32_t ifindex, enum hook_choice choice,
		struct hook *ret)
{
	bool has_tcx = hook_has_tcx(ifindex);
	struct hook hook = {
	    .kind = choice == HOOK_CHOICE_CLSACT || !has_tcx ? HOOK_CLSACT : HOOK_TCX,
	    .netns = netns_inode(),
	    .ifindex = ifindex,
	    .is_here = true,
	};
	int r;

	if (choice == HOOK_CHOICE_TCX && !has_tcx)
		return -EOPNOTSUPP;
	r = hook.kind == HOOK_TCX ? attach_tcx(dir, program_fd, &hook)
				  : attach_clsact(dir, program_fd, &hook);
	if (r < 0)
		return r;
	*ret = hook;
	return 0;
}

bool hook_is_reachable(const struct hook *hook)
{
	return hook->kind == HOOK_TCX || hook->is_here;
}

int hook_update(const char *dir, const struct hook *hook, int program_fd)
{
	_cleanup_close_ int fd = -1;
	uint32_t program_id;

	if (hook->is_gone)
		return -ENOENT;
	if (hook->kind == HOOK_CLSACT)
		return hook->is_here ? put_filter(filter_handle(dir), hook->ifindex, program_fd,
						  true, &program_id)
				     : -EXDEV;
	fd = open_link(dir, hook);
	if (fd < 0)
		return fd;
	return bpf_link_update(fd, program_fd, NULL) < 0 ? -errno : 0;
}

int hook_detach(const char *dir, const struct hook *hook)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (hook->kind == HOOK_CLSACT) {
		r = detach_clsact(dir, hook);
		return r < 0 ? r : hook_forget(dir, hook);
	}
	if (!hook->is_gone) {
		fd = open_link(dir, hook);
		/* At once, whoever else may hold the link. */
		if (fd >= 0 && bpf_link_detach(fd) < 0)
			return -errno;
	}
	return hook_forget(dir, hook);
}
