/* The collector's stream: what is applied, what is missing, and how both are counted. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "aggregator/feed.h"
#include "tests/unit/feed_message.h"
#include "tests/unit/memory_kernel.h"

struct fixture {
	struct ps_ledger ledger;
	struct ps_feed feed;
	struct ps_conn_table *conns;
	struct ps_icmp_table *icmp;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(ps_conn_table_new(5000, &f->conns), 0);
	assert_int_equal(ps_icmp_table_new(&f->icmp), 0);
	f->feed = (struct ps_feed){.conns = f->conns, .icmp = f->icmp, .ledger = &f->ledger};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_conn_table_free(&f->conns);
	ps_icmp_table_free(&f->icmp);
	free(f);
	return 0;
}

static struct ps_conn conn(uint64_t id, uint64_t packets)
{
	struct ps_conn c;

	memset(&c, 0, sizeof(c));
	c.id = id;
	c.proto = IPPROTO_UDP;
	c.rule_id = -1;
	c.orig_packets = packets;
	return c;
}

/* One message with connections first … first + n - 1. */
static int send_conns(struct fixture *f, enum ps_topic topic, uint64_t epoch, uint64_t seq, uint64_t first, unsigned n,
	uint64_t packets, uint64_t missed)
{
	_cleanup_(feed_free) struct feed_message msg;

	feed_begin(&msg, topic, epoch, seq);
	for (unsigned i = 0; i < n; i++) {
		struct ps_conn c = conn(first + i, packets);

		c.end_reason = topic == PS_TOPIC_CONN_END ? PS_END_RST : PS_END_NONE;
		assert_int_equal(ps_batch_add(&msg.batch, &c), 0);
	}
	feed_end(&msg)->missed = missed;
	return ps_feed_message(&f->feed, &msg.m, 1);
}

static void records_reach_the_tables(void **state)
{
	struct fixture *f = *state;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_conn_totals totals;
	struct ps_icmp icmp;
	bool ended;

	assert_int_equal(send_conns(f, PS_TOPIC_CONN_NEW, 9, 1, 1, 1000, 1, 0), 0);
	assert_int_equal(send_conns(f, PS_TOPIC_CONN_UPDATE, 9, 1, 1, 500, 7, 0), 0);
	assert_int_equal(send_conns(f, PS_TOPIC_CONN_END, 9, 1, 1, 10, 8, 0), 0);
	ps_conn_table_totals(f->conns, &totals);
	assert_int_equal(totals.live, 990);
	assert_int_equal(totals.ended, 10);
	assert_int_equal(ps_conn_table_find(f->conns, 10, &ended)->orig_packets, 8);
	assert_true(ended);
	assert_int_equal(ps_conn_table_find(f->conns, 500, &ended)->orig_packets, 7);
	assert_int_equal(ps_conn_table_find(f->conns, 501, &ended)->orig_packets, 1);

	feed_begin(&msg, PS_TOPIC_ICMP, 9, 1);
	memset(&icmp, 0, sizeof(icmp));
	icmp.icmp_type = 8;
	icmp.packets = 4;
	assert_int_equal(ps_batch_add(&msg.batch, &icmp), 0);
	assert_int_equal(ps_feed_message(&f->feed, feed_end(&msg), 1), 0);
	assert_int_equal(ps_icmp_table_at(f->icmp, 0)->packets, 4);

	assert_int_equal(f->ledger.applied[PS_EV_CONN_NEW], 1000);
	assert_int_equal(f->ledger.applied[PS_EV_CONN_UPDATE], 500);
	assert_int_equal(f->ledger.applied[PS_EV_CONN_END], 10);
	assert_int_equal(f->ledger.applied[PS_EV_ICMP], 1);
	assert_int_equal(f->feed.epoch, 9);
	assert_int_equal(f->feed.seq[PS_TOPIC_CONN_UPDATE], 1);
}

static void drops_are_acknowledged(void **state)
{
	struct fixture *f = *state;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_drop drop;

	feed_begin(&msg, PS_TOPIC_DROP, 9, 5);
	memset(&drop, 0, sizeof(drop));
	for (int i = 0; i < 3; i++)
		assert_int_equal(ps_batch_add(&msg.batch, &drop), 0);
	assert_int_equal(ps_feed_message(&f->feed, feed_end(&msg), 1), 0);
	assert_int_equal(f->ledger.applied[PS_EV_DROP], 3);
	assert_int_equal(f->feed.seq[PS_TOPIC_DROP], 5);
}

