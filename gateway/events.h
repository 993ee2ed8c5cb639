/*
 * GET /api/events: the bus as server-sent events. One subscription for all streams, each record rendered once; opened
 * with the first stream that wants its topic, closed PS_EVENTS_LINGER_NS after the last.
 */
#ifndef PS_EVENTS_H
#define PS_EVENTS_H

#include "common/bus/bus.h"
#include "common/bus/loop.h"

struct ps_exchange;
struct ps_events;

/* `endpoints` must outlive it. */
int ps_events_new(
	struct ps_bus *bus, struct ps_loop *loop, const struct ps_endpoints *endpoints, struct ps_events **ret_events);
/* Ends what it feeds: the streams must be gone. */
void ps_events_free(struct ps_events **events);

/* What /metrics tells. */
struct ps_events_totals {
	size_t streams;
	uint64_t opened, cut; /* streams */
	uint64_t events;      /* rendered */
	uint64_t lost;        /* left out by PS_EVENTS_BUDGET, or lost on the bus before */
	uint64_t malformed;   /* messages */
};
void ps_events_totals(const struct ps_events *events, struct ps_events_totals *ret_totals);

#endif
