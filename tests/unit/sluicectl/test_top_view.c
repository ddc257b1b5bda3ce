/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/top_view.h"

#include "app/sluicectl/top_figures.h"

#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* ---- workers ------------------------------------------------------------------------------- */

#define NO_TURNS "0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0"

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

/* Two workers after a second: one half busy, with 100 turns of 16 us; one a quarter, with 98 of
 * those and 2 of 32 ms. */
static json_t *before(void)
{
	return parse(
	    "{\"uptime_ms\": 1000, \"clock_us\": 5000000, \"workers\": ["
	    "{\"worker\": 0, \"busy_us\": 100, \"queued\": 7, \"turns_by_lag\": [50," NO_TURNS
	    "]}, {\"worker\": 1, \"busy_us\": 0, \"queued\": 0, \"turns_by_lag\": [" NO_TURNS
	    "]}]}");
}

static json_t *now(void)
{
	return parse(
	    "{\"uptime_ms\": 2000, \"clock_us\": 6000000, \"workers\": ["
	    "{\"worker\": 0, \"busy_us\": 500100, \"queued\": 1, \"turns_by_lag\": [150," NO_TURNS
	    "]}, {\"worker\": 1, \"busy_us\": 250000, \"queued\": 2, \"turns_by_lag\": "
	    "[98,0,0,0,0,0,0,0,0,0,0,2,0,0,0,0,0,0]}]}");
}

static void compare__tells_what_was_between(void **state)
{
	json_t *then = before(), *later = now();
	struct top_workers workers;

	top_workers_compare(then, later, &workers);
	assert_int_equal(workers.n, 2);
	assert_true(workers.is_known);
	assert_true(workers.busy == 0.375);
	assert_true(workers.busy_most == 0.5);
	assert_int_equal(workers.busiest, 0);
	assert_int_equal(workers.lag_p99_us, (16384 << 11) / 1000);
	assert_int_equal(workers.laggiest, 1);
	assert_int_equal(workers.n_queued, 3);
	json_decref(then);
	json_decref(later);
}

static void compare__knows_nothing_from_one_answer(void **state)
{
	json_t *later = now();
	struct top_workers workers;

	top_workers_compare(NULL, later, &workers);
	assert_int_equal(workers.n, 2);
	assert_false(workers.is_known);
	assert_int_equal(workers.n_queued, 3);
	json_decref(later);
}

static void compare__sees_that_the_daemon_is_another(void **state)
{
	json_t *then = now(), *later = before();
	struct top_workers workers;

	top_workers_compare(then, later, &workers); /* it is up for less long */
	assert_false(workers.is_known);
	json_decref(then);
	json_decref(later);
}

/* ---- views --------------------------------------------------------------------------------- */

static void step__goes_around_what_the_view_has(void **state)
{
	for (enum top_by by = 0; by < TOP_BY_COUNT; by++) {
		struct top_view view = {.by = by, .order = {.key = CONNECTION_BY_RATE}};
		unsigned int seen = 0, n = 0;

		do {
			assert_true(top_view_takes(by, view.order.key));
			assert_false(seen & 1u << view.order.key);
			seen |= 1u << view.order.key;
			top_view_step(&view, 1);
			n++;
		} while (view.order.key != CONNECTION_BY_RATE);
		for (enum connection_key key = 0; key < CONNECTION_KEYS; key++)
			assert_int_equal(!!(seen & 1u << key), top_view_takes(by, key));
		for (unsigned int i = 0; i < n; i++)
			top_view_step(&view, -1);
		assert_int_equal(view.order.key, CONNECTION_BY_RATE);
	}
}

static void set__keeps_an_order_that_the_view_has(void **state)
{
	struct top_view view = {.order = {.key = CONNECTION_BY_BYTES, .is_rising = true}};

	top_view_set(&view, TOP_ROUTES);
	assert_int_equal(view.order.key, CONNECTION_BY_BYTES);
	assert_true(view.order.is_rising);
	top_view_set(&view, TOP_CONNECTIONS);
	view.order.key = CONNECTION_BY_IDLE;
	top_view_set(&view, TOP_ENDPOINTS);
	assert_int_equal(view.order.key, CONNECTION_BY_RATE);
	assert_false(view.order.is_rising);
}

static void args__are_those_of_the_command(void **state)
{
	struct top_view view = {.by = TOP_ROUTES,
				.order = {.key = CONNECTION_BY_FRAMES, .is_rising = true}};
	json_t *filters = json_pack("{s:s}", "path", "relay");
	json_t *args = top_view_args(&view, filters, 20);
	json_t *wanted = json_pack("{s:s, s:s, s:s, s:i}", "path", "relay", "by", "route", "sort",
				   "-frames", "limit", 20);

	assert_true(json_equal(args, wanted));
	assert_int_equal(json_object_size(filters), 1);
	json_decref(wanted);
	json_decref(args);
	json_decref(filters);
}

