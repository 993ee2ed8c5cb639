#include "aggregator/host_facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <net/route.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bpf/abi.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

/* Bytes of a file that are read: a default route stands early, and a router's table may have a million others. */
#define FILE_MAX (1u << 20)

bool ps_addr_is_loopback(const struct ps_addr *a)
{
	if (a->family == PS_FAMILY_IPV4)
		return (ntohl(a->word[0]) >> 24) == 127;
	return a->family == PS_FAMILY_IPV6 && !a->word[0] && !a->word[1] && !a->word[2] && ntohl(a->word[3]) == 1;
}

bool ps_host_facts_is_local(const struct ps_host_facts *f, const struct ps_addr *a)
{
	for (size_t i = 0; i < f->n_local; i++) {
		if (ps_addr_equal(&f->local[i].addr, a))
			return true;
	}
	return false;
}

static void add(struct ps_addr *list, size_t *n, size_t max, const struct ps_addr *a)
{
	for (size_t i = 0; i < *n; i++) {
		if (ps_addr_equal(&list[i], a))
			return;
	}
	if (*n < max)
		list[(*n)++] = *a;
}

/* The next line of a text: its beginning, and where the rest goes on; NULL at the end. */
static const char *next_line(const char **text, char *line, size_t size)
{
	size_t len = strcspn(*text, "\n");

	if (!**text)
		return NULL;
	(void)snprintf(line, size, "%.*s", (int)PS_MIN(len, size - 1), *text);
	*text += len + ((*text)[len] == '\n');
	return line;
}

void ps_host_facts_resolv(struct ps_host_facts *f, const char *text, bool *ret_loopback)
{
	char line[256], word[64];

	while (next_line(&text, line, sizeof(line))) {
		struct ps_addr a;

		if (sscanf(line, " nameserver %63s", word) != 1)
			continue;
		word[strcspn(word, "%")] = '\0'; /* a link-local address names its link */
		if (ps_addr_parse(word, strlen(word), &a) < 0)
			continue;
		if (ps_addr_is_loopback(&a))
			*ret_loopback = true;
		else
			add(f->dns, &f->n_dns, PS_HOST_DNS_MAX, &a);
	}
}

/* Addresses are printed as the number that their bytes are on this machine. */
void ps_host_facts_route4(struct ps_host_facts *f, const char *text)
{
	char line[256];

	while (next_line(&text, line, sizeof(line))) {
		struct ps_addr a = {.family = PS_FAMILY_IPV4};
		unsigned long destination, gateway, flags, mask;

		if (sscanf(line, "%*s %lx %lx %lx %*s %*s %*s %lx", &destination, &gateway, &flags, &mask) != 4)
			continue;
		if (destination || mask || !gateway || !(flags & RTF_UP) || !(flags & RTF_GATEWAY))
			continue;
		a.word[0] = (uint32_t)gateway;
		add(f->gateway, &f->n_gateway, PS_HOST_GATEWAYS_MAX, &a);
	}
}

static bool parse_hex6(const char *text, struct ps_addr *ret_addr)
{
	struct ps_addr a = {.family = PS_FAMILY_IPV6};

	if (strlen(text) != 32)
		return false;
	for (unsigned i = 0; i < 4; i++) {
		char word[9];

		memcpy(word, text + 8 * i, 8);
		word[8] = '\0';
		a.word[i] = htonl((uint32_t)strtoul(word, NULL, 16));
	}
	*ret_addr = a;
	return true;
}

void ps_host_facts_route6(struct ps_host_facts *f, const char *text)
{
	static const struct ps_addr none = {.family = PS_FAMILY_IPV6};
	char line[256], destination[33], hop[33];

	while (next_line(&text, line, sizeof(line))) {
		struct ps_addr a;
		unsigned long len, flags;

		if (sscanf(line, "%32s %lx %*s %*s %32s %*s %*s %*s %lx", destination, &len, hop, &flags) != 4)
			continue;
		if (len || !(flags & RTF_UP) || !(flags & RTF_GATEWAY) || !parse_hex6(hop, &a) ||
			ps_addr_equal(&a, &none))
			continue;
		add(f->gateway, &f->n_gateway, PS_HOST_GATEWAYS_MAX, &a);
	}
}

static uint8_t bits_of(const struct sockaddr *mask)
{
	const uint8_t *bytes;
	size_t n;
	uint8_t bits = 0;

	if (!mask)
		return 0;
	bytes = mask->sa_family == AF_INET ? (const uint8_t *)&((const struct sockaddr_in *)mask)->sin_addr
					   : (const uint8_t *)&((const struct sockaddr_in6 *)mask)->sin6_addr;
	n = mask->sa_family == AF_INET ? 4 : 16;
	for (size_t i = 0; i < n; i++)
		bits = (uint8_t)(bits + __builtin_popcount(bytes[i]));
	return bits;
}

static void read_locals(struct ps_host_facts *f)
{
	struct ifaddrs *list = NULL;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *i = list; i && f->n_local < PS_HOST_LOCALS_MAX; i = i->ifa_next) {
		struct ps_net *net = &f->local[f->n_local];

		if (!i->ifa_addr || (i->ifa_flags & IFF_LOOPBACK))
			continue;
		*net = (struct ps_net){.len = bits_of(i->ifa_netmask)};
		if (i->ifa_addr->sa_family == AF_INET) {
			net->addr.family = PS_FAMILY_IPV4;
			memcpy(net->addr.word, &((const struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			net->addr.family = PS_FAMILY_IPV6;
			memcpy(net->addr.word, &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
		} else {
			continue;
		}
		f->n_local++;
	}
	freeifaddrs(list);
}

static const char *text_of(const char *path, struct ps_buf *buf)
{
	const char *text;

	ps_buf_reset(buf);
	/* A part of a long table is good enough. */
	(void)ps_file_read(path, FILE_MAX, buf);
	text = ps_buf_str(buf);
	return text ? text : "";
}

void ps_host_facts_read(struct ps_host_facts *ret_facts)
{
	_cleanup_(ps_buf_free) struct ps_buf buf = PS_BUF_INIT;
	struct ps_host_facts f = {0};
	bool loopback = false;

	read_locals(&f);
	ps_host_facts_resolv(&f, text_of("/etc/resolv.conf", &buf), &loopback);
	if (loopback)
		ps_host_facts_resolv(&f, text_of("/run/systemd/resolve/resolv.conf", &buf), &loopback);
	ps_host_facts_route4(&f, text_of("/proc/net/route", &buf));
	ps_host_facts_route6(&f, text_of("/proc/net/ipv6_route", &buf));
	*ret_facts = f;
}
