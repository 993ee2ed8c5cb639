/*
 * Events to records on the bus: `events` for whoever listens, and `feed` for the aggregator, which reports what it
 * would not take. Counts in the kernel's ledger, so that the sums outlive the collector.
 */
#ifndef PS_PUBLISH_H
#define PS_PUBLISH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bpf/abi.h"
#include "collector/event.h"
#include "common/bus/bus.h"
#include "common/bus/loop.h"
#include "common/model/record.h"

struct ps_publish;

/*
 * Binds both sockets. `ledger` is the mapped ps_ledger and outlives the object. Its collector's block goes on from what
 * it holds: received[0] counts what broke the ABI, published and refused speak of the feed, abandoned is what a
 * collector that was killed took along.
 */
int ps_publish_new(struct ps_bus *bus, const struct ps_endpoints *where, struct ps_ledger *ledger,
	struct ps_publish **ret_publish, struct ps_error *err);
/* Further endpoints for `events`, as ps_publisher_bind. */
int ps_publish_bind(struct ps_publish *publish, const char *endpoints, struct ps_error *err);
void ps_publish_free(struct ps_publish **publish); /* sends what waits */

/*
 * Says which event ps_publish_event will get next: `position` is where it begins in the ring of that number. With it
 * the event is counted once, though this process be killed before the ring has moved on.
 */
void ps_publish_at(struct ps_publish *publish, unsigned ring, uint64_t position);

/* One event as it came out of a ring; now in boot time. */
void ps_publish_event(
	struct ps_publish *publish, const void *data, size_t size, const struct ps_record_env *env, uint64_t now);

/* Sends what is due, or everything. Returns ns until the next is due, UINT64_MAX if nothing waits. */
uint64_t ps_publish_flush(struct ps_publish *publish, uint64_t now, bool force);

/* What the kernel lost, by event type, absolute: goes into the headers. */
void ps_publish_set_lost(struct ps_publish *publish, const uint64_t lost[static PS_EV_TYPES]);

/* Tells both sockets how far each silent topic has come, as ps_publisher_mark does: once a second. */
void ps_publish_mark(struct ps_publish *publish);

/* fn is called when the aggregator calls, and asks ps_publish_called. */
int ps_publish_listen(struct ps_publish *publish, struct ps_loop *loop, ps_loop_fn fn, void *arg);
bool ps_publish_called(struct ps_publish *publish);

/* Events that broke the ABI since the start of this process. */
uint64_t ps_publish_malformed(const struct ps_publish *publish);

#endif