/* ---- text ---------------------------------------------------------------------------------- */

static const char routes[] =
    "{\"version\": \"1.2.3\", \"state\": \"running\", \"uptime_ms\": 11000, \"clock_us\": 9000000,"
    "\"handshakes\": 4, \"paths\": {\"relay\": 1, \"splice\": 3}, \"by\": \"route\","
    "\"workers\": [{\"worker\": 0, \"busy_us\": 0, \"queued\": 0, \"turns_by_lag\": [" NO_TURNS
    "]}],"
    "\"total\": {\"name\": \"\", \"connections\": 4, \"paths\": {\"relay\": 1, \"splice\": 3},"
    " \"bytes_in_per_s\": 2048, \"bytes_out_per_s\": 1024, \"frames_in_per_s\": 30,"
    " \"frames_out_per_s\": 15},"
    "\"rows\": [{\"name\": \"game\", \"connections\": 3, \"paths\": {\"splice\": 3}, \"bytes_in\": 4096,"
    " \"bytes_out\": 1, \"frames_in\": 12, \"frames_out\": 13, \"frames_exact\": false,"
    " \"bytes_in_per_s\": 2048, \"bytes_out_per_s\": 1024, \"frames_in_per_s\": 30,"
    " \"frames_out_per_s\": 15},"
    "{\"name\": \"\", \"connections\": 1, \"paths\": {\"relay\": 1}, \"bytes_in\": 0, \"bytes_out\": 0,"
    " \"frames_in\": 0, \"frames_out\": 0, \"frames_exact\": true, \"bytes_in_per_s\": null,"
    " \"bytes_out_per_s\": null, \"frames_in_per_s\": null, \"frames_out_per_s\": null}]}";

static char *written(const char *json, int width)
{
	struct top_view view = {.by = TOP_ROUTES, .order = {.key = CONNECTION_BY_RATE}};
	json_t *data = parse(json);
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	top_view_write(out, &view, NULL, data, width, "12:34:56");
	fclose(out);
	json_decref(data);
	return text;
}

static void write__all_of_it(void **state)
{
	char *text = written(routes, 0);

	assert_string_equal(
	    text,
	    "sluiced 1.2.3, running, up 11s, 4 in handshake  12:34:56\n"
	    "paths     relay 1 (25.0%), splice 3 (75.0%)   in the kernel [###############.....] 75%\n"
	    "traffic   in 2.0k/s, 30 messages/s; out 1.0k/s, 15 messages/s\n"
	    "workers   1, 0 queued\n"
	    "2 routes of 4 connections, by rate\n"
	    "ROUTE  CONNECTIONS  relay  splice  MSG IN/S  MSG OUT/S  IN/S  OUT/S    IN  OUT  FRAMES IN  "
	    "FRAMES OUT\n"
	    "game             3      -       3       30+        15+  2.0k   1.0k  4.0k    1        12+  "
	    "       13+\n"
	    "-                1      1       -         -          -     -      -     0    0          0  "
	    "         0\n");
	free(text);
}

/* No line is wider than the terminal, in characters, and none is lost. */
static void write__fits_every_width(void **state)
{
	static const char *const locales[] = {"C", "C.UTF-8"};

	for (size_t l = 0; l < ARRAY_SIZE(locales); l++) {
		assert_non_null(setlocale(LC_CTYPE, locales[l]));
		for (int width = 40; width < 130; width++) {
			char *text = written(routes, width);
			size_t n_lines = 0;
			int places = 0;

			for (const char *at = text; *at; at++) {
				assert_true(locales[l][1] || !(*at & 0x80));
				places += *at != '\n' && (*at & 0xc0) != 0x80;
				assert_true(places <= width);
				if (*at != '\n')
					continue;
				n_lines++;
				places = 0;
			}
			assert_int_equal(n_lines, TOP_HEAD_LINES + 3);
			free(text);
		}
	}
	assert_non_null(setlocale(LC_CTYPE, "C"));
}

/* An answer of another version, or of nobody, is shown as far as it goes. */
static void write__takes_what_is_missing(void **state)
{
	free(written("{\"version\": \"1\", \"state\": \"draining\"}", 80));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(compare__tells_what_was_between),
	    cmocka_unit_test(compare__knows_nothing_from_one_answer),
	    cmocka_unit_test(compare__sees_that_the_daemon_is_another),
	    cmocka_unit_test(step__goes_around_what_the_view_has),
	    cmocka_unit_test(set__keeps_an_order_that_the_view_has),
	    cmocka_unit_test(args__are_those_of_the_command),
	    cmocka_unit_test(write__all_of_it),
	    cmocka_unit_test(write__fits_every_width),
	    cmocka_unit_test(write__takes_what_is_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
