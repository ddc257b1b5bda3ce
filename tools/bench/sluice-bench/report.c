/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

static double per_second(uint64_t n, uint64_t duration_ns)
{
	return duration_ns ? (double)n * 1e9 / (double)duration_ns : 0;
}

static double seconds(uint64_t ns)
{
	return (double)ns / 1e9;
}

static const struct {
	const char *key, *label;
	double q;
} quantiles[] = {
    {"p50", "p50", 0.5},
    {"p90", "p90", 0.9},
    {"p99", "p99", 0.99},
    {"p99_9", "p99.9", 0.999},
};

/* ---- for people ----------------------------------------------------------------------------- */

/* Three significant digits at least, in the unit that suits. */
static void format_time(uint64_t ns, char *ret_text, size_t cap)
{
	if (ns < 10 * NS_PER_MS)
		snprintf(ret_text, cap, "%.1fus", (double)ns / 1e3);
	else if (ns < 10 * NS_PER_S)
		snprintf(ret_text, cap, "%.1fms", (double)ns / 1e6);
	else
		snprintf(ret_text, cap, "%.1fs", (double)ns / 1e9);
}

static void print_histogram(const char *label, const struct histogram *h)
{
	char text[32];

	if (h->count == 0)
		return;
	printf("%-12s", label);
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++) {
		format_time(histogram_quantile(h, quantiles[i].q), text, sizeof(text));
		printf("%s %-10s", quantiles[i].label, text);
	}
	format_time(h->max, text, sizeof(text));
	printf("max %s\n", text);
}

static void print_errors(const struct bench_stats *s)
{
	const char *separator = "";

	printf("%-12s", "errors");
	for (enum bench_error e = 0; e < BENCH_ERROR_COUNT; e++) {
		if (s->errors[e] == 0)
			continue;
		printf("%s%s %" PRIu64, separator, bench_error_name(e), s->errors[e]);
		separator = ", ";
	}
	puts(*separator ? "" : "none");
}

void report_print_table(const struct report *r)
{
	const struct client_options *o = r->options;
	const struct bench_stats *s = r->stats;

	printf("%-12s%s, %s, %u connection%s, %u thread%s%s\n", "target", r->options->target_text,
	       client_mode_name(o->mode), o->connections, o->connections == 1 ? "" : "s",
	       o->threads, o->threads == 1 ? "" : "s", r->is_interrupted ? ", interrupted" : "");
	printf("%-12s%" PRIu64 " opened, %" PRIu64 " failed", "connections", s->opened, s->failed);
	if (o->expect_status)
		printf(", %" PRIu64 " refused with %u as expected", s->refused, o->expect_status);
	putchar('\n');
	if (o->mode == CLIENT_HANDSHAKE)
		printf("%-12s%" PRIu64 ", %.0f/s in %.2f s\n", "handshakes", s->handshakes,
		       per_second(s->handshakes, r->duration_ns), seconds(r->duration_ns));
	else if (o->mode != CLIENT_IDLE)
		printf("%-12s%" PRIu64 ", %.0f/s, %.1f MB/s in %.2f s\n", "messages", s->messages,
		       per_second(s->messages, r->duration_ns),
		       per_second(s->bytes, r->duration_ns) / 1e6, seconds(r->duration_ns));
	if (s->unsent)
		printf("%-12s%" PRIu64 " messages were due and not sent: the target does not reach "
		       "this rate\n",
		       "behind", s->unsent);
	if (s->unchecked)
		printf("%-12s%" PRIu64 " messages were not answered yet\n", "interrupted",
		       s->unchecked);
	if (o->ping_ns)
		printf("%-12s%" PRIu64 "\n", "pongs", s->pongs);
	print_histogram("latency", &s->latency);
	print_histogram("handshake", &s->handshake);
	print_errors(s);
	printf("%-12s%.2f s own\n", "cpu", seconds(s->cpu_ns));
	if (!o->verify && client_mode_is_echo(o->mode))
		printf("%-12snumber, order, length and opcode (--verify compares contents)\n",
		       "checked");
}

