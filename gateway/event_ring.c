#include "gateway/event_ring.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"

#define FRAME_HEAD 128 /* bytes before the text: id, event's name, "data: " */

struct ps_event_ring {
	char *text;
	struct ps_event *event; /* number n is at n % keep */
	size_t bytes, keep;
	size_t write; /* where the next text goes */
	uint64_t first, next;
	uint64_t prefix;
	uint64_t total[PS_TOPICS], gone[PS_TOPICS];
};

int ps_event_ring_new(size_t bytes, size_t keep, uint64_t prefix, struct ps_event_ring **ret_ring)
{
	_cleanup_(ps_event_ring_free) struct ps_event_ring *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->text = malloc(bytes);
	r->event = calloc(keep, sizeof(*r->event));
	if (!r->text || !r->event)
		return -ENOMEM;
	r->bytes = bytes;
	r->keep = keep;
	r->prefix = prefix;
	r->first = r->next = 1;
	*ret_ring = PS_TAKE(r);
	return 0;
}

void ps_event_ring_free(struct ps_event_ring **ring)
{
	if (!*ring)
		return;
	free((*ring)->text);
	free((*ring)->event);
	free(*ring);
	*ring = NULL;
}

static struct ps_event *at(const struct ps_event_ring *r, uint64_t number)
{
	return &r->event[number % r->keep];
}

static void forget_first(struct ps_event_ring *r)
{
	const struct ps_event *e = at(r, r->first++);

	r->gone[e->meta.topic] = e->ordinal;
}

/* A place of len bytes in one piece; whatever lay there goes, in order. */
static size_t make_room(struct ps_event_ring *r, size_t len)
{
	size_t from = r->write;

	if (from + len > r->bytes) {
		/* The rest of the store is skipped: the oldest lie in it. */
		while (r->first < r->next && at(r, r->first)->offset >= r->write)
			forget_first(r);
		from = 0;
	}
	while (r->first < r->next) {
		const struct ps_event *e = at(r, r->first);

		if (r->next - r->first < r->keep && (e->offset >= from + len || e->offset + e->len <= from))
			break;
		forget_first(r);
	}
	r->write = from + len;
	return from;
}

int ps_event_ring_add(
	struct ps_event_ring *ring, const struct ps_event_meta *meta, const char *name, const void *text, size_t len)
{
	char head[FRAME_HEAD];
	int n = snprintf(head, sizeof(head), "id: %08" PRIx64 "-%" PRIu64 "\nevent: %.32s\ndata: ", ring->prefix,
		ring->next, name);
	size_t all = (size_t)n + len + 2, from;

	if (all > ring->bytes / 4) { /* one event must not drive out all others */
		/* Told as what it is: one more that has gone. Those before it go too, or the numbers would lie. */
		while (ring->first < ring->next)
			forget_first(ring);
		ring->gone[meta->topic] = ++ring->total[meta->topic];
		ring->first = ++ring->next;
		return -E2BIG;
	}
	from = make_room(ring, all);
	memcpy(ring->text + from, head, (size_t)n);
	memcpy(ring->text + from + n, text, len);
	memcpy(ring->text + from + (size_t)n + len, "\n\n", 2);
	*at(ring, ring->next) =
		(struct ps_event){.meta = *meta, .ordinal = ++ring->total[meta->topic], .offset = from, .len = all};
	ring->next++;
	return 0;
}

uint64_t ps_event_ring_first(const struct ps_event_ring *ring)
{
	return ring->first;
}

uint64_t ps_event_ring_next(const struct ps_event_ring *ring)
{
	return ring->next;
}

const struct ps_event *ps_event_ring_get(const struct ps_event_ring *ring, uint64_t number)
{
	return at(ring, number);
}

const char *ps_event_ring_text(const struct ps_event_ring *ring, const struct ps_event *event)
{
	return ring->text + event->offset;
}

uint64_t ps_event_ring_total(const struct ps_event_ring *ring, enum ps_topic topic)
{
	return ring->total[topic];
}

uint64_t ps_event_ring_gone(const struct ps_event_ring *ring, enum ps_topic topic)
{
	return ring->gone[topic];
}

int ps_event_ring_parse(const struct ps_event_ring *ring, const char *id, uint64_t *ret_number)
{
	uint64_t prefix, number;
	int used = 0;

	if (sscanf(id, "%16" SCNx64 "-%20" SCNu64 "%n", &prefix, &number, &used) != 2 || id[used] ||
		prefix != ring->prefix || number >= ring->next)
		return -EINVAL;
	*ret_number = number;
	return 0;
}
