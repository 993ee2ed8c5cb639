#include "collector/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"

struct ps_publish {
	struct ps_publisher *events;
	struct ps_publisher *feed;
	struct ps_ledger *ledger;
	uint64_t malformed;
	uint64_t ring, position;             /* of the event that is being taken; position + 1, 0 = not known */
	uint64_t again_ring, again_position; /* the one that our predecessor was taking when it was killed */
};

static const enum ps_topic topics[PS_EV_TYPES] = {
	[PS_EV_CONN_NEW] = PS_TOPIC_CONN_NEW,
	[PS_EV_CONN_UPDATE] = PS_TOPIC_CONN_UPDATE,
	[PS_EV_CONN_END] = PS_TOPIC_CONN_END,
	[PS_EV_ICMP] = PS_TOPIC_ICMP,
	[PS_EV_DROP] = PS_TOPIC_DROP,
};

/* The aggregator maps the same page, and we may be killed anywhere: each counter is stored whole, and in this order. */
#define PS_STORE(counter, value) __atomic_store_n(&(counter), (value), __ATOMIC_RELEASE)

/*
 * What a collector that was killed leaves: the event that it was taking is still in its ring, and counted or just about
 * to be; what it had received and not published is gone.
 */
static void take_over(struct ps_publish *p)
{
	struct ps_ledger *l = p->ledger;

	if (l->taking_at && l->taking_type < PS_EV_TYPES) {
		PS_STORE(l->received[l->taking_type], l->taking_count);
		p->again_ring = l->taking_ring;
		p->again_position = l->taking_at;
	}
	for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++) {
		uint64_t accounted = l->published[type] + l->abandoned[type];

		if (l->received[type] > accounted)
			PS_STORE(l->abandoned[type], l->abandoned[type] + l->received[type] - accounted);
	}
}

int ps_publish_new(struct ps_bus *bus, const struct ps_endpoints *where, struct ps_ledger *ledger,
	struct ps_publish **ret_publish, struct ps_error *err)
{
	_cleanup_(ps_publish_free) struct ps_publish *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = ps_publisher_new(bus, where->events, false, &p->events, err);
	if (r == 0)
		r = ps_publisher_new(bus, where->feed, true, &p->feed, err);
	/* The aggregator hears the feed, and tells taps of `events` how far it has come: both hear the same batches. */
	if (r == 0)
		r = ps_publisher_twin(p->feed, p->events);
	if (r < 0)
		return r;
	p->ledger = ledger;
	take_over(p);
	for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++)
		ps_publisher_count_in(p->feed, topics[type], &ledger->published[type], &ledger->refused[type]);
	*ret_publish = PS_TAKE(p);
	return 0;
}

int ps_publish_bind(struct ps_publish *publish, const char *endpoints, struct ps_error *err)
{
	return ps_publisher_bind(publish->events, endpoints, err);
}

void ps_publish_free(struct ps_publish **publish)
{
	struct ps_publish *p = *publish;

	if (!p)
		return;
	if (p->ledger)
		(void)ps_publish_flush(p, UINT64_MAX, true);
	ps_publisher_free(&p->feed);
	ps_publisher_free(&p->events);
	ps_freep(publish);
}

void ps_publish_at(struct ps_publish *publish, unsigned ring, uint64_t position)
{
	publish->ring = ring;
	publish->position = position + 1;
}

/*
 * The ring moves on only after the event was taken. If we are killed between the two, the next collector meets the
 * event again: from taking_* it knows. Whatever store is the last one, the sum is right after take_over.
 */
static void count(struct ps_publish *p, unsigned type)
{
	struct ps_ledger *l = p->ledger;
	uint64_t n = l->received[type] + 1;

	PS_STORE(l->taking_at, 0);
	PS_STORE(l->taking_ring, p->ring);
	PS_STORE(l->taking_type, type);
	PS_STORE(l->taking_count, n);
	PS_STORE(l->taking_at, p->position);
	PS_STORE(l->received[type], n);
}

/* True once: this event was counted by the collector before us, and what became of it is in the ledger. */
static bool taken_before(struct ps_publish *p)
{
	if (!p->position || p->position != p->again_position || p->ring != p->again_ring)
		return false;
	p->again_position = 0;
	return true;
}

static void queue(struct ps_publish *p, enum ps_event_type type, const void *record, uint64_t now)
{
	/* No memory for a batch is a loss that the publisher counts as refused. */
	(void)ps_publisher_record(p->feed, topics[type], record, now); /* and `events`, its twin */
}

void ps_publish_event(
	struct ps_publish *publish, const void *data, size_t size, const struct ps_record_env *env, uint64_t now)
{
	struct ps_event e;
	union {
		struct ps_conn conn;
		struct ps_icmp icmp;
		struct ps_drop drop;
	} record;

	if (taken_before(publish))
		return;
	if (ps_event_read(data, size, &e) < 0) {
		publish->malformed++;
		count(publish, 0);
		return;
	}
	count(publish, e.type);
	if (e.type == PS_EV_ICMP)
		ps_icmp_from_raw(&e.icmp.key, &e.icmp.val, env, &record.icmp);
	else if (e.type == PS_EV_DROP)
		ps_drop_from_raw(&e.drop, env, &record.drop);
	else
		ps_conn_from_raw(&e.conn.conn, env, &record.conn);
	queue(publish, e.type, &record, now);
}

uint64_t ps_publish_flush(struct ps_publish *publish, uint64_t now, bool force)
{
	uint64_t feed = ps_publisher_flush(publish->feed, now, force);
	uint64_t events = ps_publisher_flush(publish->events, now, force);

	return PS_MIN(feed, events);
}

void ps_publish_set_lost(struct ps_publish *publish, const uint64_t lost[static PS_EV_TYPES])
{
	for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++) {
		ps_publisher_set_lost(publish->events, topics[type], lost[type]);
		ps_publisher_set_lost(publish->feed, topics[type], lost[type]);
	}
}

void ps_publish_mark(struct ps_publish *publish)
{
	uint32_t bits = 0;

	for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++)
		bits |= 1u << topics[type];
	ps_publisher_mark(publish->feed, bits);
}

int ps_publish_listen(struct ps_publish *publish, struct ps_loop *loop, ps_loop_fn fn, void *arg)
{
	return ps_loop_add_publisher(loop, publish->feed, fn, arg);
}

bool ps_publish_called(struct ps_publish *publish)
{
	return ps_publisher_called(publish->feed);
}

uint64_t ps_publish_malformed(const struct ps_publish *publish)
{
	return publish->malformed;
}
