/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/probes.h"

#include "app/sluice-loader/bpffs.h"
#include "app/sluice-loader/hooks.h"
#include "app/sluice-loader/netns.h"
#include "app/sluice-loader/objects.h"
#include "base/text_writer.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define BTF_PATH       "/sys/kernel/btf/vmlinux"
#define XDP_ACT_BASIC  1u /* enum netdev_xdp_act, younger than Debian 12's headers */
#define NOBODY         65534
#define CHILD_FAILED   64   /* beyond every bit mask that a probe exits with */
#define REPAIR_OFF     (-1) /* TCP_REPAIR_OFF_NO_WP */
#define OPCODE_ALU_MOV (BPF_ALU64 | BPF_MOV | BPF_K)

static const struct bpf_insn return_zero[] = {
    {.code = OPCODE_ALU_MOV, .dst_reg = BPF_REG_0, .imm = 0},
    {.code = BPF_JMP | BPF_EXIT},
};

static void set(struct probe_result *ret, bool is_present, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void set(struct probe_result *ret, bool is_present, const char *fmt, ...)
{
	va_list args;

	ret->state = is_present ? PROBE_PRESENT : PROBE_MISSING;
	va_start(args, fmt);
	vsnprintf(ret->detail, sizeof(ret->detail), fmt, args);
	va_end(args);
}

static void set_unknown(struct probe_result *ret, const char *why)
{
	ret->state = PROBE_UNKNOWN;
	snprintf(ret->detail, sizeof(ret->detail), "%s", why);
}

/* First line of a file in /proc/sys, or "" if it cannot be read. */
static const char *read_setting(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");

	ret[0] = '\0';
	if (!file)
		return ret;
	if (fgets(ret, (int)size, file))
		ret[strcspn(ret, "\n")] = '\0';
	fclose(file);
	return ret;
}

/* What @body returns, in a process of its own that may give up its namespace and its rights. */
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(body());
	if (pid < 0 || waitpid(pid, &status, 0) < 0 || !WIFEXITED(status))
		return CHILD_FAILED;
	return WEXITSTATUS(status);
}

static int load_return_zero(enum bpf_prog_type type, uint32_t flags)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = flags);

	return bpf_prog_load(type, "sl_probe", "GPL", return_zero, ARRAY_SIZE(return_zero), &opts);
}

bool probe_has_privileges(void)
{
	_cleanup_close_ int fd = load_return_zero(BPF_PROG_TYPE_SCHED_CLS, 0);

	return fd >= 0 || (errno != EPERM && errno != EACCES);
}

/* ---- the kernel ---------------------------------------------------------------------------- */

static void probe_kernel(struct probe_result *ret)
{
	struct utsname name;

	uname(&name);
	set(ret, true, "%s %s", name.release, name.machine);
}

static void probe_privileges(struct probe_result *ret)
{
	set(ret, probe_has_privileges(), "uid %d", (int)geteuid());
}

static void cleanup_btf(struct btf **btf)
{
	btf__free(*btf);
}

static void probe_btf(struct probe_result *ret)
{
	_cleanup_(cleanup_btf) struct btf *btf = btf__parse(BTF_PATH, NULL);

	if (btf)
		set(ret, true, "%s, %u types", BTF_PATH, btf__type_cnt(btf));
	else
		set(ret, false, "%s: %s", BTF_PATH, strerror(errno));
}

static void probe_bpffs(struct probe_result *ret)
{
	if (bpffs_is_mounted())
		set(ret, true, "mounted on %s", BPFFS_PATH);
	else
		set(ret, bpffs_is_known(), "%s on %s", "not mounted: load will mount it",
		    BPFFS_PATH);
}

enum {
	HAS_TCX = 1,
	HAS_CLSACT = 2,
};

/* On the loopback of a namespace that goes with this process. */
static int try_hooks(void)
{
	struct interface loopback;
	int program, link, found = 0;

	if (unshare(CLONE_NEWNET) < 0 || interface_find("lo", &loopback) < 0)
		return CHILD_FAILED;
	program = load_return_zero(BPF_PROG_TYPE_SCHED_CLS, 0);
	if (program < 0)
		return 0;
	link = hook_try_tcx(program, loopback.index);
	if (link == 0)
		found |= HAS_TCX;
	if (hook_try_clsact(program, loopback.index) == 0)
		found |= HAS_CLSACT;
	return found;
}

static int hooks_found(void)
{
	static int found = -1;

	if (found < 0)
		found = in_child(try_hooks);
	return found;
}

