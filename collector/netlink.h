/*
 * What the kernel says of network interfaces (rtnetlink(7)): all of them once, then every change; and how many
 * filters sit on a traffic-control hook.
 */
#ifndef PS_NETLINK_H
#define PS_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One interface as a link message describes it. */
struct ps_netlink_iface {
	uint32_t ifindex;
	uint32_t mtu; /* 0 = not said */
	bool up;
	bool gone; /* RTM_DELLINK */
	bool loopback;
	bool l3; /* its frames begin with the IP header */
	char name[IFNAMSIZ];
};

typedef void (*ps_netlink_fn)(void *arg, const struct ps_netlink_iface *iface);

/* A socket that hears of changes from now on. -errno. */
int ps_netlink_open(int *ret_fd);

/* Every interface that there is now, on a socket of its own. */
int ps_netlink_dump(ps_netlink_fn fn, void *arg);

/* Takes what has come without waiting. -ENOBUFS: changes were lost, dump again. */
int ps_netlink_read(int fd, ps_netlink_fn fn, void *arg);

/*
 * One datagram of netlink messages: calls fn for each RTM_NEWLINK and RTM_DELLINK. Returns 1 at the end of a dump, 0
 * otherwise, or the error that the kernel reports. Lengths are checked against `len`.
 */
int ps_netlink_parse(const void *data, size_t len, ps_netlink_fn fn, void *arg);

/* Filters of an interface below a parent handle; -errno. */
int ps_netlink_count_filters(uint32_t ifindex, uint32_t parent);

#endif
