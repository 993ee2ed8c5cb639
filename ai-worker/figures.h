/*
 * Counting over a snapshot of connections: sums, states, and the first few of each order. Pure.
 */
#ifndef PS_FIGURES_H
#define PS_FIGURES_H

#include <stddef.h>
#include <stdint.h>

#include "ai-worker/limits.h"
#include "common/model/schema.h"

/* A host, or a service of a host, with what went to and from it. */
struct ps_figure_row {
	struct ps_addr addr;
	uint8_t proto; /* a service's; 0 for a host */
	uint16_t port;
	uint64_t connections, packets, bytes; /* both directions */
};

struct ps_figures {
	size_t connections, tcp, udp;
	size_t by_state[32]; /* index: ps_conn.state */
	size_t half_open;    /* TCP whose handshake is not complete */
	size_t unreplied;    /* UDP without an answer */
	size_t midstream;
	uint64_t packets, bytes;
	uint64_t dropped_packets; /* by rules */
	uint64_t tcp_packets, retrans_packets, retrans_bytes, out_of_order, zero_windows;
	uint32_t rtt_median_us, rtt_max_us; /* of those that are known; 0 = none */
	size_t rtt_known;

	struct ps_figure_row talkers[PS_AI_TOP]; /* originators, most bytes first */
	size_t n_talkers, all_talkers;
	struct ps_figure_row services[PS_AI_TOP]; /* responder, protocol, port; most bytes first */
	size_t n_services, all_services;
	const struct ps_conn *worst[PS_AI_TOP]; /* most segments sent again; they point into the snapshot */
	size_t n_worst;
};

/* 0 or -ENOMEM. `conns` must outlive the figures. */
int ps_figures_count(const struct ps_conn *conns, size_t n, struct ps_figures *ret_figures);

#endif
