/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/in_use.h"

#include "app/control_client.h"
#include "app/sluice-loader/pinned.h"
#include "app/sluice-loader/say.h"
#include "base/clock.h"
#include "core/control_path.h"
#include "sluice/abi.h"

#include <poll.h>
#include <stdio.h>

#define ANSWER_MS 10000u /* of the daemon; what it takes back, it takes behind the answer */
#define LOOK_MS   50     /* how often we look whether it is done */

/* ---- counting ------------------------------------------------------------------------------ */

struct found {
	struct in_use_over over;
	uint64_t *ids; /* of their connections; one may come twice, by its two directions */
	size_t n, capacity;
	bool has_failed; /* out of memory */
};

static void cleanup_found(struct found *found)
{
	free(found->ids);
}

/* The entry of what comes from one side names the interface of the other. */
static bool is_over(const struct in_use_over *over, uint32_t ifindex)
{
	for (size_t i = 0; i < over->n; i++) {
		if (over->ifindexes[i] == ifindex)
			return true;
	}
	return over->n == 0;
}

static bool take_flow(const void *flow, void *arg)
{
	struct found *found = arg;

	if (!embedded_is_spliced(flow) || !is_over(&found->over, embedded_flow_oif(flow)))
		return false;
	if (found->n == found->capacity) {
		size_t capacity = MAX(2 * found->capacity, (size_t)256);
		uint64_t *more = reallocarray(found->ids, capacity, sizeof(*more));

		found->has_failed |= !more;
		if (!more)
			return false;
		found->ids = more;
		found->capacity = capacity;
	}
	found->ids[found->n++] = embedded_flow_conn(flow);
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static uint64_t count_different(const struct found *found)
{
	uint64_t n = found->n > 0;

	if (n > 0)
		qsort(found->ids, found->n, sizeof(*found->ids), compare_ids);
	for (size_t i = 1; i < found->n; i++)
		n += found->ids[i] != found->ids[i - 1];
	return n;
}

static int find_in_map(const struct install *install, const struct bpf_map *map,
		       struct found *found)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, bpf_map__name(map));
	struct map_fill fill;
	int r;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (!objects_is_shape(map, fd))
		return -EBADMSG;
	r = pinned_map_fill(fd, take_flow, found, &fill);
	return r == 0 && found->has_failed ? -ENOMEM : r;
}

static int count_records(const struct install *install, uint64_t *ret_n)
{
	_cleanup_close_ int fd = pin_open(install->dir.path, SL_MAP_CONNS);
	struct map_fill fill;
	int r;

	if (fd < 0)
		return fd;
	r = pinned_map_fill(fd, NULL, NULL, &fill);
	if (r == 0)
		*ret_n = fill.n_entries;
	return r;
}

int in_use_count(const struct install *install, struct in_use_over over, uint64_t *ret_n)
{
	_cleanup_(cleanup_found) struct found found = {.over = over};
	const struct bpf_map *map;
	uint32_t version;
	int r;

	if (install_abi(install, &version) == 0 && version != SL_ABI_VERSION)
		return count_records(install, ret_n);
	objects_for_each_map(&install->objects, i, map)
	{
		const char *name = bpf_map__name(map);

		if (!embedded_is_flows(name) || objects_owner(&install->objects, name) != i)
			continue;
		r = find_in_map(install, map, &found);
		if (r == -EBADMSG)
			return count_records(install, ret_n);
		if (r < 0)
			return r;
	}
	*ret_n = count_different(&found);
	return 0;
}

/* ---- the daemon ---------------------------------------------------------------------------- */

/* What it works with. */
struct daemon_pins {
	bool is_found;
	char path[PIN_PATH_MAX];
};

static const char *control_socket(const struct command_line *line, char buf[CONTROL_PATH_MAX + 1])
{
	return line->control ? line->control : control_find_path(buf);
}

static int take_offload(const json_t *data, void *arg)
{
	struct daemon_pins *pins = arg;

	for (size_t i = 0; i < json_array_size(data); i++) {
		const json_t *splice = json_object_get(json_array_get(data, i), "splice");
		const char *where = json_string_value(json_object_get(splice, "pins"));

		/* It has opened them if it says of which version they are. */
		if (!where || !json_object_get(splice, "abi"))
			continue;
		pins->is_found = true;
		snprintf(pins->path, sizeof(pins->path), "%s", where);
	}
	return 0;
}

static int not_its_own(const char *socket, const struct install *install,
		       const struct daemon_pins *pins, struct control_client_error *error)
{
	if (!pins->is_found)
		snprintf(error->text, sizeof(error->text),
			 "the daemon at %s works without the kernel's programs", socket);
	else if (strcmp(pins->path, install->dir.path) != 0)
		snprintf(error->text, sizeof(error->text),
			 "the daemon at %s works with %s: give --control", socket, pins->path);
	else
		return 0;
	return -ENOENT;
}

