/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of routes: which requests, and what happens to them. */
#include "core/config_sections.h"

#include "core/config.h"
#include "core/config_syntax.h"

static const char *const forwards[] = {
    [CONFIG_FORWARDED_X] = "x",
    [CONFIG_FORWARDED_RFC7239] = "rfc7239",
    [CONFIG_FORWARDED_BOTH] = "both",
    [CONFIG_FORWARDED_OFF] = "off",
    NULL,
};

static const char *const frames_words[] = {
    [CONFIG_FRAMES_AUTO] = "auto",
    [CONFIG_FRAMES_OBSERVE] = "observe",
    [CONFIG_FRAMES_STRICT] = "strict",
    [CONFIG_FRAMES_OFF] = "off",
    NULL,
};

static const struct config_key route_keys[] = {
    {
	.name = "proxy",
	.type = CONFIG_TEXT,
	.example = "example",
	.min = 1,
	.max = CONFIG_NAME_MAX,
	.is_valid = config_is_name,
	.expected = "the name of a cluster",
	.is_reloadable = true,
	.is_shown = true,
	FIELD(struct config_route, proxy),
	.help = "Action: connect to an endpoint of this cluster.",
    },
    {
	.name = "split",
	.type = CONFIG_TEXTS,
	.example = "{\"stable 95\", \"canary 5\"}",
	.min = 1,
	.max = CONFIG_NAME_MAX + 16,
	.is_valid = config_is_split,
	.expected = "CLUSTER WEIGHT",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, split_texts),
	.count_offset = offsetof(struct config_route, n_splits),
	.help = "Action: as proxy, to one of several clusters, each with a share of the requests "
		"by its weight (1 to 1000000).",
    },
    {
	.name = "split_key",
	.type = CONFIG_TEXT,
	.example = "random", /* no default: it may stand beside split only */
	.min = 1,
	.max = 255,
	.is_valid = config_is_split_key,
	.expected = "random, source or header:NAME",
	.is_reloadable = true,
	FIELD(struct config_route, split_key_text),
	.help =
	    "What decides about a request's cluster: chance (if not given), the client's "
	    "address, or the value of a header. Equal ones come to the same cluster, also after a restart. "
	    "Without the header the address decides, and without an address chance.",
    },
    {
	.name = "echo",
	.type = CONFIG_BOOL,
	.fallback = "false",
	.is_reloadable = true,
	FIELD(struct config_route, echo),
	.help = "Action: send every message back.",
    },
    {
	.name = "origin",
	.type = CONFIG_TEXTS,
	.example = "{\"https://a.example\", \"https://*.b.example\"}",
	.min = 1,
	.max = 512,
	.is_valid = config_is_origin,
	.expected = "https://HOST, https://HOST:PORT, https://*.HOST or null",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, origins),
	.count_offset = offsetof(struct config_route, n_origins),
	.help = "Pages that may connect, by the Origin that their browser sends; others get 403. "
		"Clients that send none are no browsers, which alone enforce anything here, and "
		"may connect. By default all.",
    },
    {
	.name = "forwarded",
	.type = CONFIG_WORD,
	.fallback = "x",
	.words = forwards,
	.is_reloadable = true,
	FIELD(struct config_route, forwarded),
	.help = "How an endpoint learns who the client is: X-Forwarded-For, to which the address "
		"is appended, X-Forwarded-Proto and X-Forwarded-Host; Forwarded (RFC 7239), to "
		"which an element is appended; or both. What is in front came from the client, "
		"unless headers { remove } names the field.",
    },
    {
	.name = "rewrite",
	.type = CONFIG_TEXTS,
	.example = "{\"/api/\", \"/\"}",
	.min = 0,
	.max = PATH_LEN,
	.is_valid = config_is_any_text,
	.expected = "FROM and TO",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, rewrite),
	.count_offset = offsetof(struct config_route, n_rewrite),
	.help = "Change of the path on its way to an endpoint: FROM and TO. If the path begins "
		"with FROM, TO takes its place. With ~ and a regular expression as FROM, TO takes "
		"the place of the part that matches, with $0 to $9 for it and its groups, and $$ "
		"for a $. The query stays.",
    },
    {
	.name = "class",
	.type = CONFIG_TEXT,
	.fallback = CONFIG_CLASS_DEFAULT,
	.min = 1,
	.max = CONFIG_NAME_MAX,
	.is_valid = config_is_name,
	.expected = "the name of a class",
	.is_reloadable = true,
	FIELD(struct config_route, class_name),
	.help = "Class of the route's connections. Each keeps the one that it was opened with.",
    },
    {
	.name = "splice",
	.type = CONFIG_WORD,
	.fallback = "auto",
	.words = config_kernel_words,
	.is_reloadable = true,
	FIELD(struct config_route, splice),
	.help =
	    "With off, connections stay on the relay, whatever kernel.splice says. Live ones "
	    "follow a change: with off those that are spliced come back to the relay, with auto "
	    "they may leave it again. One that was opened under off stays on the relay.",
    },
    {
	.name = "splice_frames",
	.type = CONFIG_WORD,
	.fallback = "auto",
	.words = frames_words,
	.is_reloadable = true,
	FIELD(struct config_route, splice_frames),
	.help =
	    "How the kernel follows the frames of spliced connections. With observe it counts "
	    "them, and says so if it could not, because segments were lost or came out of "
	    "order. With strict such a segment is dropped until what was missing has come: "
	    "nothing passes unseen, which costs a retransmission. With off frames are not "
	    "looked at: connections whose peers have said Close, but do not end, stay for "
	    "tunnel_timeout then. With auto it is strict on a route with max_frame or max_message, "
	    "else observe. A change counts for new connections.",
    },
    {
	.name = "tunnel_timeout",
	.type = CONFIG_DURATION,
	.fallback = "1h",
	.zero = "never",
	.min = SECOND / 10,
	.max = 365 * DAY,
	.is_reloadable = true,
	FIELD(struct config_route, tunnel_timeout_ms),
	.help = "A connection on which nothing was received from either side for this long "
		"is closed with 1001.",
    },
    {
	.name = "keepalive_ping",
	.type = CONFIG_DURATION,
	.fallback = "0",
	.zero = "never",
	.min = SECOND / 10,
	.max = DAY,
	.is_reloadable = true,
	FIELD(struct config_route, keepalive_ping_ms),
	.help =
	    "Of a proxied connection on which nothing was received from either side for this "
	    "long, both are sent a Ping; one that does not answer for as long again has the "
	    "connection closed with 1011. The answers are not passed on, and count as traffic for "
	    "tunnel_timeout. A spliced connection comes back to the relay for it, and is spliced "
	    "again; if it cannot, as bytes are on their way to a peer that acknowledges nothing any "
	    "more, both are reset.",
    },
    {
	.name = "max_connection_duration",
	.type = CONFIG_DURATION,
	.fallback = "0",
	.zero = "never",
	.min = SECOND / 10,
	.max = 365 * DAY,
	.is_reloadable = true,
	FIELD(struct config_route, max_duration_ms),
	.help = "A connection that has been open for this long is closed with 1001, busy or not. "
		"Clients that come back are spread over the endpoints that there are then.",
    },
    {
	.name = "max_frame",
	.type = CONFIG_BYTES,
	.fallback = "auto",
	.none = "auto",
	.none_value = CONFIG_SIZE_AUTO,
	.zero = "no limit, with proxy only",
	.min = 1,
	.max = SIZE_LIMIT_MAX,
	.is_reloadable = true,
	FIELD(struct config_route, max_frame_bytes),
	.help =
	    "Payload of one frame. A longer one closes the connection with 1009. With auto there "
	    "is no limit with proxy, which passes frames on without keeping them, and 16mb where "
	    "they are assembled (echo). Of spliced connections the kernel holds what is longer "
	    "back, and the relay closes them; see splice_frames.",
    },
    {
	.name = "max_message",
	.type = CONFIG_BYTES,
	.fallback = "auto",
	.none = "auto",
	.none_value = CONFIG_SIZE_AUTO,
	.zero = "no limit, with proxy only",
	.min = 1,
	.max = MESSAGE_MAX,
	.is_reloadable = true,
	FIELD(struct config_route, max_message_bytes),
	.help = "Payload of one message, all its frames together, likewise.",
    },
};

