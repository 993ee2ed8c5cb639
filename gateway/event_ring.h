/*
 * The last events, as the text that goes to every stream (WHATWG HTML, 9.2: server-sent events): one copy for all
 * readers, bounded in number and bytes. The oldest go first; a reader that was not fast enough learns how many it
 * missed. Pure.
 */
#ifndef PS_EVENT_RING_H
#define PS_EVENT_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "common/bus/bus.h"

/* What a filter may ask about an event. */
struct ps_event_meta {
	enum ps_topic topic;
	bool has_ends; /* proto, addresses and ports are the record's; events without are not filtered */
	uint8_t proto;
	uint16_t port[2];
	struct ps_addr ip[2];
};

struct ps_event {
	struct ps_event_meta meta;
	uint64_t ordinal; /* among the events of its topic, from 1 */
	size_t offset, len;
};

struct ps_event_ring;

/* `prefix` makes ids of this run differ from those of any other. `bytes` and `keep` bound it. */
int ps_event_ring_new(size_t bytes, size_t keep, uint64_t prefix, struct ps_event_ring **ret_ring);
void ps_event_ring_free(struct ps_event_ring **ring);

/*
 * Appends one event: "id: PREFIX-N", "event: NAME", "data: TEXT". `text` is one line. -E2BIG: larger than the ring; it
 * is counted as an event that was lost at once.
 */
int ps_event_ring_add(
	struct ps_event_ring *ring, const struct ps_event_meta *meta, const char *name, const void *text, size_t len);

/* Events have numbers from 1: first … next - 1 are there. */
uint64_t ps_event_ring_first(const struct ps_event_ring *ring);
uint64_t ps_event_ring_next(const struct ps_event_ring *ring);
/* first <= number < next. */
const struct ps_event *ps_event_ring_get(const struct ps_event_ring *ring, uint64_t number);
const char *ps_event_ring_text(const struct ps_event_ring *ring, const struct ps_event *event);

/* Ordinal of the last event of a topic that was given (total) or has gone (gone). */
uint64_t ps_event_ring_total(const struct ps_event_ring *ring, enum ps_topic topic);
uint64_t ps_event_ring_gone(const struct ps_event_ring *ring, enum ps_topic topic);

/* The number in an id that this ring gave; -EINVAL: no id, or of another run. */
int ps_event_ring_parse(const struct ps_event_ring *ring, const char *id, uint64_t *ret_number);

#endif
