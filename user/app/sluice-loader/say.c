/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluice-loader/say.h"

#include <bpf/libbpf.h>
#include <stdarg.h>
#include <stdio.h>

/* The end of a verifier log is what tells why; the beginning may go. */
#define KEPT_MAX 8192

static bool is_verbose_mode;
static char kept[KEPT_MAX];
static size_t kept_len;

static void say_va(const char *fmt, va_list args)
{
	fputs("sluice-loader: ", stderr);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_va(fmt, args);
	va_end(args);
}

int refuse(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_va(fmt, args);
	va_end(args);
	return EXIT_REFUSED;
}

int usage_error(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_va(fmt, args);
	va_end(args);
	fputs("sluice-loader: see sluice-loader --help\n", stderr);
	return EXIT_USAGE_ERROR;
}

static void keep(const char *text, size_t len)
{
	if (len > KEPT_MAX) {
		text += len - KEPT_MAX;
		len = KEPT_MAX;
	}
	if (kept_len + len > KEPT_MAX) {
		size_t n_dropped = kept_len + len - KEPT_MAX;

		memmove(kept, kept + n_dropped, kept_len - n_dropped);
		kept_len -= n_dropped;
	}
	memcpy(kept + kept_len, text, len);
	kept_len += len;
}

static int on_library_message(enum libbpf_print_level level, const char *fmt, va_list args)
{
	_cleanup_free_ char *text = NULL;
	int len;

	if (is_verbose_mode)
		return vfprintf(stderr, fmt, args);
	if (level == LIBBPF_DEBUG)
		return 0;
	len = vasprintf(&text, fmt, args);
	if (len < 0) {
		text = NULL; /* undefined after a failure */
		return 0;
	}
	keep(text, (size_t)len);
	return len;
}

void say_library_messages(bool is_verbose)
{
	is_verbose_mode = is_verbose;
	libbpf_set_print(on_library_message);
}

void say_kept_messages(void)
{
	fwrite(kept, 1, kept_len, stderr);
	if (kept_len > 0 && kept[kept_len - 1] != '\n')
		fputc('\n', stderr);
	kept_len = 0;
}
