/*
 * One stream's way through the ring of events: which it wants, how far it is, and what it is told when it was too slow.
 * Its queue is the ring itself, so a slow stream costs nobody memory. Pure: `now` is boot time, ns.
 */
#ifndef PS_EVENT_READER_H
#define PS_EVENT_READER_H

#include <sys/types.h>

#include "common/base/error.h"
#include "common/model/value.h"
#include "gateway/event_ring.h"

struct ps_event_filter {
	uint32_t topics;   /* bits 1 << enum ps_topic */
	int proto;         /* -1 = any */
	int port;          /* of either end; -1 = any */
	struct ps_addr ip; /* of either end; family 0 = any */
};

/* Topics that a stream can have, and those it gets without asking. */
uint32_t ps_event_topics_known(void);
uint32_t ps_event_topics_default(void);

/* From the query's parameters `topics` `proto` `ip` `port`. -EINVAL names the one to blame. */
int ps_event_filter_read(const struct ps_value *args, struct ps_event_filter *ret_filter, struct ps_error *err);

/* Events without ends (rules, findings, statistics) are asked for their topic alone. */
bool ps_event_filter_match(const struct ps_event_filter *f, const struct ps_event_meta *meta);

#define PS_EVENT_CONTROL 1024 /* room for a greeting and a gap of every topic */

struct ps_event_reader {
	struct ps_event_filter filter;
	uint64_t next;            /* the event to read */
	size_t part;              /* bytes of it that are on their way already */
	uint64_t seen[PS_TOPICS]; /* ordinal of the last event of each topic that is behind us */
	char control[PS_EVENT_CONTROL];
	size_t control_len, control_at;
	uint64_t last;  /* when something was given */
	uint64_t since; /* when the present window of the slowness check began; 0 = not behind */
	uint64_t taken; /* bytes in it */
};

/*
 * Begins at the ring's end, or behind `last_id` (NULL = none) when that event is still there. If it is not, the stream
 * begins with a gap: "lost" is how many events came since, of any topic; null when the id is of another run.
 */
void ps_event_reader_init(struct ps_event_reader *r, const struct ps_event_filter *filter,
	const struct ps_event_ring *ring, const char *last_id, uint64_t now);

/* Is there anything to read? Passes over what the filter leaves out. */
bool ps_event_reader_ready(struct ps_event_reader *r, const struct ps_event_ring *ring);

/* A comment, if the stream has been silent for PS_EVENTS_ALIVE_NS. True: there is something to read now. */
bool ps_event_reader_alive(struct ps_event_reader *r, uint64_t now);

/*
 * Up to `max` bytes; whole events, unless one alone is larger. 0: nothing there. -EPIPE: the event that was half given
 * has gone; the stream must end.
 */
ssize_t ps_event_reader_read(
	struct ps_event_reader *r, const struct ps_event_ring *ring, char *buf, size_t max, uint64_t now);

/* Behind for PS_EVENTS_SLOW_NS, and took less than PS_EVENTS_SLOW_BYTES in that time? To be asked now and then. */
bool ps_event_reader_slow(struct ps_event_reader *r, const struct ps_event_ring *ring, uint64_t now);

#endif
