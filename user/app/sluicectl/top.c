/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/top.h"

#include "app/sluicectl/client.h"
#include "app/sluicectl/top_screen.h"
#include "app/table.h"
#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#define DELAY_MS       2000
#define ONCE_DELAY_MS  1000
#define FIRST_DELAY_MS 600
#define ONCE_ROWS      50
#define WAIT_MS        2000 /* for an answer, before it is said that there is none */
#define READ_BYTES     65536
#define BOTTOM_LINES   2 /* the titles of the table are above it, the keys below */

static volatile sig_atomic_t is_interrupted;

static void on_signal(int signal)
{
	is_interrupted = 1;
}

/* Before curses sets its own, which leave the terminal as it is when a program ends by exit(). */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	const struct sigaction action = {.sa_handler = on_signal};

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int keep(const json_t *data, void *arg)
{
	json_t **kept = arg;

	json_decref(*kept);
	*kept = json_incref((json_t *)data);
	return 0;
}

/* ---- once ---------------------------------------------------------------------------------- */

static int ask(const struct top_options *options, json_t **data)
{
	size_t limit = options->limit ? options->limit : ONCE_ROWS;
	json_t *args = top_view_args(&options->view, options->filters, limit);
	int status = client_request(options->socket, "top", args, keep, data);

	json_decref(args);
	return status;
}

static int print_once(const struct top_options *options, const json_t *before, const json_t *data)
{
	if (options->is_json) {
		json_dumpf(data, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		top_view_write(stdout, &options->view, before, data, table_terminal_width(), "");
	}
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_DONE;
	fprintf(stderr, "sluicectl: cannot write the answer: %s\n", strerror(errno));
	return EXIT_REFUSED;
}

/* Rates are known from the second look on. */
static int run_once(const struct top_options *options)
{
	uint64_t delay_ms = options->delay_ms ? options->delay_ms : ONCE_DELAY_MS;
	const struct timespec delay = {.tv_sec = (time_t)(delay_ms / 1000),
				       .tv_nsec = (long)(delay_ms % 1000 * NS_PER_MS)};
	json_t *before = NULL, *data = NULL;
	int status = ask(options, &before);

	if (status == EXIT_DONE) {
		nanosleep(&delay, NULL);
		status = ask(options, &data);
	}
	if (status == EXIT_DONE)
		status = print_once(options, before, data);
	json_decref(before);
	json_decref(data);
	return status;
}

/* ---- live ---------------------------------------------------------------------------------- */

struct top {
	const struct top_options *options;
	struct top_view view;
	uint64_t delay_ms;
	json_t *before, *data; /* the last two answers */
	enum top_by data_by;   /* what the last one is about */
	int fd;                /* of a request under way, or -1 */
	enum top_by asked_by;
	char *reply; /* what has come of the answer */
	size_t reply_len, reply_room;
	uint64_t asked_ns, next_ns; /* the last request; the next one */
	char trouble[600];          /* why there is nothing new, or "" */
	int status;                 /* to end with, or -1 */
	bool is_frozen;
};

static void end_request(struct top *t)
{
	if (t->fd >= 0)
		close(TAKE_FD(t->fd));
	t->reply_len = 0;
}

/* A daemon that was there once may come again: what it has spliced goes on meanwhile. */
static void fail(struct top *t, int error, const struct control_client_error *why)
{
	end_request(t);
	snprintf(t->trouble, sizeof(t->trouble), "%s", why->text);
	if (error == -EREMOTEIO)
		t->status = EXIT_REFUSED;
}

static size_t rows_wanted(const struct top *t)
{
	int width, height, room;

	top_screen_size(&width, &height);
	room = height - TOP_HEAD_LINES - BOTTOM_LINES;
	return t->options->limit ? t->options->limit
				 : (size_t)MIN(MAX(room, 1), CONNECTION_LIMIT_MAX);
}

static void begin_request(struct top *t)
{
	json_t *args = top_view_args(&t->view, t->options->filters, rows_wanted(t));
	struct control_client_error why;
	int error;

	end_request(t);
	t->asked_by = t->view.by;
	t->asked_ns = clock_monotonic_ns();
	t->next_ns = t->asked_ns + t->delay_ms * NS_PER_MS;
	error = control_client_send(t->options->socket, "top", args, &t->fd, &why);
	json_decref(args);
	if (error < 0)
		fail(t, error, &why);
}

static void take_reply(struct top *t)
{
	struct control_client_error why;
	json_t *data = NULL;
	bool has_more;
	int error;

	t->reply[t->reply_len - 1] = '\0';
	error = control_client_take(t->reply, keep, &data, &has_more, &why);
	if (error < 0) {
		fail(t, error, &why);
		return;
	}
	end_request(t);
	json_decref(t->before);
	t->before = t->data;
	t->data = data;
	t->data_by = t->asked_by;
	t->trouble[0] = '\0';
}

static void read_reply(struct top *t)
{
	struct control_client_error why = {.text = "the daemon closed the connection"};
	ssize_t n;

	if (t->reply_room - t->reply_len < READ_BYTES) {
		char *larger = realloc(t->reply, t->reply_room + READ_BYTES);

		if (!larger)
			abort(); /* out of memory */
		t->reply = larger;
		t->reply_room += READ_BYTES;
	}
	n = recv(t->fd, t->reply + t->reply_len, READ_BYTES, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		fail(t, -ECONNRESET, &why);
		return;
	}
	t->reply_len += (size_t)n;
	if (t->reply[t->reply_len - 1] == '\n')
		take_reply(t);
}

/* ---- on the screen ------------------------------------------------------------------------- */

/* What is most wanted first: a narrow terminal cuts the rest. */
static const char keys_help[] =
    "q quit  c connections  r routes  k classes  e endpoints  s S sort  "
    "R reverse  p pause  + - pace";

static void bottom_line(const struct top *t, char *ret_text, size_t size)
{
	uint64_t waiting_ms = (clock_monotonic_ns() - t->asked_ns) / NS_PER_MS;

	if (t->trouble[0])
		snprintf(ret_text, size, "trying again: %s", t->trouble);
	else if (t->fd >= 0 && waiting_ms >= WAIT_MS)
		snprintf(ret_text, size, "no answer from the daemon for %llu s",
			 (unsigned long long)waiting_ms / 1000);
	else if (t->is_frozen)
		snprintf(ret_text, size, "paused: p goes on, q quits");
	else
		snprintf(ret_text, size, "%.1f s | %s", (double)t->delay_ms / 1000, keys_help);
}

static void draw(const struct top *t)
{
	char bottom[700], time_text[16] = "";
	time_t now = time(NULL);
	struct tm parts;
	int width, height;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort(); /* out of memory */
	top_screen_size(&width, &height);
	if (localtime_r(&now, &parts))
		strftime(time_text, sizeof(time_text), "%H:%M:%S", &parts);
	/* An answer about another view comes soon. */
	if (t->data && t->data_by == t->view.by)
		top_view_write(out, &t->view, t->before, t->data, width, time_text);
	fclose(out);
	bottom_line(t, bottom, sizeof(bottom));
	top_screen_draw(text, 1, TOP_HEAD_LINES, bottom);
	free(text);
}

static void set_delay(struct top *t, uint64_t delay_ms)
{
	t->delay_ms = MIN(MAX(delay_ms, TOP_DELAY_MIN_MS), TOP_DELAY_MAX_MS);
}

/* Return: whether there is something else to ask for, at once. */
static bool on_character(struct top *t, int character)
{
	switch (character) {
	case 'q':
		t->status = EXIT_DONE;
		return false;
	case 'c':
		top_view_set(&t->view, TOP_CONNECTIONS);
		return true;
	case 'r':
		top_view_set(&t->view, TOP_ROUTES);
		return true;
	case 'k':
		top_view_set(&t->view, TOP_CLASSES);
		return true;
	case 'e':
		top_view_set(&t->view, TOP_ENDPOINTS);
		return true;
	case 's':
		top_view_step(&t->view, 1);
		return true;
	case 'S':
		top_view_step(&t->view, -1);
		return true;
	case 'R':
		t->view.order.is_rising = !t->view.order.is_rising;
		return true;
	case '+':
		set_delay(t, t->delay_ms / 2);
		return true;
	case '-':
		set_delay(t, t->delay_ms * 2);
		return true;
	case 'p':
		t->is_frozen = !t->is_frozen;
		return !t->is_frozen;
	case ' ':
		return true;
	default:
		return false;
	}
}

static void take_keys(struct top *t)
{
	bool is_due = false;

	for (struct top_key key; (key = top_screen_key()).kind != TOP_KEY_NONE;)
		is_due |=
		    key.kind == TOP_KEY_RESIZED ? !t->is_frozen : on_character(t, key.character);
	if (is_due && t->status < 0)
		begin_request(t);
}

/* A frozen screen is still asked for what a key wants. */
static int wait_ms(const struct top *t)
{
	uint64_t now_ns = clock_monotonic_ns();

	if (t->fd >= 0)
		return WAIT_MS;
	if (t->is_frozen)
		return -1;
	return t->next_ns > now_ns ? (int)((t->next_ns - now_ns) / NS_PER_MS) + 1 : 0;
}

static void turn(struct top *t)
{
	struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
			       {.fd = t->fd, .events = POLLIN}};
	int n = poll(fds, ARRAY_SIZE(fds), wait_ms(t));

	if (is_interrupted || (n > 0 && fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))) {
		t->status = EXIT_DONE;
		return;
	}
	/* Also when a signal came: it may be that of another size. */
	take_keys(t);
	if (t->status >= 0)
		return;
	if (n > 0 && fds[1].revents && fds[1].fd == t->fd)
		read_reply(t);
	if (t->fd < 0 && !t->is_frozen && clock_monotonic_ns() >= t->next_ns)
		begin_request(t);
	draw(t);
}

