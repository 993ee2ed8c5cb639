#include "collector/publish.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/cleanup.h"

struct ps_publish {
	struct ps_publisher *events;
	struct ps_publisher *feed;
	struct ps_ledger *ledger;
	struct ps_ledger before; /* what earlier collectors counted */
	uint64_t malformed;
};

static const enum ps_topic topics[PS_EV_TYPES] = {
	[PS_EV_CONN_NEW] = PS_TOPIC_CONN_NEW,
	[PS_EV_CONN_UPDATE] = PS_TOPIC_CONN_UPDATE,
	[PS_EV_CONN_END] = PS_TOPIC_CONN_END,
	[PS_EV_ICMP] = PS_TOPIC_ICMP,
	[PS_EV_DROP] = PS_TOPIC_DROP,
};

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
	/* The aggregator hears the feed, and tells taps of `events` how far it has come. */
	if (r == 0)
		r = ps_publisher_twin(p->feed, p->events);
	if (r < 0)
		return r;
	p->ledger = ledger;
	p->before = *ledger;
	*ret_publish = PS_TAKE(p);
	return 0;
}

void ps_publish_free(struct ps_publish **publish)
{
	struct ps_publish *p = *publish;

	if (!p)
		return;
	if (p->ledger) {
		(void)ps_publish_flush(p, UINT64_MAX, true);
		ps_publish_settle(p);
	}
	ps_publisher_free(&p->feed);
	ps_publisher_free(&p->events);
	ps_freep(publish);
}

/* The aggregator maps the same page: each counter is stored whole. */
#define PS_STORE(counter, value) __atomic_store_n(&(counter), (value), __ATOMIC_RELAXED)

static void count(struct ps_publish *p, unsigned type)
{
	PS_STORE(p->ledger->received[type], p->ledger->received[type] + 1);
}

static void queue(struct ps_publish *p, enum ps_event_type type, const void *record, uint64_t now)
{
	/* No memory for a batch is a loss that the ledger shows as received and not published. */
	(void)ps_publisher_record(p->feed, topics[type], record, now);
	(void)ps_publisher_record(p->events, topics[type], record, now);
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

void ps_publish_settle(struct ps_publish *publish)
{
	struct ps_publisher_totals t;

	ps_publisher_totals(publish->feed, &t);
	for (int type = PS_EV_CONN_NEW; type < PS_EV_TYPES; type++) {
		PS_STORE(publish->ledger->published[type], publish->before.published[type] + t.published[topics[type]]);
		PS_STORE(publish->ledger->refused[type], publish->before.refused[type] + t.refused[topics[type]]);
	}
}

uint64_t ps_publish_malformed(const struct ps_publish *publish)
{
	return publish->malformed;
}