const struct config_section config_section_route = {
    .name = "route",
    .parent = &config_section_file,
    .title = "example",
    KEYS(route_keys),
    ELEMENTS(struct config, routes, n_routes, struct config_route),
    .help = "What happens to which requests. Routes are tried in the order of the file; "
	    "a request that none matches gets 404. Each has exactly one action: proxy, "
	    "split, echo or respond.",
};

static const struct config_key match_keys[] = {
    {
	.name = "host",
	.type = CONFIG_TEXT,
	.example = "\"play.example\"",
	.min = 1,
	.max = 255,
	.is_valid = config_is_host,
	.expected = "a host name or address without port",
	.is_reloadable = true,
	FIELD(struct config_route, host),
	.help = "The request's host, in any case and without port. By default any.",
    },
    {
	.name = "path",
	.type = CONFIG_TEXT,
	.example = "\"/game/*\"",
	.min = 1,
	.max = PATH_LEN,
	.is_valid = config_is_match_path,
	.expected = "a path such as /live, /game/* for all that begins so, or ~REGEX",
	.is_reloadable = true,
	FIELD(struct config_route, path),
	.help = "The request's path, without query; with * at its end, how it begins; behind ~ a "
		"regular expression (PCRE2) for any part of it, or for the whole between ^ and "
		"$, each backslash doubled. One that takes too long for a path does not match "
		"it. By default any.",
    },
    {
	.name = "header",
	.type = CONFIG_TEXTS,
	.example = "{\"X-Version: 2\", \"X-Beta\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_match_field,
	.expected = "a header's name, or NAME: VALUE",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, match_headers),
	.count_offset = offsetof(struct config_route, n_match_headers),
	.help = "Headers that the request must all have: just there, or with this value.",
    },
    {
	.name = "subprotocol",
	.type = CONFIG_TEXT,
	.example = "mqtt",
	.min = 1,
	.max = 255,
	.is_valid = config_is_token,
	.expected = "a name without blanks and separators",
	.is_reloadable = true,
	FIELD(struct config_route, subprotocol),
	.help = "A subprotocol that the client must offer (Sec-WebSocket-Protocol).",
    },
    {
	.name = "source",
	.type = CONFIG_TEXTS,
	.example = "{\"10.0.0.0/8\", \"2001:db8::1\"}",
	.min = 1,
	.max = 49,
	.is_valid = config_is_network,
	.expected = "an address or network such as 10.0.0.0/8",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, sources),
	.count_offset = offsetof(struct config_route, n_sources),
	.help = "Where the client must come from: one of these. Those on a unix socket come "
		"from nowhere.",
    },
};

