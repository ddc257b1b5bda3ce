/* SPDX-License-Identifier: Apache-2.0 */
#include "app/sluicectl/print_offload.h"

#include "app/table.h"
#include "base/std.h"

#include <stdio.h>

/* What a reason means, and what can be done. By the names of sluice_reason_name(). */
static const struct {
	const char *reason, *advice;
} advices[] = {
    {"busy", "bytes were on their way at every try; it is tried again, up to 4 s apart"},
    {"policy", "splice = off, for the route or in kernel { }"},
    {"limit", "the map policies is full: fewer combinations of class, limits and splice_frames"},
    {"no_hook", "an interface without the hook: sluice-loader attach IFACE (ip route get ADDRESS)"},
    {"asymmetric", "packets of a leg do not come in by a hooked interface: sluice-loader attach"},
    {"no_forwarding", "no route to the client or the endpoint"},
    {"options",
     "the legs differ in TCP timestamps (sysctl net.ipv4.tcp_timestamps) or in IP version; or a "
     "peer sends fragments or IP options"},
    {"mtu", "a leg carries less than 1280 bytes, or a peer does not heed ICMP: too big"},
    {"map_full", "flows or conns is full: unload, then sluice-loader load --flows N"},
    {"ports", "no source port free: more source addresses for the cluster, or more endpoints"},
    {"kernel", "the kernel refused: sluice-loader check; CAP_NET_ADMIN of the daemon"},
    {"not_loaded",
     "no programs when the daemon started, or others since: sluice-loader load, then restart"},
    {"draining", "on its way out"},
};

static const char *advice_for(const char *reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++) {
		if (strcmp(advices[i].reason, reason) == 0)
			return advices[i].advice;
	}
	return "";
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static void print_reasons(const char *title, const json_t *reasons)
{
	const char *reason;
	json_t *n;

	if (json_object_size(reasons) == 0)
		return;
	printf("\n%s\n", title);
	json_object_foreach((json_t *)reasons, reason, n)
	    printf("  %-14s %10lld  %s\n", reason, (long long)json_integer_value(n),
		   advice_for(reason));
}

static void print_interfaces(const json_t *interfaces)
{
	const json_t *name;
	size_t i;

	printf("%-12s", "interfaces");
	json_array_foreach(interfaces, i, name) printf(" %s", json_string_value(name));
	puts(json_array_size(interfaces) ? "" : " none: sluice-loader attach IFACE...");
}

static void print_maps(const json_t *maps)
{
	const char *separator = " ", *name;
	json_t *map;

	printf("%-12s", "maps");
	json_object_foreach((json_t *)maps, name, map)
	{
		printf("%s%s %lld of %lld", separator, name, number(map, "entries"),
		       number(map, "max"));
		separator = ", ";
	}
	putchar('\n');
}

static void print_hook(const json_t *hook)
{
	const char *separator = " ", *name;
	json_t *n;

	printf("%-12s", "hook");
	json_object_foreach((json_t *)hook, name, n)
	{
		if (json_integer_value(n) == 0)
			continue;
		printf("%s%s %lld", separator, name, (long long)json_integer_value(n));
		separator = ", ";
	}
	puts(separator[0] == ' ' ? " has seen no packet of ours" : "");
}

static void print_splice(const json_t *splice)
{
	const json_t *ports = json_object_get(splice, "ports");

	printf("\n%-12s %s", "pins", json_string_value(json_object_get(splice, "pins")));
	if (ports) {
		printf(", ABI version %lld\n", number(splice, "abi"));
		print_interfaces(json_object_get(splice, "interfaces"));
		print_maps(json_object_get(splice, "maps"));
		printf("%-12s %lld to %lld: %lld used, %lld in quarantine\n", "ports",
		       number(ports, "first"), number(ports, "last"), number(ports, "used"),
		       number(ports, "quarantined"));
		print_hook(json_object_get(splice, "hook"));
	} else {
		putchar('\n');
	}
	printf("%-12s %lld since the start\n", "promoted", number(splice, "promoted"));
	print_reasons("Stayed on the relay, since the start:", json_object_get(splice, "refused"));
	print_reasons("Tries that are made again:", json_object_get(splice, "retried"));
}

void print_offload_rows(const json_t *rows)
{
	static const struct column columns[] = {
	    {"path", "PATH", COLUMN_TEXT, 0},
	    {"available", "AVAILABLE", COLUMN_TEXT, 0},
	    {"reason", "REASON", COLUMN_TEXT, 0},
	    {"connections", "CONNECTIONS", COLUMN_NUMBER, 1},
	    {"bytes_in", "BYTES IN", COLUMN_BYTES, 2},
	    {"bytes_out", "BYTES OUT", COLUMN_BYTES, 2},
	    {"detail", "DETAIL", COLUMN_TEXT, 3},
	};
	const json_t *row, *splice;
	size_t i;

	table_print(rows, columns, ARRAY_SIZE(columns), table_terminal_width());
	json_array_foreach(rows, i, row)
	{
		splice = json_object_get(row, "splice");
		if (splice)
			print_splice(splice);
	}
}
