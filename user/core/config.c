/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/config_build.h"
#include "core/config_check.h"
#include "core/config_confuse.h"
#include "core/config_error.h"
#include "core/config_route.h"
#include "core/config_text.h"

#include <fcntl.h>

/* ---- loading ------------------------------------------------------------------------------- */

static int load(const char *file, const char *data, size_t len, struct config **ret_config,
		struct config_error *error)
{
	_cleanup_(config_text_done) struct config_text text = {0};
	_cleanup_(cleanup_config_confuse_free) cfg_t *root = NULL;
	_cleanup_free_ struct config_place *places = NULL;
	_cleanup_(cleanup_config_unref) struct config *config = calloc(1, sizeof(*config));
	int r;

	if (!config) {
		config_error_file(error, file, "out of memory");
		return -ENOMEM;
	}
	atomic_init(&config->refs, 1);
	if ((r = config_text_parse(file, data, len, error, &text)) < 0 ||
	    (r = config_resolve(&text, &places)) < 0 ||
	    (r = config_confuse_parse(&text, places, &root)) < 0 ||
	    (r = config_build(&text, root, places, config)) < 0 ||
	    (r = config_check(&text, places, config)) < 0)
		return r;
	*ret_config = TAKE_PTR(config);
	return 0;
}

/* Up to @cap bytes; what is no regular file (a pipe) is read, too. */
static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	while (len < cap) {
		ssize_t n = read(fd, buf + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int config_load_file(const char *path, struct config **ret_config, struct config_error *ret_error)
{
	/* One byte more than allowed shows that there is more. */
	_cleanup_free_ char *buf = malloc(CONFIG_TEXT_MAX + 1);
	_cleanup_close_ int fd = -1;
	ssize_t len;

	if (!buf) {
		config_error_file(ret_error, path, "out of memory");
		return -ENOMEM;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	len = fd < 0 ? -errno : read_all(fd, buf, CONFIG_TEXT_MAX + 1);
	if (len < 0) {
		errno = (int)-len;
		config_error_file(ret_error, path, "%m: expected a file that can be read");
		return (int)len;
	}
	return load(path, buf, (size_t)len, ret_config, ret_error);
}

int config_load_text(const char *name, const char *text, struct config **ret_config,
		     struct config_error *ret_error)
{
	return load(name, text, strlen(text), ret_config, ret_error);
}

const char *config_embedded_text(void)
{
	return "admin { listen = {\"127.0.0.1:9810\"} }\n"
	       "listener public { listen = {\"0.0.0.0:8080\", \"[::]:8080\"} }\n"
	       "route echo { match { path = \"/echo\" } echo = true }\n"
	       "route about {\n"
	       "  match { path = \"/\" }\n"
	       "  respond {\n"
	       "    body = \"This is Sluice, a WebSocket gateway, running without a configuration.\\n"
	       "WebSocket clients find an echo at /echo.\\n\"\n"
	       "  }\n"
	       "}\n";
}

/* ---- references ---------------------------------------------------------------------------- */

struct config *config_ref(struct config *config)
{
	atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
	return config;
}

void config_unref(struct config *config)
{
	/* Whoever frees must see what all others did with it before they let go. */
	if (!config || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < config->n_routes; i++)
		config_route_done(&config->routes[i]);
	config_clear(config);
	free(config);
}
