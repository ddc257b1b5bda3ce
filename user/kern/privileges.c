/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/privileges.h"

#include <cap-ng.h>
#include <grp.h>
#include <linux/bpf.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define ENTRY_BYTES 65536 /* of passwd(5) and group(5): a group may have many members */

/* ---- who ----------------------------------------------------------------------------------- */

static int fail(struct privileges_error *error, int code, const char *what, const char *name)
{
	snprintf(error->text, sizeof(error->text), "%s \"%.64s\": %s", what, name,
		 code == -ENOENT ? "there is none" : strerror(-code));
	return code;
}

static bool parse_id(const char *text, uint32_t *ret_id)
{
	unsigned long long value;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	/* (uid_t)-1 means "as it is" to setresuid(2). */
	if (errno || *end || value >= UINT32_MAX)
		return false;
	*ret_id = (uint32_t)value;
	return true;
}

/* Where nothing is found, the C library says 0 or one of several errors (getpwnam(3)). */
static int lookup_error(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE || error == EIO ||
		       error == ERANGE
		   ? -error
		   : -ENOENT;
}

static int find_group(const char *group, gid_t *ret_gid)
{
	_cleanup_free_ char *buffer = malloc(ENTRY_BYTES);
	struct group entry, *found = NULL;
	int error;

	if (!buffer)
		return -ENOMEM;
	if (parse_id(group, ret_gid))
		return 0;
	error = getgrnam_r(group, &entry, buffer, ENTRY_BYTES, &found);
	if (!found)
		return lookup_error(error);
	*ret_gid = found->gr_gid;
	return 0;
}

static int find_user(const char *user, bool has_group, struct privileges_user *ret_user)
{
	_cleanup_free_ char *buffer = malloc(ENTRY_BYTES);
	struct passwd entry, *found = NULL;
	uid_t uid;
	bool is_number = parse_id(user, &uid);
	int error;

	if (!buffer)
		return -ENOMEM;
	error = is_number ? getpwuid_r(uid, &entry, buffer, ENTRY_BYTES, &found)
			  : getpwnam_r(user, &entry, buffer, ENTRY_BYTES, &found);
	if (!found && is_number && has_group && lookup_error(error) == -ENOENT) {
		*ret_user = (struct privileges_user){.uid = uid};
		return 0;
	}
	if (!found)
		return lookup_error(error);
	*ret_user = (struct privileges_user){
	    .uid = found->pw_uid,
	    .gid = found->pw_gid,
	    .name = strdup(found->pw_name),
	};
	return ret_user->name ? 0 : -ENOMEM;
}

int privileges_find(const char *user, const char *group, struct privileges_user *ret_user,
		    struct privileges_error *ret_error)
{
	struct privileges_user found = {0};
	int error = find_user(user, group != NULL, &found);

	if (error < 0)
		return fail(ret_error, error, "user", user);
	if (group && (error = find_group(group, &found.gid)) < 0) {
		privileges_user_done(&found);
		return fail(ret_error, error, "group", group);
	}
	*ret_user = found;
	return 0;
}

void privileges_user_done(struct privileges_user *user)
{
	free(TAKE_PTR(user->name));
}

/* ---- capabilities -------------------------------------------------------------------------- */

static const unsigned int kept[] = {CAP_NET_ADMIN, CAP_NET_BIND_SERVICE};

static int apply(capng_select_t which)
{
	errno = 0;
	if (capng_apply(which) == 0)
		return 0;
	return errno ? -errno : -EPERM;
}

/* What an executable could give: no more than what is kept. */
static int bound(void)
{
	if (capng_get_caps_process() < 0)
		return -EPERM;
	capng_clear(CAPNG_SELECT_BOUNDS);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		(void)capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, kept[i]);
	return apply(CAPNG_SELECT_BOUNDS);
}

int privileges_limit(void)
{
	bool has[ARRAY_SIZE(kept)] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (geteuid() == 0)
		return 0;
	if (capng_get_caps_process() < 0)
		return -EPERM;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		has[i] = capng_have_capability(CAPNG_PERMITTED, kept[i]) != 0;
	/* What is not inheritable any more is not ambient either (capabilities(7)). */
	capng_clear(CAPNG_SELECT_CAPS);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (has[i]) {
			(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, kept[i]);
			(void)capng_update(CAPNG_ADD, CAPNG_PERMITTED, kept[i]);
		}
	}
	return apply(CAPNG_SELECT_CAPS);
}

/* ---- becoming it --------------------------------------------------------------------------- */

static bool is_already(const struct privileges_user *user)
{
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	return getresuid(&ruid, &euid, &suid) == 0 && getresgid(&rgid, &egid, &sgid) == 0 &&
	       ruid == user->uid && euid == user->uid && suid == user->uid && rgid == user->gid &&
	       egid == user->gid && sgid == user->gid;
}

static int set_groups(const struct privileges_user *user)
{
	int result = user->name ? initgroups(user->name, user->gid) : setgroups(0, NULL);

	return result < 0 ? -errno : 0;
}

int privileges_become(const struct privileges_user *user)
{
	int error;

	if (is_already(user))
		return 0;
	error = set_groups(user);
	if (error < 0)
		return error;
	/* While there is the right to do that, CAP_SETPCAP; where there is none, no_new_privs has
	 * to do. */
	if (user->uid != 0)
		(void)bound();
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	/* A process that was root may not be traced or dumped by its new user. With two
	 * capabilities it still may not be traced by others of that user, who lack them. */
	return prctl(PR_SET_DUMPABLE, 1) < 0 ? -errno : 0;
}

/* ---- bpf(2) -------------------------------------------------------------------------------- */

#define COMMANDS 64 /* more than any kernel has; a power of two */

static bool is_allowed(unsigned int command)
{
	switch (command) {
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
	case BPF_MAP_LOOKUP_BATCH:
	case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
	case BPF_MAP_UPDATE_BATCH:
	case BPF_MAP_DELETE_BATCH:
	case BPF_OBJ_GET:
	case BPF_OBJ_GET_INFO_BY_FD:
	case BPF_PROG_TEST_RUN:
	case BPF_PROG_QUERY:
		return true;
	default:
		return false;
	}
}

/* The kernel takes the command from the lower half of the register: so do we, or a bit in the upper
 * half would be a way around. */
static int refuse(scmp_filter_ctx filter, uint32_t mask, uint32_t value)
{
	return seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(bpf), 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, mask, value));
}

static int add_rules(scmp_filter_ctx filter)
{
	int error = 0;

	for (uint32_t command = 0; command < COMMANDS && error == 0; command++) {
		if (!is_allowed(command))
			error = refuse(filter, UINT32_MAX, command);
	}
	for (uint32_t bit = COMMANDS; bit != 0 && error == 0; bit <<= 1)
		error = refuse(filter, bit, bit);
	return error;
}

int privileges_refuse_bpf(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int error;

	if (!filter)
		return -ENOMEM;
	/* Before 5.16 a filter would slow the process down against Spectre 4, which it is not for.
	 */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	error = add_rules(filter);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
