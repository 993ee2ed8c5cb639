/*
 * When a silent connection is over, and how it ended. Pure; states and figures follow nf_conntrack
 * (net/netfilter/nf_conntrack_proto_tcp.c, nf_conntrack_proto_udp.c).
 */
#ifndef PS_AGG_EXPIRY_H
#define PS_AGG_EXPIRY_H

#include <stdint.h>

#include "bpf/abi.h"

/* Silence that each state may keep, ns. */
struct ps_timeouts {
#define PS_TIMEOUT(name, option, fallback, help) uint64_t name;
#include "aggregator/timeout.def"
};

/*
 * Silence that a connection may keep. `flags`: enum ps_conn_flag; `state`: enum ps_tcp_state, of no meaning unless
 * proto is TCP.
 */
uint64_t ps_expiry_timeout(const struct ps_timeouts *t, uint8_t proto, uint8_t flags, uint8_t state);

/* Why it ended, when its time has run out: PS_END_FIN and PS_END_RST if it was closed before, else PS_END_TIMEOUT. */
enum ps_end_reason ps_expiry_reason(uint8_t proto, uint8_t state);

#endif