static void set_hook(struct probe_result *ret, int hook)
{
	int found = hooks_found();

	if (found == CHILD_FAILED)
		set_unknown(ret, "no network namespace to try it in");
	else
		set(ret, found & hook, "%s", "");
}

static void probe_tcx(struct probe_result *ret)
{
	set_hook(ret, HAS_TCX);
}

static void probe_clsact(struct probe_result *ret)
{
	set_hook(ret, HAS_CLSACT);
}

static void probe_syscall_programs(struct probe_result *ret)
{
	_cleanup_close_ int fd = load_return_zero(BPF_PROG_TYPE_SYSCALL, BPF_F_SLEEPABLE);

	set(ret, fd >= 0, "%s", fd < 0 ? strerror(errno) : "");
}

/* What the daemon does with a pin that its group may open. */
static int run_without_rights(void)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts);
	int program = load_return_zero(BPF_PROG_TYPE_SYSCALL, BPF_F_SLEEPABLE);

	if (program < 0 || setgroups(0, NULL) < 0 || setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
		return CHILD_FAILED;
	return bpf_prog_test_run_opts(program, &opts) == 0 ? 0 : 1;
}

static void probe_unprivileged_run(struct probe_result *ret)
{
	int status = in_child(run_without_rights);

	if (status == CHILD_FAILED)
		set_unknown(ret, "no syscall program to try it with");
	else
		set(ret, status == 0, "%s", "");
}

struct helper {
	enum bpf_func_id id;
	const char *name;
};

/* Those of sl_splice that are younger than BPF for tc itself. */
static const struct helper helpers[] = {
    {BPF_FUNC_csum_level, "bpf_csum_level"},         {BPF_FUNC_fib_lookup, "bpf_fib_lookup"},
    {BPF_FUNC_redirect_neigh, "bpf_redirect_neigh"}, {BPF_FUNC_check_mtu, "bpf_check_mtu"},
    {BPF_FUNC_ringbuf_output, "bpf_ringbuf_output"},
};
static const struct helper loop_helper[] = {{BPF_FUNC_loop, "bpf_loop"}};

static void set_helpers(struct probe_result *ret, const struct helper *list, size_t n)
{
	struct text_writer w;
	bool has_all = true;

	text_writer_init(&w, ret->detail, sizeof(ret->detail) - 1);
	for (size_t i = 0; i < n; i++) {
		if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, list[i].id, NULL) == 1)
			continue;
		text_printf(&w, "%s%s", has_all ? "without " : ", ", list[i].name);
		has_all = false;
	}
	ret->detail[w.len] = '\0';
	ret->state = has_all ? PROBE_PRESENT : PROBE_MISSING;
}

static void probe_loop(struct probe_result *ret)
{
	set_helpers(ret, loop_helper, ARRAY_SIZE(loop_helper));
}

static void probe_helpers(struct probe_result *ret)
{
	set_helpers(ret, helpers, ARRAY_SIZE(helpers));
}

/* The proof: ours, with maps of the smallest size, and gone again at once. */
static void probe_programs(struct probe_result *ret)
{
	static const struct map_sizes sizes = {FLOWS_MIN, EVENTS_MIN};
	struct objects objects;
	int r = objects_open(&objects);

	if (r == 0)
		r = objects_size(&objects, &sizes);
	if (r == 0)
		r = objects_load(&objects, NULL);
	objects_close(&objects);
	set(ret, r == 0, "%s", r < 0 ? strerror(-r) : "");
}

static void probe_ring_buffer(struct probe_result *ret)
{
	set(ret, libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 1, "%s", "");
}

/* Its sysctl can be read in the first network namespace only: what a program became can be
 * anywhere. */
static void probe_jit(struct probe_result *ret)
{
	_cleanup_close_ int fd = load_return_zero(BPF_PROG_TYPE_SCHED_CLS, 0);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		set_unknown(ret, "no program to try it with");
	else
		set(ret, info.jited_prog_len > 0, "%s", "");
}

static void probe_tcp_repair(struct probe_result *ret)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, off = REPAIR_OFF;

	if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)) < 0)
		set(ret, false, "%s", strerror(errno));
	else
		set(ret, true, "the daemon needs CAP_NET_ADMIN for it");
}

static void probe_sockmap(struct probe_result *ret)
{
	set(ret,
	    libbpf_probe_bpf_map_type(BPF_MAP_TYPE_SOCKHASH, NULL) == 1 &&
		libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_SK_SKB, NULL) == 1,
	    "%s", "");
}

