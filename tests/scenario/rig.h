/*
 * A whole aggregator on tables in memory, with a clock that a scenario turns by hand. What it tells is counted and kept
 * in a second table, as a tap would keep it.
 */
#ifndef PS_SCENARIO_RIG_H
#define PS_SCENARIO_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/aggregator.h"
#include "aggregator/conn_page.h"
#include "tests/unit/feed_message.h"
#include "tests/unit/memory_kernel.h"
#include "tests/unit/tempdir.h"

#define RIG_WALL (1700000000 * (int64_t)MK_SEC)

struct rig {
	struct memory_kernel k;
	struct ps_aggregator *a;
	struct ps_agg_time now;
	char state_dir[160];

	unsigned updates, ends, stats, snapshots; /* told since rig_clear */
	struct ps_conn last_end;
	uint64_t last_packets; /* TotalPackets as told */

	uint64_t epoch, seq[PS_TOPICS]; /* of the collector */
	bool deaf;                      /* messages of the collector are lost on the way to the aggregator */
	struct ps_conn_table *tap;      /* events and state together, as a subscriber keeps them */
};

static inline void rig_on_conn(void *arg, enum ps_topic topic, const struct ps_conn *c, uint64_t now)
{
	struct rig *r = arg;

	if (topic == PS_TOPIC_SNAPSHOT) {
		r->snapshots++;
		return;
	}
	if (topic == PS_TOPIC_CONN_END) {
		r->ends++;
		r->last_end = *c;
	} else {
		r->updates++;
	}
	assert_true(ps_conn_table_apply(r->tap, c, topic == PS_TOPIC_CONN_END, now) >= 0);
}

static inline void rig_on_map(void *arg, enum ps_topic topic, const struct ps_value *v)
{
	struct rig *r = arg;

	if (topic != PS_TOPIC_STATS)
		return;
	r->stats++;
	r->last_packets = ps_value_get_uint(v, "TotalPackets", 0);
}

/* A new process: all that the old one knew is gone. */
static inline void rig_start(struct rig *r)
{
	const struct ps_agg_config config = {
		.state_dir = r->state_dir,
		.timeouts =
			{
				.syn_sent = 120 * MK_SEC,
				.syn_recv = 60 * MK_SEC,
				.established = 432000 * MK_SEC,
				.fin_wait = 120 * MK_SEC,
				.close_wait = 60 * MK_SEC,
				.last_ack = 30 * MK_SEC,
				.time_wait = 120 * MK_SEC,
				.close = 10 * MK_SEC,
				.midstream = 300 * MK_SEC,
				.udp = 30 * MK_SEC,
				.udp_stream = 120 * MK_SEC,
			},
		.kernel = {.ops = &mk_ops, .impl = &r->k},
		.listener = {.conn = rig_on_conn, .map = rig_on_map, .arg = r},
	};

	ps_aggregator_free(&r->a);
	assert_int_equal(ps_aggregator_new(&config, &r->now, &r->a, NULL), 0);
}

static inline void rig_init(struct rig *r, uint32_t buckets)
{
	static int number;

	memset(r, 0, sizeof(*r));
	mk_init(&r->k, buckets, 1);
	(void)snprintf(r->state_dir, sizeof(r->state_dir), "%s/state%d", tempdir, number++);
	r->now = (struct ps_agg_time){.boot = 10000 * MK_SEC, .wall_offset = RIG_WALL};
	r->epoch = 1;
	assert_int_equal(ps_conn_table_new(1000000, &r->tap), 0);
	rig_start(r);
}

static inline void rig_free(struct rig *r)
{
	ps_aggregator_free(&r->a);
	ps_conn_table_free(&r->tap);
	mk_free(&r->k);
}

static inline void rig_clear(struct rig *r)
{
	r->updates = r->ends = r->stats = r->snapshots = 0;
}

static const enum ps_topic rig_topics[] = {PS_TOPIC_CONN_NEW, PS_TOPIC_CONN_UPDATE, PS_TOPIC_CONN_END};

static inline __u64 *rig_published(struct rig *r, enum ps_topic topic)
{
	return &r->k.ledger.published[topic == PS_TOPIC_CONN_NEW   ? PS_EV_CONN_NEW
				      : topic == PS_TOPIC_CONN_END ? PS_EV_CONN_END
								   : PS_EV_CONN_UPDATE];
}

