/* From the first packet to being forgotten. */
#include "tests/scenario/rig.h"

#include <stdlib.h>
#include <time.h>

#include "common/limits.h"

static void a_web_request(void **state)
{
	_cleanup_(rig_free) struct rig r;
	uint64_t id;
	bool ended;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	id = mk_begin(&r.k, 7, IPPROTO_TCP, 40000, r.now.boot);
	rig_event(&r, PS_TOPIC_CONN_NEW, 7, 0);
	assert_int_equal(rig_find(&r, id, &ended)->state, PS_TCP_SYN_SENT);

	/* handshake and data: the kernel reported only the change of state */
	mk_packet(&r.k, 7, 1, 60, r.now.boot);
	mk_packet(&r.k, 7, 0, 52, r.now.boot);
	r.k.tcp[7].state = PS_TCP_ESTABLISHED;
	mk_confirm(&r.k, 7);
	rig_event(&r, PS_TOPIC_CONN_UPDATE, 7, 0);
	for (int i = 0; i < 10; i++)
		mk_packet(&r.k, 7, i % 2, 1000, r.now.boot);
	rig_clear(&r);
	rig_pass(&r, 1);
	assert_int_equal(r.updates, 1);
	rig_check_against_kernel(&r);
	rig_check_tap(&r);
	rig_pass(&r, 60);
	assert_int_equal(r.updates, 1); /* silence is not told */

	/* closed both ways */
	mk_packet(&r.k, 7, 0, 52, r.now.boot);
	mk_packet(&r.k, 7, 1, 52, r.now.boot);
	r.k.tcp[7].state = PS_TCP_TIME_WAIT;
	r.k.hot[7].flags |= PS_CONN_CLOSED;
	mk_set_confirmed(&r.k, 7, false);
	rig_event(&r, PS_TOPIC_CONN_UPDATE, 7, 0);
	rig_pass(&r, 119);
	assert_int_equal(r.ends, 0);
	rig_pass(&r, 2);
	assert_int_equal(r.ends, 1);
	assert_int_equal(r.last_end.id, id);
	assert_int_equal(r.last_end.end_reason, PS_END_FIN);
	assert_int_equal(r.last_end.orig_packets + r.last_end.resp_packets, 15);
	assert_int_equal(r.k.ledger.expired, 1);
	assert_int_equal(mk_tag(&r.k, 7), PS_TAG_EMPTY);
	rig_check_tap(&r);

	/* remembered for ten minutes */
	rig_pass(&r, (unsigned)(PS_ENDED_NS / MK_SEC) - 1);
	assert_non_null(rig_find(&r, id, &ended));
	assert_true(ended);
	rig_pass(&r, 1);
	assert_null(rig_find(&r, id, &ended));
}

static void the_kernel_needs_the_slot(void **state)
{
	_cleanup_(rig_free) struct rig r;
	uint64_t old, fresh;
	bool ended;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	old = mk_begin(&r.k, 7, IPPROTO_TCP, 1, r.now.boot);
	rig_event(&r, PS_TOPIC_CONN_NEW, 7, 0);
	rig_event(&r, PS_TOPIC_CONN_END, 7, PS_END_EVICTED);
	fresh = mk_begin(&r.k, 7, IPPROTO_TCP, 2, r.now.boot);
	rig_event(&r, PS_TOPIC_CONN_NEW, 7, 0);
	rig_pass(&r, 1);
	assert_int_equal(rig_find(&r, old, &ended)->end_reason, PS_END_EVICTED);
	assert_true(ended);
	assert_non_null(rig_find(&r, fresh, &ended));
	assert_false(ended);
	assert_int_equal(r.ends, 0); /* the collector told it already */
	rig_check_against_kernel(&r);
	rig_check_tap(&r);
}

static void snapshots_and_statistics_go_out(void **state)
{
	_cleanup_(rig_free) struct rig r;

	(void)state;
	rig_init(&r, 512);
	for (uint32_t slot = 0; slot < 1500; slot++)
		(void)mk_begin(&r.k, slot, IPPROTO_UDP, (uint16_t)slot, r.now.boot);
	r.k.stats.packets = 1500;
	rig_pass(&r, 1);
	assert_int_equal(r.stats, 1);
	assert_int_equal(r.last_packets, 1500);
	assert_int_equal(r.snapshots, 1000);
	rig_pass(&r, 5);
	assert_int_equal(r.stats, 6);
	assert_int_equal(r.snapshots, 2000);
}

/* --- a tick over many connections ------------------------------------------------------------------- */

struct breathing {
	struct rig *r;
	uint64_t last, longest; /* CPU time of this thread, ns */
	uint64_t breaths, heard, late;
};