/* To load one would schedule this machine by it: the types have to do. */
static void probe_sched_ext(struct probe_result *ret)
{
	_cleanup_(cleanup_btf) struct btf *btf = btf__parse(BTF_PATH, NULL);
	char state[32];

	if (!btf || btf__find_by_name_kind(btf, "sched_ext_ops", BTF_KIND_STRUCT) < 0 ||
	    btf__find_by_name_kind(btf, "scx_bpf_create_dsq", BTF_KIND_FUNC) < 0) {
		set(ret, false, "%s", "");
		return;
	}
	read_setting("/sys/kernel/sched_ext/state", state, sizeof(state));
	set(ret, state[0] != '\0', "%s", state);
}

/* ---- this network namespace ---------------------------------------------------------------- */

/* "eth0, lo" of those whose net.FAMILY.conf.NAME.forwarding is 0. Return: how many. */
static size_t list_not_forwarding(const char *family, struct text_writer *w)
{
	_cleanup_free_ struct interface *interfaces = NULL;
	size_t n = 0, n_off = 0;
	char path[128], value[16];

	if (interface_list(&interfaces, &n) < 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (!interfaces[i].is_up)
			continue;
		snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/forwarding", family,
			 interfaces[i].name);
		if (strcmp(read_setting(path, value, sizeof(value)), "0") != 0)
			continue;
		text_printf(w, "%s%s", n_off == 0 ? "" : ", ", interfaces[i].name);
		n_off++;
	}
	return n_off;
}

static void set_forwarding(struct probe_result *ret, const char *family)
{
	char names[PROBE_DETAIL_MAX / 2];
	struct text_writer w;
	size_t n_off;

	text_writer_init(&w, names, sizeof(names));
	n_off = list_not_forwarding(family, &w);
	if (n_off > 0)
		set(ret, false, "off on %.*s%s", (int)w.len, names, w.is_truncated ? ", ..." : "");
	else
		set(ret, true, "on, on every interface that is up");
}

static void probe_forwarding_v4(struct probe_result *ret)
{
	set_forwarding(ret, "ipv4");
}

static void probe_forwarding_v6(struct probe_result *ret)
{
	set_forwarding(ret, "ipv6");
}

/* Whether the list "1,5-9,..." has all of @first to @last. The kernel writes it in order, with
 * neighbours joined. */
static bool list_has(const char *list, unsigned int first, unsigned int last)
{
	while (*list) {
		char *end;
		unsigned long low = strtoul(list, &end, 10), high = low;

		if (*end == '-')
			high = strtoul(end + 1, &end, 10);
		if (low <= first && last <= high)
			return true;
		if (end == list || *end != ',')
			return false;
		list = end + 1;
	}
	return false;
}

static void probe_reserved_ports(struct probe_result *ret)
{
	const struct port_range *ports = ret->source_ports;
	char range[64], reserved[256];
	unsigned int low, high;

	read_setting("/proc/sys/net/ipv4/ip_local_port_range", range, sizeof(range));
	read_setting("/proc/sys/net/ipv4/ip_local_reserved_ports", reserved, sizeof(reserved));
	// NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers
	if (sscanf(range, "%u %u", &low, &high) != 2)
		set_unknown(ret, "net.ipv4.ip_local_port_range cannot be read");
	else if (low > ports->last || high < ports->first)
		set(ret, true, "%u-%u are not among %u-%u, which the kernel gives away",
		    ports->first, ports->last, low, high);
	else if (list_has(reserved, MAX(low, ports->first), MIN(high, ports->last)))
		set(ret, true, "%.200s, of %u-%u", reserved, low, high);
	else
		set(ret, false, "not all of %u-%u, of %u-%u: sysctl -w %s=%u-%u", ports->first,
		    ports->last, low, high, "net.ipv4.ip_local_reserved_ports", ports->first,
		    ports->last);
}

