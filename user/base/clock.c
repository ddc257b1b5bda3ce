/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#define S_PER_DAY 86400

static uint64_t read_ns(clockid_t id)
{
	struct timespec now;

	/* Cannot fail for these clocks, nor for an address of ours. */
	(void)clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

struct date {
	unsigned int year, month, day;
};

/*
 * Not gmtime_r(3), which takes the C library's time zone lock and may read files. Years are
 * counted from March, so that the leap day is the last one of a year; an era is the 400 years
 * after which the calendar repeats.
 */
static struct date date_of_day(uint64_t days_since_1970)
{
	enum {
		DAYS_0000_03_01_TO_1970 = 719468,
		DAYS_PER_ERA = 146097
	};
	uint64_t day = days_since_1970 + DAYS_0000_03_01_TO_1970;
	unsigned int day_of_era = (unsigned int)(day % DAYS_PER_ERA);
	/* Take the leap days out: one every 4 years, less one every 100, more one at the end. */
	unsigned int year_of_era =
	    (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned int day_of_year =
	    day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	/* Five months from March or August have 153 days. */
	unsigned int month_from_march = (5 * day_of_year + 2) / 153;
	unsigned int year = (unsigned int)(day / DAYS_PER_ERA) * 400 + year_of_era;

	return (struct date){
	    .year = month_from_march < 10 ? year : year + 1,
	    .month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9,
	    .day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
	};
}

void clock_format_rfc3339(uint64_t realtime_ns, char ret_text[CLOCK_RFC3339_LEN + 1])
{
	uint64_t seconds = realtime_ns / NS_PER_S;
	unsigned int us = (unsigned int)(realtime_ns % NS_PER_S / NS_PER_US);
	unsigned int second_of_day = (unsigned int)(seconds % S_PER_DAY);
	struct date date = date_of_day(seconds / S_PER_DAY);

	/* 2^64 ns end in 2554: four digits. The moduli tell the compiler that the others fit. */
	(void)snprintf(ret_text, CLOCK_RFC3339_LEN + 1, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		       date.year % 10000, date.month % 100, date.day % 100,
		       second_of_day / 3600 % 100, second_of_day / 60 % 60, second_of_day % 60,
		       us % 1000000);
}
