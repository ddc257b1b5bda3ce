/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"
#include "base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

uint64_t process_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024; /* POSIX shells' usual one; too low fails later, and says so */
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

static sigset_t stop_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	return set;
}

int process_stop_fd(void)
{
	sigset_t set = stop_signals();
	int fd;

	pthread_sigmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

bool process_take_signal(int stop_fd)
{
	struct signalfd_siginfo info;

	return read(stop_fd, &info, sizeof(info)) > 0;
}

void process_restore_signals(int stop_fd)
{
	sigset_t set = stop_signals();

	/* What is still pending would be delivered at once. */
	while (process_take_signal(stop_fd))
		;
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* The fields of /proc/stat's first line, in ticks. */
enum {
	STAT_IDLE = 3,
	STAT_IOWAIT = 4,
	STAT_STEAL = 7,
	STAT_FIELDS = 8,
};

static bool read_stat(uint64_t ret_ticks[STAT_FIELDS])
{
	FILE *f = fopen("/proc/stat", "re");
	char line[512] = "", *next = line + strlen("cpu");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f) || strncmp(line, "cpu ", strlen("cpu ")) != 0)
		line[0] = '\0';
	fclose(f);
	if (line[0] == '\0')
		return false;
	for (int i = 0; i < STAT_FIELDS; i++) {
		char *end;

		ret_ticks[i] = strtoull(next, &end, 10);
		if (end == next)
			return false;
		next = end;
	}
	return true;
}

uint64_t process_system_busy_ns(void)
{
	uint64_t tick_ns = NS_PER_S / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t wall_ns = clock_monotonic_ns() * (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t ticks[STAT_FIELDS];

	if (!read_stat(ticks))
		return 0;
	return wall_ns - (ticks[STAT_IDLE] + ticks[STAT_IOWAIT] + ticks[STAT_STEAL]) * tick_ns;
}