static void probe_xdp(struct probe_result *ret)
{
	_cleanup_(cleanup_btf) struct btf *btf = btf__parse(BTF_PATH, NULL);
	_cleanup_free_ struct interface *interfaces = NULL;
	struct text_writer with, without;
	char yes[PROBE_DETAIL_MAX / 3], no[PROBE_DETAIL_MAX / 3];
	size_t n = 0;

	/* Before 6.3 a driver does not tell, and to try would reset the interface. */
	if (!btf || btf__find_by_name_kind(btf, "netdev_xdp_act", BTF_KIND_ENUM) < 0 ||
	    interface_list(&interfaces, &n) < 0) {
		set_unknown(ret, "drivers of this kernel do not tell");
		return;
	}
	text_writer_init(&with, yes, sizeof(yes));
	text_writer_init(&without, no, sizeof(no));
	for (size_t i = 0; i < n; i++) {
		LIBBPF_OPTS(bpf_xdp_query_opts, query);
		struct text_writer *w = &without;

		if (!interfaces[i].is_up)
			continue;
		if (bpf_xdp_query((int)interfaces[i].index, 0, &query) == 0 &&
		    query.feature_flags & XDP_ACT_BASIC)
			w = &with;
		text_printf(w, "%s%s", w->len ? ", " : "", interfaces[i].name);
	}
	set(ret, with.len > 0, "%s%.*s%s%s%.*s", with.len ? "on " : "", (int)with.len, yes,
	    with.len && without.len ? "; " : "", without.len ? "not on " : "", (int)without.len,
	    no);
}

/* ---- the list ------------------------------------------------------------------------------ */

enum {
	NEED_NOT,
	NEED_PRIVILEGES,
	NEED_BTF,
	NEED_BPFFS,
	NEED_HOOK,
	NEED_SYSCALL,
	NEED_LOOP,
	NEED_HELPERS,
	NEED_RING_BUFFER,
	NEED_TCP_REPAIR,
	NEED_PROGRAMS,
};

#define RELAY_ONLY "no splice: every connection stays on the relay"

const struct probe probes[] = {
    {"kernel", "the running kernel", NEED_NOT, false, probe_kernel, ""},
    {"privileges", "load programs", NEED_PRIVILEGES, false, probe_privileges,
     "nothing can be loaded, and much of what follows cannot be known; run this as root"},
    {"btf", "types of the kernel", NEED_BTF, false, probe_btf,
     RELAY_ONLY " (CONFIG_DEBUG_INFO_BTF)"},
    {"bpffs", "file system for pins", NEED_BPFFS, false, probe_bpffs, RELAY_ONLY},
    {"tcx", "links at an interface's ingress", NEED_HOOK, true, probe_tcx,
     "clsact filters are used instead: others may remove them unnoticed"},
    {"clsact", "filters at an interface's ingress", NEED_HOOK, true, probe_clsact,
     "nothing where tcx is present, else no splice"},
    {"syscall", "programs run by the daemon", NEED_SYSCALL, true, probe_syscall_programs,
     RELAY_ONLY},
    {"unprivileged", "to run them without rights", NEED_NOT, true, probe_unprivileged_run,
     "the daemon needs CAP_BPF beside CAP_NET_ADMIN"},
    {"bpf_loop", "loops in programs", NEED_LOOP, true, probe_loop, RELAY_ONLY},
    {"helpers", "routes, neighbours, checksums", NEED_HELPERS, true, probe_helpers, RELAY_ONLY},
    {"ring_buffer", "events to the daemon", NEED_RING_BUFFER, true, probe_ring_buffer, RELAY_ONLY},
    {"tcp_repair", "sockets taken out of TCP", NEED_TCP_REPAIR, true, probe_tcp_repair, RELAY_ONLY},
    {"programs", "the verifier takes ours", NEED_PROGRAMS, true, probe_programs,
     RELAY_ONLY "; sluice-loader -v check prints what the verifier says"},
    {"jit", "programs as machine code", NEED_NOT, true, probe_jit,
     "programs are interpreted: several times the CPU for each packet"},
    {"forwarding_v4", "IPv4 between interfaces", NEED_NOT, false, probe_forwarding_v4,
     "packets go out through the interface that was recorded, by bpf_redirect_neigh, instead of "
     "a route lookup: a route that changes later is not followed"},
    {"forwarding_v6", "IPv6 between interfaces", NEED_NOT, false, probe_forwarding_v6,
     "the same for IPv6"},
    {"reserved_ports", "ports kept from other programs", NEED_NOT, false, probe_reserved_ports,
     "the kernel may give another program the port of a spliced connection, and the two to the "
     "same endpoint would be mixed up: reserve those that Sluice may use"},
    {"sockmap", "payload between local sockets", NEED_NOT, true, probe_sockmap,
     "endpoints on this host are reached by the relay or the splice"},
    {"sched_ext", "CPU scheduling by class", NEED_NOT, false, probe_sched_ext,
     "classes are told apart by nice values and worker groups only"},
    {"xdp", "native XDP", NEED_NOT, true, probe_xdp,
     "floods are dropped by tc, at a higher price for each packet"},
};
const size_t n_probes = ARRAY_SIZE(probes);