/* ---- for programs --------------------------------------------------------------------------- */

static json_t *histogram_json(const struct histogram *h)
{
	json_t *o = json_object();

	json_object_set_new(o, "count", json_integer((json_int_t)h->count));
	if (h->count == 0)
		return o;
	json_object_set_new(o, "min", json_real((double)h->min / 1e3));
	json_object_set_new(o, "mean", json_real((double)h->sum / (double)h->count / 1e3));
	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		json_object_set_new(o, quantiles[i].key,
				    json_real((double)histogram_quantile(h, quantiles[i].q) / 1e3));
	json_object_set_new(o, "max", json_real((double)h->max / 1e3));
	return o;
}

static json_t *errors_json(const struct bench_stats *s)
{
	json_t *o = json_object();

	for (enum bench_error e = 0; e < BENCH_ERROR_COUNT; e++)
		json_object_set_new(o, bench_error_name(e), json_integer((json_int_t)s->errors[e]));
	return o;
}

static json_t *close_codes_json(const struct bench_stats *s)
{
	json_t *o = json_object();

	for (unsigned int code = 0; code < BENCH_CLOSE_CODES; code++) {
		char key[8];

		if (s->close_codes[code] == 0)
			continue;
		snprintf(key, sizeof(key), "%u", code);
		json_object_set_new(o, key, json_integer(s->close_codes[code]));
	}
	return o;
}

static void set_counters(json_t *o, const struct report *r)
{
	const struct bench_stats *s = r->stats;
	const struct {
		const char *key;
		uint64_t value;
	} counters[] = {
	    {"connections", r->options->connections},
	    {"threads", r->options->threads},
	    {"seed", r->options->seed},
	    {"opened", s->opened},
	    {"failed", s->failed},
	    {"refused", s->refused},
	    {"messages", s->messages},
	    {"messages_total", s->messages_total},
	    {"bytes", s->bytes},
	    {"stream_sent", s->stream_sent},
	    {"stream_received", s->stream_received},
	    {"handshakes", s->handshakes},
	    {"pongs", s->pongs},
	    {"unsent", s->unsent},
	    {"unchecked", s->unchecked},
	    {"errors_total", bench_stats_errors(s)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		json_object_set_new(o, counters[i].key,
				    json_integer((json_int_t)counters[i].value));
}

int report_print_json(const struct report *r)
{
	const struct bench_stats *s = r->stats;
	json_t *o = json_object();
	int status;

	json_object_set_new(o, "target", json_string(r->options->target_text));
	json_object_set_new(o, "mode", json_string(client_mode_name(r->options->mode)));
	set_counters(o, r);
	json_object_set_new(o, "msgs_per_s", json_real(per_second(s->messages, r->duration_ns)));
	json_object_set_new(o, "mbytes_per_s",
			    json_real(per_second(s->bytes, r->duration_ns) / 1e6));
	json_object_set_new(o, "handshakes_per_s",
			    json_real(r->options->mode == CLIENT_HANDSHAKE
					  ? per_second(s->handshakes, r->duration_ns)
					  : 0));
	json_object_set_new(o, "latency_us", histogram_json(&s->latency));
	json_object_set_new(o, "handshake_us", histogram_json(&s->handshake));
	json_object_set_new(o, "errors", errors_json(s));
	json_object_set_new(o, "close_codes", close_codes_json(s));
	json_object_set_new(o, "duration_s", json_real(seconds(r->duration_ns)));
	json_object_set_new(o, "cpu_s", json_real(seconds(s->cpu_ns)));
	json_object_set_new(o, "system_cpu_s", json_real(seconds(s->system_cpu_ns)));
	json_object_set_new(o, "interrupted", json_boolean(r->is_interrupted));
	status = json_dumpf(o, stdout, JSON_COMPACT | JSON_REAL_PRECISION(10));
	json_decref(o);
	putchar('\n');
	return status < 0 ? -ENOMEM : 0;
}