static void gaps_are_noticed(void **state)
{
	struct fixture *f = *state;
	_cleanup_(feed_free) struct feed_message msg;

	assert_int_equal(send_conns(f, PS_TOPIC_CONN_NEW, 9, 1, 1, 1, 1, 0), 0);
	assert_false(f->feed.gap);
	assert_int_equal(send_conns(f, PS_TOPIC_CONN_NEW, 9, 4, 2, 1, 1, 2), 0);
	assert_true(f->feed.gap);
	f->feed.gap = false;
	feed_begin(&msg, PS_TOPIC_CONN_UPDATE, 10, 1);
	feed_end(&msg)->restarted = true;
	assert_int_equal(ps_feed_message(&f->feed, &msg.m, 1), 0);
	assert_true(f->feed.gap);
	/* another epoch: what was known of its numbers is void */
	assert_int_equal(f->feed.seq[PS_TOPIC_CONN_NEW], 0);
	assert_int_equal(f->feed.epoch, 10);
}

static void a_broken_message_is_a_gap(void **state)
{
	struct fixture *f = *state;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_conn c = conn(1, 1);

	feed_begin(&msg, PS_TOPIC_CONN_NEW, 9, 1);
	(void)ps_batch_add(&msg.batch, &c);
	c.id = 2;
	(void)ps_batch_add(&msg.batch, &c);
	feed_end(&msg)->payload_len -= 3;
	assert_int_equal(ps_feed_message(&f->feed, &msg.m, 1), -EBADMSG);
	assert_true(f->feed.gap);
	assert_non_null(ps_conn_table_find(f->conns, 1, NULL));
	assert_int_equal(f->ledger.applied[PS_EV_CONN_NEW], 1);
	msg.m.topic = PS_TOPIC_STATS;
	assert_int_equal(ps_feed_message(&f->feed, &msg.m, 1), -EBADMSG);
}

/* An empty message: so many were sent before it. */
static void mark(struct fixture *f, uint64_t seq, uint64_t before)
{
	_cleanup_(feed_free) struct feed_message msg;

	feed_begin(&msg, PS_TOPIC_CONN_NEW, 9, seq);
	feed_end(&msg)->before = before;
	assert_int_equal(ps_feed_message(&f->feed, &msg.m, 1), 0);
}

static void missing_records_are_counted_to_the_record(void **state)
{
	struct fixture *f = *state;

	(void)send_conns(f, PS_TOPIC_CONN_NEW, 9, 1, 1, 7, 1, 0);
	f->feed.gap = false;
	mark(f, 2, 7);
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 0);
	assert_false(f->feed.gap);
	mark(f, 4, 10);
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 3);
	assert_true(f->feed.gap);
	mark(f, 5, 10); /* once */
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 3);
	/* an aggregator that comes back goes on from what the ledger holds: what was sent while it was dead is missing */
	f->feed = (struct ps_feed){.conns = f->conns, .icmp = f->icmp, .ledger = &f->ledger};
	mark(f, 30, 50);
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 43);
	assert_int_equal(f->ledger.applied[PS_EV_CONN_NEW], 7);
	/* a late message of the collector before says nothing new */
	mark(f, 6, 12);
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 43);
}

static void what_came_before_the_maps_is_counted_later(void **state)
{
	struct fixture *f = *state;

	f->feed.ledger = NULL;
	(void)send_conns(f, PS_TOPIC_CONN_NEW, 9, 1, 1, 7, 1, 0);
	f->feed.ledger = &f->ledger;
	mark(f, 2, 7);
	assert_int_equal(f->ledger.applied[PS_EV_CONN_NEW], 7);
	mark(f, 3, 7);
	assert_int_equal(f->ledger.applied[PS_EV_CONN_NEW], 7);
	assert_int_equal(f->ledger.missed[PS_EV_CONN_NEW], 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(records_reach_the_tables),
		TEST(drops_are_acknowledged),
		TEST(gaps_are_noticed),
		TEST(a_broken_message_is_a_gap),
		TEST(missing_records_are_counted_to_the_record),
		TEST(what_came_before_the_maps_is_counted_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
