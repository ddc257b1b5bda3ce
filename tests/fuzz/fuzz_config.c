/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a configuration. What is refused is refused with one clean line; what is accepted
 * is a tree that the rest of the program may rely on; line ends of either kind mean the same.
 */
#include "core/config.h"
#include "core/config_class.h"
#include "core/config_syntax.h"
#include "proto/http1_head.h"
#include "proto/origin.h"
#include "proto/utf8.h"

#include <stdio.h>
#include <sys/mman.h>

#define CHECK(condition)                  \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- what was accepted --------------------------------------------------------------------- */

static void check_name(const char *name)
{
	CHECK(config_is_name(name) && strlen(name) <= CONFIG_NAME_MAX);
}

static void check_listeners(const struct config *config)
{
	CHECK(config->n_listeners > 0);
	for (size_t i = 0; i < config->n_listeners; i++) {
		const struct config_listener *listener = &config->listeners[i];

		check_name(listener->name);
		CHECK(listener->n_addresses > 0);
		CHECK(listener->backlog >= 1 && listener->backlog <= 65535);
		for (size_t j = 0; j < listener->n_addresses; j++)
			CHECK(listener->addresses[j].len > 0);
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(config->listeners[j].name, listener->name) != 0);
	}
}

static void check_endpoint(const struct config_endpoint *endpoint)
{
	const struct address *address = &endpoint->address;

	check_name(endpoint->name);
	CHECK(config_is_target(endpoint->target));
	if (endpoint->host_len > 0)
		CHECK(endpoint->port > 0 && endpoint->host_len < strlen(endpoint->target) &&
		      endpoint->target[endpoint->host_len] == ':');
	else
		CHECK(address->sa.sa_family == AF_UNIX || address_port(address) > 0);
	CHECK(endpoint->state <= ENDPOINT_MAINT && endpoint->weight <= CONFIG_ENDPOINT_WEIGHT_MAX);
}

static void check_health(const struct config_cluster *cluster)
{
	CHECK(cluster->health.type <= CONFIG_HEALTH_WEBSOCKET);
	CHECK(cluster->health.rise >= 1 && cluster->health.fall >= 1);
	CHECK(cluster->health.interval_ms > 0 && cluster->health.timeout_ms > 0);
	CHECK(cluster->health.path[0] == '/' && !strpbrk(cluster->health.path, " \t\r\n#"));
	for (const char *p = cluster->health.host; *p; p++)
		CHECK(*p > ' ' && *p < 0x7f);
}

static void check_clusters(const struct config *config)
{
	for (size_t i = 0; i < config->n_clusters; i++) {
		const struct config_cluster *cluster = &config->clusters[i];

		check_name(cluster->name);
		CHECK(cluster->n_endpoints > 0);
		CHECK(cluster->balance <= CONFIG_BALANCE_HASH);
		CHECK(config_is_hash_key(cluster->hash_key));
		CHECK(cluster->connect_timeout_ms >= 10 && cluster->upgrade_timeout_ms >= 10);
		CHECK(cluster->ejection.max_percent <= 100 &&
		      cluster->breaker.failure_ratio <= 100);
		for (size_t j = 0; j < cluster->n_sources; j++)
			CHECK(address_port(&cluster->sources[j]) == 0);
		for (size_t j = 0; j < cluster->n_endpoints; j++)
			check_endpoint(&cluster->endpoints[j]);
		check_health(cluster);
	}
}

static bool is_cluster_of(const struct config *config, const struct config_cluster *cluster)
{
	return cluster >= config->clusters && cluster < config->clusters + config->n_clusters;
}

static void check_classes(const struct config *config)
{
	CHECK(config->n_classes >= 1 && config->n_classes <= CONFIG_CLASSES_MAX);
	CHECK(config_class_find(config, CONFIG_CLASS_DEFAULT));
	for (size_t i = 0; i < config->n_classes; i++) {
		const struct config_class *class = &config->classes[i];

		check_name(class->name);
		CHECK((class->rate_bytes == 0) == (class->burst_bytes == 0));
		CHECK((class->rate_frames == 0) == (class->burst_frames == 0));
		CHECK(class->burst_bytes <= CONFIG_BURST_BYTES_MAX);
		CHECK(class->priority <= 6 && class->over_rate <= CONFIG_OVER_RATE_MARK);
		CHECK(class->dscp <= 63 || class->dscp == SL_DSCP_KEEP);
	}
}

static bool is_class_of(const struct config *config, const struct config_class *class)
{
	return class >= config->classes && class < config->classes + config->n_classes;
}

/* No limit is left to a walker that does not look. */
static void check_frames(const struct config_route *route)
{
	if (route->action == CONFIG_ACTION_PROXY &&
	    (route->max_frame_bytes || route->max_message_bytes))
		CHECK(route->splice_frames == CONFIG_FRAMES_AUTO ||
		      route->splice_frames == CONFIG_FRAMES_STRICT);
}

static void check_splits(const struct config *config, const struct config_route *route)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < route->n_splits; i++) {
		CHECK(is_cluster_of(config, route->splits[i].cluster));
		CHECK(route->splits[i].weight >= 1 && route->splits[i].weight <= CONFIG_WEIGHT_MAX);
		sum += route->splits[i].weight;
	}
	CHECK(sum == route->split_weight && !(route->n_splits && route->cluster));
	CHECK(route->split_key != CONFIG_SPLIT_HEADER || http1_is_token(route->split_header));
}

