/*
 * What a driver can do with XDP, as the kernel itself says (generic netlink family "netdev", Linux 6.3).
 */
#ifndef PS_NETDEV_H
#define PS_NETDEV_H

#include <stdint.h>

#define PS_NETDEV_XDP_BASIC 1u /* NETDEV_XDP_ACT_BASIC: native XDP with PASS, DROP, TX, ABORTED */

/* Bits NETDEV_XDP_ACT_*. -EOPNOTSUPP: the kernel does not say. */
int ps_netdev_xdp_features(uint32_t ifindex, uint64_t *ret_features);

#endif
