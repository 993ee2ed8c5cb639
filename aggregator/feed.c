#include "aggregator/feed.h"

#include <errno.h>

#include "aggregator/limits.h"

static enum ps_event_type event_of(enum ps_topic topic)
{
	switch (topic) {
	case PS_TOPIC_CONN_NEW:
		return PS_EV_CONN_NEW;
	case PS_TOPIC_CONN_UPDATE:
		return PS_EV_CONN_UPDATE;
	case PS_TOPIC_CONN_END:
		return PS_EV_CONN_END;
	case PS_TOPIC_ICMP:
		return PS_EV_ICMP;
	case PS_TOPIC_DROP:
		return PS_EV_DROP;
	default:
		return PS_EV_TYPES;
	}
}

static void bump(__u64 *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static void count_applied(struct ps_feed *f, enum ps_event_type type, uint64_t n)
{
	f->uncounted[type] += n;
	if (!f->ledger)
		return;
	bump(&f->ledger->applied[type], f->uncounted[type]);
	f->uncounted[type] = 0;
}

/* Up to PS_FEED_BATCH records: first all are decoded and what they touch is asked for, then they are applied. */
static int conn_batch(struct ps_feed *f, struct ps_batch_reader *r, bool end, uint64_t now, uint64_t *applied)
{
	struct ps_conn batch[PS_FEED_BATCH];
	size_t strangers = 0;
	unsigned n = 0;
	int got = 1;

	while (n < PS_FEED_BATCH && (got = ps_batch_next(r, &batch[n])) > 0)
		ps_conn_table_prefetch(f->conns, batch[n++].id);
	for (unsigned i = 0; i < n; i++) {
		size_t before = strangers;

		strangers = ps_conn_table_prefetch_record(f->conns, batch[i].id, strangers);
		if (strangers > before && f->sweep)
			ps_sweep_prefetch(f->sweep, batch[i].id);
	}
	for (unsigned i = 0; i < n; i++) {
		/* A full table is counted by the table; the kernel's own stays the truth. */
		int change = ps_conn_table_apply(f->conns, &batch[i], end, now);

		if (change == PS_CHANGE_NEW && f->sweep)
			ps_sweep_hear(f->sweep, &batch[i], f->wall_offset);
	}
	*applied += n;
	return got;
}

static int icmp_next(struct ps_feed *f, struct ps_batch_reader *r, uint64_t *applied)
{
	struct ps_icmp icmp;
	int got = ps_batch_next(r, &icmp);

	if (got > 0) {
		(void)ps_icmp_table_apply(f->icmp, &icmp);
		(*applied)++;
	}
	return got;
}

/* Drops are counted in the rule's own counters; here they are only acknowledged. */
static int drop_next(struct ps_batch_reader *r, uint64_t *applied)
{
	struct ps_drop drop;
	int got = ps_batch_next(r, &drop);

	if (got > 0)
		(*applied)++;
	return got;
}

static int apply_all(struct ps_feed *f, const struct ps_message *m, uint64_t now, uint64_t *applied)
{
	struct ps_batch_reader reader;
	int r;

	r = ps_batch_reader_init(
		&reader, ps_topic_record(m->topic), ps_value_get(m->header, "fields"), m->payload, m->payload_len);
	if (r < 0)
		return r;
	do {
		switch (ps_topic_record(m->topic)) {
		case PS_RECORD_CONN:
			r = conn_batch(f, &reader, m->topic == PS_TOPIC_CONN_END, now, applied);
			break;
		case PS_RECORD_ICMP:
			r = icmp_next(f, &reader, applied);
			break;
		default:
			r = drop_next(&reader, applied);
		}
	} while (r > 0);
	return r;
}

/* `before` says how many the feed took before this message: what of them is not known will not come any more. */
static void count_missed(struct ps_feed *f, enum ps_event_type type, uint64_t before)
{
	uint64_t known;

	if (!f->ledger)
		return;
	count_applied(f, type, 0);
	known = f->ledger->applied[type] + f->ledger->missed[type];
	if (before <= known)
		return;
	bump(&f->ledger->missed[type], before - known);
	f->gap = true;
}

int ps_feed_message(struct ps_feed *f, const struct ps_message *m, uint64_t now)
{
	enum ps_event_type type = event_of(m->topic);
	uint64_t applied = 0;
	int r;

	if (type == PS_EV_TYPES)
		return -EBADMSG;
	if (m->restarted || m->missed)
		f->gap = true;
	if (m->epoch != f->epoch) {
		f->epoch = m->epoch;
		for (int t = 0; t < PS_TOPICS; t++)
			f->seq[t] = 0;
	}
	f->seq[m->topic] = m->seq;
	count_missed(f, type, m->before);
	r = apply_all(f, m, now, &applied);
	count_applied(f, type, applied);
	if (r < 0)
		f->gap = true;
	return r;
}