static uint64_t cpu_time(void)
{
	struct timespec t;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void note_work(struct breathing *b)
{
	uint64_t work = cpu_time() - b->last;

	b->longest = PS_MAX(b->longest, work);
	b->late += work >= 5000000;
}

/* In the middle of the tick's work the stream brings a connection, and sometimes an end. */
static void on_breath(void *arg)
{
	struct breathing *b = arg;
	enum ps_topic topic = b->breaths % 4 == 3 ? PS_TOPIC_CONN_END : PS_TOPIC_CONN_NEW;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_conn c = {.id = 0x70000000 + b->heard, .proto = IPPROTO_UDP, .orig_packets = 1, .rule_id = -1};

	note_work(b);
	b->breaths++;
	if (topic == PS_TOPIC_CONN_END)
		c.id--;
	else
		b->heard++;
	feed_begin(&msg, topic, b->r->epoch, ++b->r->seq[topic]);
	assert_int_equal(ps_batch_add(&msg.batch, &c), 0);
	msg.m.before = (*rig_published(b->r, topic))++;
	assert_int_equal(ps_aggregator_message(b->r->a, feed_end(&msg), &b->r->now), 0);
	b->last = cpu_time();
}

/* PS_SCENARIO_BUCKETS=156000: a million; PS_TIMED=1: late looks fail. */
static void the_stream_goes_on_during_a_tick(void **state)
{
	const char *buckets = getenv("PS_SCENARIO_BUCKETS");
	_cleanup_(rig_free) struct rig r;
	struct breathing b = {.r = &r};
	uint32_t slots;

	(void)state;
	rig_init(&r, buckets ? (uint32_t)strtoul(buckets, NULL, 10) : 16384);
	slots = ps_kernel_slots(&r.k.view) / 5 * 4;
	for (uint32_t slot = 0; slot < slots; slot++)
		(void)mk_begin(&r.k, slot, IPPROTO_TCP, (uint16_t)slot, r.now.boot);
	rig_pass(&r, 7); /* all known, and a snapshot due with the next but one */
	rig_clear(&r);
	r.a->config.breathe = on_breath;
	r.a->config.breathe_arg = &b;
	for (int tick = 0; tick < 6; tick++) {
		for (uint32_t slot = (uint32_t)tick; slot < slots; slot += 50)
			mk_packet(&r.k, slot, 0, 100, r.now.boot);
		r.now.boot += MK_SEC;
		b.last = cpu_time();
		ps_aggregator_tick(r.a, &r.now);
		note_work(&b);
	}
	assert_true(r.snapshots >= 1000);
	assert_true(b.breaths > slots / 8 / 512);
	assert_non_null(rig_find(&r, 0x70000000, NULL));
	print_message("%u connections: %llu looks at the stream, %llu of them later than 5 ms, the longest %.2f ms\n",
		slots, (unsigned long long)b.breaths, (unsigned long long)b.late, (double)b.longest / 1e6);
	/* By hand, on a machine that does nothing else: a host that takes the CPU away counts as ours. */
	if (getenv("PS_TIMED"))
		assert_true(b.late <= b.breaths / 100);
}

static void icmp_is_exact_after_the_last_event(void **state)
{
	_cleanup_(rig_free) struct rig r;
	_cleanup_(feed_free) struct feed_message msg;
	struct ps_icmp icmp;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	/* one event told of the first message; nine more followed within the interval */
	feed_begin(&msg, PS_TOPIC_ICMP, 1, 1);
	memset(&icmp, 0, sizeof(icmp));
	icmp.src_ip = (struct ps_addr){.family = 4, .word = {htonl(0x0a000001)}};
	icmp.dst_ip = (struct ps_addr){.family = 4, .word = {htonl(0x0a000002)}};
	icmp.icmp_type = 8;
	icmp.packets = 1;
	icmp.last_seen = r.now.boot + (uint64_t)RIG_WALL;
	assert_int_equal(ps_batch_add(&msg.batch, &icmp), 0);
	assert_int_equal(ps_aggregator_message(r.a, feed_end(&msg), &r.now), 0);
	mk_icmp(&r.k, 0, 8, 10, r.now.boot);
	r.k.stats.icmp_packets = 10;
	rig_pass(&r, 1);
	assert_int_equal(ps_icmp_table_count(r.a->icmp), 1);
	assert_int_equal(ps_icmp_table_at(r.a->icmp, 0)->packets, 10);
	r.k.icmp_walks = 0;
	rig_pass(&r, 10);
	assert_int_equal(r.k.icmp_walks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_web_request),
		cmocka_unit_test(the_kernel_needs_the_slot),
		cmocka_unit_test(snapshots_and_statistics_go_out),
		cmocka_unit_test(the_stream_goes_on_during_a_tick),
		cmocka_unit_test(icmp_is_exact_after_the_last_event),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
