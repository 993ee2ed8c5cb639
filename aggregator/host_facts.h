/*
 * What the lock-out guard knows of the host it runs on: its addresses, name servers and default gateways. Parsing is
 * pure; one function reads the real files. In a network namespace of its own (a container without the host's network)
 * the aggregator sees that namespace's.
 */
#ifndef PS_AGG_HOST_FACTS_H
#define PS_AGG_HOST_FACTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model/net.h"

#define PS_HOST_LOCALS_MAX 64
#define PS_HOST_DNS_MAX 8
#define PS_HOST_GATEWAYS_MAX 8

struct ps_host_facts {
	struct ps_net local[PS_HOST_LOCALS_MAX]; /* addresses with the length of their network; no loopback */
	size_t n_local;
	struct ps_addr dns[PS_HOST_DNS_MAX];
	size_t n_dns;
	struct ps_addr gateway[PS_HOST_GATEWAYS_MAX];
	size_t n_gateway;
};

/* How the aggregator gets them; `read` may leave out what it cannot read. */
struct ps_host_ops {
	void (*read)(void *impl, struct ps_host_facts *ret_facts);
	void *impl;
};

/* getifaddrs(3), resolv.conf(5) (behind a resolver on loopback: systemd-resolved's list), /proc/net/route, ipv6_route.
 */
void ps_host_facts_read(struct ps_host_facts *ret_facts);

/* "nameserver ADDR" lines. Adds those that are not there; loopback addresses are left out and set *ret_loopback. */
void ps_host_facts_resolv(struct ps_host_facts *f, const char *text, bool *ret_loopback);
/* /proc/net/route: default routes that are up and have a gateway. */
void ps_host_facts_route4(struct ps_host_facts *f, const char *text);
/* /proc/net/ipv6_route: the same. */
void ps_host_facts_route6(struct ps_host_facts *f, const char *text);

bool ps_host_facts_is_local(const struct ps_host_facts *f, const struct ps_addr *a);
bool ps_addr_is_loopback(const struct ps_addr *a);

#endif