/* Nothing that is put into a head can end its line. */
static void check_changes(const struct config_route *route)
{
	for (size_t i = 0; i < route->n_add_headers; i++) {
		const struct config_field *field = &route->add_fields[i];

		CHECK(field->has_value && http1_is_token(field->name));
		CHECK(!http1_is_hop_by_hop(field->name));
		for (size_t k = 0; k < field->value.len; k++)
			CHECK((unsigned char)field->value.ptr[k] >= ' ');
	}
	for (size_t i = 0; i < route->n_remove_headers; i++)
		CHECK(http1_is_token(slice_from_str(route->remove_headers[i])));
	for (size_t i = 0; i < route->n_origins; i++)
		CHECK(origin_is_pattern(slice_from_str(route->origins[i])));
	CHECK(route->n_rewrite == 0 || route->n_rewrite == 2);
	if (route->n_rewrite == 2)
		CHECK(!strpbrk(route->rewrite[1], " \t\r\n?#"));
	CHECK(!route->rewrite_regex || route->rewrite[0][0] == '~');
}

static void check_route(const struct config *config, const struct config_route *route)
{
	check_name(route->name);
	CHECK(!route->path || route->path_regex ||
	      (route->path[0] == '/' && !strpbrk(route->path, "*?# ")));
	CHECK(!route->path_regex ||
	      (route->path && route->path[0] == '~' && !route->path_is_prefix));
	for (size_t i = 0; i < route->n_match_headers; i++)
		CHECK(http1_is_token(route->match_fields[i].name));
	for (size_t i = 0; i < route->n_sources; i++)
		CHECK(route->networks[i].family);
	for (const char *p = route->host; p && *p; p++)
		CHECK(*p == ascii_lower(*p));
	CHECK(route->respond.status >= 200 && route->respond.status <= 599);
	CHECK(config_is_media_type(route->respond.content_type) && route->respond.body);
	if (route->action != CONFIG_ACTION_PROXY)
		CHECK(!route->cluster && !route->n_splits && route->max_frame_bytes &&
		      route->max_message_bytes);
	else if (route->n_splits == 0)
		CHECK(is_cluster_of(config, route->cluster));
	CHECK(is_class_of(config, route->class));
	check_frames(route);
	check_splits(config, route);
	check_changes(route);
}

static void check_tree(const struct config *config)
{
	CHECK(config->worker.count <= 64);
	CHECK(config->log.level <= LOG_LEVEL_DEBUG && config->log.format <= LOG_FORMAT_JSON);
	CHECK(!config->log.access || config_is_log_target(config->log.access));
	CHECK(!config->admin.control ||
	      (config->admin.control[0] == '/' && strlen(config->admin.control) <= 107));
	CHECK(config->limits.max_head_bytes >= 1024 && config->limits.max_head_bytes <= 65536);
	CHECK(config->limits.max_target_bytes >= 64 &&
	      config->limits.max_target_bytes <= config->limits.max_head_bytes);
	CHECK(config->limits.max_headers >= 1 && config->limits.max_headers <= 128);
	CHECK(config->drain.hard_stop_ms >= 100);
	check_listeners(config);
	check_classes(config);
	check_clusters(config);
	for (size_t i = 0; i < config->n_routes; i++)
		check_route(config, &config->routes[i]);
}

/* ---- what was refused ---------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* "fuzz:LINE: …" or "fuzz: …": one line of clean text, cut nowhere. */
static void check_error(const struct config_error *error)
{
	size_t len = strnlen(error->text, sizeof(error->text));
	struct utf8_state utf8 = {0};

	CHECK(len > 6 && len < sizeof(error->text) - 1);
	CHECK(strncmp(error->text, "fuzz:", 5) == 0);
	CHECK(utf8_feed(&utf8, (const uint8_t *)error->text, len, NULL) == 0);
	CHECK(utf8_is_complete(&utf8));
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)error->text[i] >= ' ' && error->text[i] != 0x7f);
	/* libconfuse takes what we let pass, and sees the same in it. */
	CHECK(!ends_with(error->text, "libconfuse cannot read this") &&
	      !ends_with(error->text, "libconfuse reads this differently"));
	CHECK(strstr(error->text, "expected") || strstr(error->text, "did you mean"));
}

static int load(const char *text, struct config_error *ret_error)
{
	struct config *config = NULL;
	int r = config_load_text("fuzz", text, &config, ret_error);

	if (r == 0)
		check_tree(config);
	else
		check_error(ret_error);
	CHECK(r == 0 || (r == -EINVAL && !config));
	config_unref(config);
	return r;
}

/* ---- inputs -------------------------------------------------------------------------------- */

static void check_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct config *config = NULL;
	struct config_error error;
	char path[32];

	CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK(config_load_file(path, &config, &error) == -EINVAL);
	close(fd);
}

static char *with_dos_lines(const char *text)
{
	char *dos = malloc(2 * strlen(text) + 1), *p = dos;

	CHECK(dos);
	for (; *text; text++) {
		if (*text == '\n')
			*p++ = '\r';
		*p++ = *text;
	}
	*p = '\0';
	return dos;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error error = {""}, dos_error = {""};
	char *text, *dos;
	int r;

	if (memchr(data, '\0', size)) {
		check_file(data, size);
		return 0;
	}
	text = malloc(size + 1);
	CHECK(text);
	memcpy(text, data, size);
	text[size] = '\0';
	r = load(text, &error);
	if (!strchr(text, '\r')) {
		dos = with_dos_lines(text);
		CHECK(load(dos, &dos_error) == r);
		CHECK(strcmp(error.text, dos_error.text) == 0);
		free(dos);
	}
	free(text);
	return 0;
}