const struct config_section config_section_match = {
    .name = "match",
    .parent = &config_section_route,
    KEYS(match_keys),
    .help = "Which requests. All that is given must hold; without anything, all match.",
};

static const struct config_key headers_keys[] = {
    {
	.name = "add",
	.type = CONFIG_TEXTS,
	.example = "{\"X-Env: prod\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_added_field,
	.expected = "NAME: VALUE, not a header of the handshake or the connection",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, add_headers),
	.count_offset = offsetof(struct config_route, n_add_headers),
	.help = "Headers that an endpoint gets in addition, also if the client sends one of that "
		"name; remove it, too, to replace it.",
    },
    {
	.name = "remove",
	.type = CONFIG_TEXTS,
	.example = "{\"Cookie\"}",
	.min = 1,
	.max = FIELD_LEN,
	.is_valid = config_is_removed_field,
	.expected = "a header's name, not one of the handshake or the connection",
	.is_reloadable = true,
	.offset = offsetof(struct config_route, remove_headers),
	.count_offset = offsetof(struct config_route, n_remove_headers),
	.help = "Headers of the client that an endpoint does not get.",
    },
};

const struct config_section config_section_headers = {
    .name = "headers",
    .parent = &config_section_route,
    KEYS(headers_keys),
    .help = "Changes to a request's headers on its way to an endpoint.",
};

static const struct config_key respond_keys[] = {
    {
	.name = "status",
	.type = CONFIG_NUMBER,
	.fallback = "200",
	.min = 200,
	.max = 599,
	.is_reloadable = true,
	FIELD(struct config_route, respond.status),
	.help = "Status code.",
    },
    {
	.name = "content_type",
	.type = CONFIG_TEXT,
	.fallback = "text/plain; charset=utf-8",
	.min = 3,
	.max = 255,
	.is_valid = config_is_media_type,
	.expected = "a media type such as text/plain",
	.is_reloadable = true,
	FIELD(struct config_route, respond.content_type),
	.help = "Content-Type of the body.",
    },
    {
	.name = "body",
	.type = CONFIG_TEXT,
	.fallback = "",
	.max = 65536,
	.is_valid = config_is_any_text,
	.expected = "a text",
	.is_reloadable = true,
	FIELD(struct config_route, respond.body),
	.help = "What is sent; \\n begins a new line.",
    },
};

const struct config_section config_section_respond = {
    .name = "respond",
    .parent = &config_section_route,
    KEYS(respond_keys),
    .is_alternative = true,
    .help = "Action: answer with a fixed response.",
};

/* The name of an element is where the name of every element is. */
_Static_assert(offsetof(struct config_route, name) == 0, "name first");
