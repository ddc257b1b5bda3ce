/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log: one JSON object a line for each connection, at its end. Each worker collects
 * lines and writes them once in a loop turn; a line is never cut or mixed with another worker's.
 * A reader that does not keep up (a pipe) costs lines, which are counted, and never blocks traffic.
 *
 * Keys, always all of them, null where they do not apply: time (RFC 3339, UTC, of the end), conn,
 * listener, source, route, rule, class, cluster, endpoint, path, promotions, tls, subject, tenant,
 * status (HTTP), close_code, reason (errors.h), duration_ms, handshake_ms, bytes_in, bytes_out
 * (WebSocket stream, from and to the client), frames_in, frames_out, frames_exact, rtt_us.
 */
#pragma once
#include "base/std.h"
#include "core/stats.h"

struct connection;
struct access_log;      /* one worker's share */
struct access_log_file; /* where it goes, shared by all workers; referenced by any thread */

/**
 * access_log_file_open() - @target: "-" for standard output, a file to append to, or NULL = off
 *
 * Return: 0 with one reference, or -errno.
 */
int access_log_file_open(const char *target, struct access_log_file **ret_file);
/** access_log_file_new() - @fd: taken over; -1 = off. Return: 0 with one reference, or -ENOMEM */
int access_log_file_new(int fd, struct access_log_file **ret_file);
struct access_log_file *access_log_file_ref(struct access_log_file *file);
/** access_log_file_unref() - closes with the last reference. NULL is fine */
void access_log_file_unref(struct access_log_file *file);
DEFINE_CLEANUP(struct access_log_file, access_log_file_unref)

/** access_log_new() - off; @dropped counts lost lines. Return: 0 or -ENOMEM */
int access_log_new(stat_t *dropped, struct access_log **ret_log);
/** access_log_set_file() - write to @file from now on, whose reference is taken over */
void access_log_set_file(struct access_log *log, struct access_log_file *file);
void access_log_free(struct access_log *log);

/** access_log_write() - the line of a connection that ends; its sockets are still open */
void access_log_write(struct access_log *log, const struct connection *c);
/** access_log_flush() - hand what was collected to the kernel. Return: whether nothing is left,
 *  which a reader that does not keep up prevents: try again a little later */
bool access_log_flush(struct access_log *log);
