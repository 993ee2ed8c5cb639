#include "common/base/default_route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/cleanup.h"
#include "common/limits.h"

/* linux/route.h and linux/ipv6_route.h collide with the C library's headers; the values are ABI. */
#define ROUTE_UP 0x0001u
#define ROUTE_REJECT 0x0200u

struct candidate {
	char iface[PS_IFACE_SIZE];
	uint32_t metric;
	bool found;
};

static void offer(struct candidate *best, const char *iface, uint32_t flags, uint32_t metric)
{
	if (!(flags & ROUTE_UP) || (flags & ROUTE_REJECT) || strcmp(iface, "lo") == 0)
		return;
	if (best->found && best->metric <= metric)
		return;
	(void)snprintf(best->iface, sizeof(best->iface), "%s", iface);
	best->metric = metric;
	best->found = true;
}

/* Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT */
static void parse_ipv4(const char *line, struct candidate *best)
{
	char iface[PS_IFACE_SIZE];
	uint32_t dest, flags, metric, mask;

	if (sscanf(line, "%15s %" SCNx32 " %*x %" SCNx32 " %*d %*u %" SCNu32 " %" SCNx32, iface, &dest, &flags, &metric,
		    &mask) != 5)
		return;
	if (dest == 0 && mask == 0)
		offer(best, iface, flags, metric);
}

/* destination, its prefix length, source, its prefix length, next hop, metric, references, use, flags, interface */
static void parse_ipv6(const char *line, struct candidate *best)
{
	char dest[33], iface[PS_IFACE_SIZE];
	uint32_t prefix, metric, flags;

	if (sscanf(line, "%32[0-9a-f] %" SCNx32 " %*32[0-9a-f] %*x %*32[0-9a-f] %" SCNx32 " %*x %*x %" SCNx32 " %15s",
		    dest, &prefix, &metric, &flags, iface) != 5)
		return;
	if (prefix == 0 && strspn(dest, "0") == 32)
		offer(best, iface, flags, metric);
}

static void each_line(const char *text, void (*parse)(const char *line, struct candidate *best), struct candidate *best)
{
	char line[512];

	while (text && *text) {
		size_t len = strcspn(text, "\n");

		if (len < sizeof(line)) {
			memcpy(line, text, len);
			line[len] = '\0';
			parse(line, best);
		}
		text += len + (text[len] == '\n');
	}
}

int ps_default_route_parse(const char *ipv4, const char *ipv6, char ret_iface[static PS_IFACE_SIZE])
{
	struct candidate best = {0};

	each_line(ipv4, parse_ipv4, &best);
	if (!best.found)
		each_line(ipv6, parse_ipv6, &best);
	if (!best.found)
		return -ENOENT;
	memcpy(ret_iface, best.iface, PS_IFACE_SIZE);
	return 0;
}

int ps_default_route(char ret_iface[static PS_IFACE_SIZE], struct ps_error *err)
{
	_cleanup_(ps_buf_free) struct ps_buf ipv4 = PS_BUF_INIT, ipv6 = PS_BUF_INIT;

	/* A kernel without IPv6 has no second file; without either there is no default route. */
	(void)ps_file_read("/proc/self/net/route", PS_ROUTES_FILE_MAX, &ipv4);
	(void)ps_file_read("/proc/self/net/ipv6_route", PS_ROUTES_FILE_MAX, &ipv6);
	if (ps_default_route_parse(ps_buf_str(&ipv4), ps_buf_str(&ipv6), ret_iface) == 0)
		return 0;
	return ps_error_set(err, -ENOENT, 400, "no_default_route", "iface",
		"there is no default route to take the interface from; name one with --iface (`ip -brief link` lists "
		"them)");
}