static int find_daemon(const char *socket, const struct install *install,
		       struct control_client_error *error)
{
	struct daemon_pins pins = {0};
	json_t *none = json_object();
	int r =
	    control_client_ask(socket, "show.offload", none, ANSWER_MS, take_offload, &pins, error);

	json_decref(none);
	return r < 0 ? r : not_its_own(socket, install, &pins, error);
}

/* Return: 0: it demotes, and promotes nothing; or -errno, with why not. */
static int begin_pause(const struct command_line *line, const struct install *install,
		       int *ret_pause, struct control_client_error *error)
{
	char buf[CONTROL_PATH_MAX + 1];
	const char *socket = control_socket(line, buf);
	json_t *none;
	int r;

	if (!socket) {
		snprintf(error->text, sizeof(error->text), "no control socket is known");
		return -ENOENT;
	}
	r = find_daemon(socket, install, error);
	if (r < 0)
		return r;
	none = json_object();
	r = control_client_begin(socket, "splice.pause", none, ANSWER_MS, ret_pause, error);
	json_decref(none);
	return r;
}

/* ---- settling ------------------------------------------------------------------------------ */

/* Until the time is over. @pause: of a daemon that goes away, nothing comes back. Return: 0, with
 * how many are left; -ECONNRESET: the daemon has gone; or another -errno: nobody knows */
static int wait_until_unused(const struct command_line *line, const struct install *install,
			     struct in_use_over over, int pause, uint64_t *n)
{
	uint64_t end_ns = clock_monotonic_ns() + line->timeout_ms * NS_PER_MS;
	struct pollfd daemon = {.fd = pause, .events = POLLIN};
	bool is_alone = false;
	int r;

	while ((r = in_use_count(install, over, n)) == 0 && *n > 0 && !is_alone &&
	       clock_monotonic_ns() < end_ns)
		is_alone = poll(&daemon, 1, LOOK_MS) > 0;
	return r == 0 && *n > 0 && is_alone ? -ECONNRESET : r;
}

/* What goes on all the same, for which there is no option of replace. */
static const char *by_force(const struct command_line *line)
{
	return line->verb == VERB_REPLACE ? "unload --force" : "--force";
}

static int cannot_tell(const struct command_line *line, int r)
{
	return refuse("cannot tell whether connections are spliced (%s); %s goes on all the same",
		      strerror(-r), by_force(line));
}

static int daemon_gone(const struct command_line *line, uint64_t n)
{
	return refuse("%llu connections are spliced still, and the daemon that was to take them "
		      "back has gone: start it and try again, or %s has them reset",
		      (unsigned long long)n, by_force(line));
}

static int still_spliced(const struct command_line *line, uint64_t n, uint64_t before)
{
	return refuse("%llu of %llu connections are spliced after %llu ms still: give them more "
		      "--timeout, or %s has them reset",
		      (unsigned long long)n, (unsigned long long)before,
		      (unsigned long long)line->timeout_ms, by_force(line));
}

/* @n: how many there are, and then, how many are left. Return: -1 to go on, else an exit status */
static int demote(const struct command_line *line, const struct install *install,
		  struct in_use_over over, int pause, uint64_t *n)
{
	uint64_t before = *n;
	int r = wait_until_unused(line, install, over, pause, n);

	if (r == -ECONNRESET && !line->has_force)
		return daemon_gone(line, *n);
	if (r < 0 && !line->has_force)
		return cannot_tell(line, r);
	if (*n > 0 && !line->has_force)
		return still_spliced(line, *n, before);
	if (before > *n)
		say("the daemon has taken %llu connections back",
		    (unsigned long long)(before - *n));
	return -1;
}

static int try_to_demote(const struct command_line *line, const struct install *install,
			 struct in_use_over over, uint64_t *n, int *ret_pause)
{
	_cleanup_close_ int pause = -1;
	struct control_client_error error;
	int status;

	if (begin_pause(line, install, &pause, &error) < 0) {
		/* Without a daemon nothing becomes spliced meanwhile, either. */
		if (*n == 0 || line->has_force)
			return -1;
		return refuse("%llu connections are spliced, and cannot be demoted: %s",
			      (unsigned long long)*n, error.text);
	}
	status = demote(line, install, over, pause, n);
	if (status < 0)
		*ret_pause = TAKE_FD(pause);
	return status;
}

int in_use_settle(const struct command_line *line, const struct install *install,
		  struct in_use_over over, int *ret_pause)
{
	uint64_t n = 0;
	int r = in_use_count(install, over, &n), status;

	if (r < 0)
		return line->has_force ? -1 : cannot_tell(line, r);
	if (line->has_demote && (status = try_to_demote(line, install, over, &n, ret_pause)) >= 0)
		return status;
	if (n == 0)
		return -1;
	if (!line->has_force)
		return refuse("%llu connections are spliced: --demote has the daemon take them "
			      "back first; --force has each end reset as soon as it sends",
			      (unsigned long long)n);
	say("%llu connections are spliced: each of their ends is reset as soon as it sends",
	    (unsigned long long)n);
	return -1;
}