static int run_live(const struct top_options *options)
{
	struct top t = {.options = options,
			.view = options->view,
			.data_by = options->view.by,
			.fd = -1,
			.status = -1};

	/* Without a daemon the terminal is not touched. */
	t.status = ask(options, &t.data);
	if (t.status != EXIT_DONE)
		return t.status;
	t.status = -1;
	catch_signals();
	if (top_screen_open() < 0) {
		fprintf(stderr,
			"sluicectl: top: TERM = \"%s\" is no terminal that is known; or: "
			"top --once\n",
			getenv("TERM") ? getenv("TERM") : "");
		json_decref(t.data);
		return EXIT_USAGE_ERROR;
	}
	set_delay(&t, options->delay_ms ? options->delay_ms : DELAY_MS);
	/* The first rates soon. */
	t.next_ns = clock_monotonic_ns() + FIRST_DELAY_MS * NS_PER_MS;
	draw(&t);
	while (t.status < 0)
		turn(&t);
	top_screen_close();
	end_request(&t);
	if (t.status != EXIT_DONE)
		fprintf(stderr, "sluicectl: %s\n", t.trouble);
	json_decref(t.before);
	json_decref(t.data);
	free(t.reply);
	return t.status;
}

int top_run(const struct top_options *options)
{
	if (options->is_once || options->is_json)
		return run_once(options);
	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		return run_live(options);
	fputs("sluicectl: top: this is no terminal; top --once prints one screen\n", stderr);
	return EXIT_USAGE_ERROR;
}
