/*
 * The interface with the default route, from the kernel's routing tables as text (/proc/net/route and
 * /proc/net/ipv6_route; formats: net/ipv4/fib_trie.c fib_route_seq_show, net/ipv6/ip6_fib.c
 * ipv6_route_native_seq_show).
 */
#ifndef PS_DEFAULT_ROUTE_H
#define PS_DEFAULT_ROUTE_H

#include "common/base/error.h"

#define PS_IFACE_SIZE 16 /* IFNAMSIZ */

/*
 * The interface of the usable default route with the lowest metric; IPv4's is preferred to IPv6's, since both lie on
 * the same interface where it matters. Routes that reject, are down, or lead to lo do not count. Either text may be
 * NULL. -ENOENT: there is none.
 */
int ps_default_route_parse(const char *ipv4, const char *ipv6, char ret_iface[static PS_IFACE_SIZE]);

/* The same from this network namespace. -ENOENT fills err with what to do. */
int ps_default_route(char ret_iface[static PS_IFACE_SIZE], struct ps_error *err);

#endif
