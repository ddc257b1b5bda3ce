/* SPDX-License-Identifier: Apache-2.0 */
/* What every file needs: fixed-width types, errno, ownership attributes and a few macros. */
#pragma once
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE    64 /* bytes; x86-64 and most arm64 */

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* These evaluate an argument twice. */
#define MIN(a, b)              ((a) < (b) ? (a) : (b))
#define MAX(a, b)              ((a) > (b) ? (a) : (b))
#define likely(x)              __builtin_expect(!!(x), 1)
#define unlikely(x)            __builtin_expect(!!(x), 0)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * Ownership inside one function: an owning local carries _cleanup_(f), starts as NULL or -1,
 * and leaves through TAKE_PTR()/TAKE_FD(). f gets the address of the variable.
 */
#define _cleanup_(f)    __attribute__((cleanup(f)))
#define _cleanup_free_  _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)

#define TAKE_PTR(p)                     \
	({                              \
		__typeof__(p) _p = (p); \
		(p) = NULL;             \
		_p;                     \
	})
#define TAKE_FD(fd)             \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})

/* Defines cleanup_NAME() for _cleanup_() from a free function that accepts NULL. */
#define DEFINE_CLEANUP(type, free_fn)                  \
	static inline void cleanup_##free_fn(type **p) \
	{                                              \
		free_fn(*p);                           \
	}

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0) {
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}

/* A run of bytes that somebody else owns; not NUL-terminated. */
struct slice {
	const char *ptr;
	size_t len;
};

#define SLICE_LITERAL(s) ((struct slice){(s), sizeof(s) - 1})
/* For printf's "%.*s". */
#define SLICE_ARG(s) (int)(s).len, (s).ptr

static inline struct slice slice_from_str(const char *s)
{
	return (struct slice){s, strlen(s)};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline char ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII only, independent of the locale: what HTTP's case-insensitive tokens need. */
static inline bool slice_equal_nocase(struct slice a, struct slice b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
			return false;
	}
	return true;
}
