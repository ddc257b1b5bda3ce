/* SPDX-License-Identifier: Apache-2.0 */
#include "schedule.h"

#include "base/clock.h"

uint64_t schedule_time_ns(uint64_t start_ns, uint64_t index, uint64_t rate_per_s)
{
	unsigned __int128 at = (unsigned __int128)index * NS_PER_S;

	at = start_ns + (at + rate_per_s - 1) / rate_per_s;
	return at > UINT64_MAX ? UINT64_MAX : (uint64_t)at;
}

uint64_t schedule_due(uint64_t start_ns, uint64_t now_ns, uint64_t rate_per_s)
{
	unsigned __int128 elapsed;

	if (now_ns < start_ns)
		return 0;
	elapsed = now_ns - start_ns;
	return (uint64_t)(elapsed * rate_per_s / NS_PER_S) + 1;
}
