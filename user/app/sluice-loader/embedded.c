/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/embedded.h"

#include "sluice/abi.h"
#include "sluice/conn.h"
#include "sluice/event.h"
#include "sluice/flow.h"

#include <bpf/bpf.h>
#include <splice_ctl.skel.h>
#include <splice_tc.skel.h>
#include <splice_xdp.skel.h>

const struct embedded embedded[] = {
    {"splice_tc", splice_tc__elf_bytes},
    {"splice_ctl", splice_ctl__elf_bytes},
    {"splice_xdp", splice_xdp__elf_bytes},
};
const size_t n_embedded = ARRAY_SIZE(embedded);
_Static_assert(ARRAY_SIZE(embedded) <= EMBEDDED_MAX, "room in struct objects");

/* ---- maps ---------------------------------------------------------------------------------- */

static bool is_one_of(const char *map, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(map, names[i]) == 0)
			return true;
	}
	return false;
}

bool embedded_is_flows(const char *map)
{
	static const char *const names[] = {SL_MAP_FLOWS4, SL_MAP_FLOWS6};

	return is_one_of(map, names, ARRAY_SIZE(names));
}

bool embedded_is_state(const char *map)
{
	static const char *const names[] = {SL_MAP_CONNS, SL_MAP_IDS, SL_MAP_NAMES};

	return embedded_is_flows(map) || is_one_of(map, names, ARRAY_SIZE(names));
}

uint32_t embedded_map_entries(const char *map, const struct map_sizes *sizes)
{
	if (embedded_is_flows(map))
		return 2 * sizes->n_flows; /* one for each direction */
	if (strcmp(map, SL_MAP_CONNS) == 0)
		return sizes->n_flows;
	return strcmp(map, SL_MAP_EVENTS) == 0 ? sizes->events_bytes : 0;
}

bool embedded_is_spliced(const void *flow)
{
	const struct sl_flow *f = flow;

	return f->state == SL_ACTIVE ||
	       (SL_STATE(f->state) == SL_HOLD && SL_BEFORE(f->state) == SL_ACTIVE);
}

uint32_t embedded_flow_oif(const void *flow)
{
	return ((const struct sl_flow *)flow)->oif;
}

uint64_t embedded_flow_conn(const void *flow)
{
	return ((const struct sl_flow *)flow)->conn_id;
}

/* ---- first values -------------------------------------------------------------------------- */

int embedded_write_abi(int map_fd)
{
	static const struct sl_abi ours = {
	    .version = SL_ABI_VERSION,
	    .flow_size = sizeof(struct sl_flow),
	    .conn_size = sizeof(struct sl_conn),
	    .event_size = sizeof(struct sl_event),
	};
	const uint32_t first = 0;

	return bpf_map_update_elem(map_fd, &first, &ours, BPF_ANY) < 0 ? -errno : 0;
}

int embedded_read_abi(int map_fd, uint32_t *ret_version)
{
	const uint32_t first = 0;
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	_cleanup_free_ struct sl_abi *abi = NULL;

	if (bpf_map_get_info_by_fd(map_fd, &info, &size) < 0)
		return -errno;
	/* Another version may have more behind it, but begins with its number. */
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < sizeof(abi->version))
		return -EBADMSG;
	abi = calloc(1, MAX(info.value_size, sizeof(*abi)));
	if (!abi)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map_fd, &first, abi) < 0)
		return -errno;
	*ret_version = abi->version;
	return 0;
}

int embedded_write_ids(int map_fd)
{
	static const struct sl_ids none = {.next_conn_id = 1, .next_name_id = 1};
	const uint32_t first = 0;

	return bpf_map_update_elem(map_fd, &first, &none, BPF_ANY) < 0 ? -errno : 0;
}
