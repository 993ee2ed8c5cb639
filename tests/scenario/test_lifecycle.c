/* From the first packet to being forgotten. */
#include "tests/scenario/rig.h"

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
		cmocka_unit_test(icmp_is_exact_after_the_last_event),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