/* Seconds pass, a tick each; the collector says where each topic stands, and the tick follows. */
static inline void rig_pass(struct rig *r, unsigned seconds)
{
	while (seconds-- > 0) {
		r->now.boot += MK_SEC;
		for (size_t i = 0; !r->deaf && i < PS_ARRAY_SIZE(rig_topics); i++) {
			_cleanup_(feed_free) struct feed_message msg;

			feed_begin(&msg, rig_topics[i], r->epoch, ++r->seq[rig_topics[i]]);
			msg.m.before = *rig_published(r, rig_topics[i]);
			assert_int_equal(ps_aggregator_message(r->a, feed_end(&msg), &r->now), 0);
		}
		ps_aggregator_tick(r->a, &r->now);
	}
}

/* What the kernel's event of that slot makes of it: a message on the stream, to the tap and, if it hears, the
 * aggregator. */
static inline void rig_event(struct rig *r, enum ps_topic topic, uint32_t slot, uint8_t reason)
{
	static const struct ps_record_env env = {.wall_offset = RIG_WALL, .iface_name = ps_iface_names_get};
	struct ps_iface_names names = {0};
	struct ps_record_env with_names = env;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_conn_raw raw;
	struct ps_conn c;

	with_names.arg = &names;
	ps_conn_raw_gather(&r->k.hot[slot], &r->k.cold[slot],
		r->k.hot[slot].proto == IPPROTO_TCP ? &r->k.tcp[slot] : NULL, slot, &raw);
	raw.end_reason = reason;
	ps_conn_from_raw(&raw, &with_names, &c);
	assert_true(ps_conn_table_apply(r->tap, &c, topic == PS_TOPIC_CONN_END, r->now.boot) >= 0);
	feed_begin(&msg, topic, r->epoch, ++r->seq[topic]);
	assert_int_equal(ps_batch_add(&msg.batch, &c), 0);
	msg.m.before = (*rig_published(r, topic))++;
	if (!r->deaf)
		assert_int_equal(ps_aggregator_message(r->a, feed_end(&msg), &r->now), 0);
}

static inline const struct ps_conn *rig_find(const struct rig *r, uint64_t id, bool *ret_ended)
{
	return ps_conn_table_find(r->a->conns, id, ret_ended);
}

static inline size_t rig_live(const struct rig *r)
{
	struct ps_conn_totals t;

	ps_conn_table_totals(r->a->conns, &t);
	return t.live;
}

/* What the aggregator holds as living is what the kernel's table holds, to the packet. */
static inline void rig_check_against_kernel(const struct rig *r)
{
	size_t live = 0;

	for (uint32_t slot = 0; slot < ps_kernel_slots(&r->k.view); slot++) {
		const struct ps_conn *c;
		bool ended = true;

		if (!(mk_tag(&r->k, slot) & PS_TAG_LIVE))
			continue;
		live++;
		c = rig_find(r, r->k.cold[slot].id, &ended);
		assert_non_null(c);
		assert_false(ended);
		assert_int_equal(c->orig_packets + c->resp_packets,
			(uint64_t)r->k.hot[slot].packets[0] + r->k.hot[slot].packets[1]);
		assert_true(c->orig_bytes + c->resp_bytes == r->k.hot[slot].bytes[0] + r->k.hot[slot].bytes[1]);
	}
	assert_int_equal(rig_live(r), live + r->a->swept.dying);
}

/* Who listened to events and state has the very same table. */
static inline void rig_check_tap(const struct rig *r)
{
	const struct ps_conn *c, *other;
	size_t position = 0;
	bool ended, other_ended;
	struct ps_conn_totals mine, theirs;

	while ((c = ps_conn_table_next(r->a->conns, &position, &ended))) {
		other = ps_conn_table_find(r->tap, c->id, &other_ended);
		assert_non_null(other);
		assert_int_equal(ended, other_ended);
		assert_int_equal(c->orig_packets, other->orig_packets);
		assert_int_equal(c->resp_packets, other->resp_packets);
		assert_true(c->orig_bytes == other->orig_bytes && c->resp_bytes == other->resp_bytes);
		assert_int_equal(c->state, other->state);
	}
	ps_conn_table_totals(r->a->conns, &mine);
	ps_conn_table_totals(r->tap, &theirs);
	assert_int_equal(mine.live, theirs.live);
}

#endif
