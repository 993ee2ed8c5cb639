/* Starts, gaps, kills: whatever was missed, the tables are the kernel's again, and no counter goes back. */
#include "tests/scenario/rig.h"

#include "aggregator/rule_install.h"
#include "common/codec/json.h"

static void joining_late(void **state)
{
	_cleanup_(rig_free) struct rig r;

	(void)state;
	rig_init(&r, 64);
	r.k.present = false;
	rig_pass(&r, 3);
	assert_int_equal(rig_live(&r), 0);
	for (uint32_t slot = 0; slot < 300; slot++)
		(void)mk_begin(&r.k, slot, IPPROTO_UDP, (uint16_t)slot, r.now.boot);
	r.k.present = true;
	rig_pass(&r, 1);
	rig_check_against_kernel(&r);
	rig_check_tap(&r);
	assert_int_equal(r.k.ledger.resyncs, 1);
}

static void killed_and_back(void **state)
{
	_cleanup_(rig_free) struct rig r;
	uint64_t id;

	(void)state;
	rig_init(&r, 64);
	for (uint32_t slot = 0; slot < 100; slot++)
		(void)mk_begin(&r.k, slot, IPPROTO_UDP, (uint16_t)slot, r.now.boot);
	rig_pass(&r, 5);
	/* killed between hiding a slot and freeing it */
	id = r.k.cold[50].id;
	mk_set_tag(&r.k, 50, PS_TAG_DYING);
	rig_start(&r);
	mk_packet(&r.k, 3, 0, 100, r.now.boot);
	rig_clear(&r);
	rig_pass(&r, 3);
	rig_check_against_kernel(&r);
	assert_int_equal(mk_tag(&r.k, 50), PS_TAG_EMPTY);
	assert_int_equal(r.ends, 1);
	assert_int_equal(r.last_end.id, id);
	assert_int_equal(r.k.ledger.resyncs, 2);
	rig_check_tap(&r);
}

/* What was thrown away is counted in the ledger, not in the process. */
static void thrown_away_and_killed(void **state)
{
	_cleanup_(rig_free) struct rig r;

	(void)state;
	rig_init(&r, 64);
	r.a->thrown = (struct ps_agg_thrown){.broken_messages = 1, .broken_requests = 2, .late_requests = 3};
	rig_pass(&r, 2);
	rig_start(&r);
	rig_pass(&r, 1);
	r.a->thrown.late_requests = 4;
	rig_pass(&r, 2);
	assert_int_equal(r.k.ledger.broken_messages, 1);
	assert_int_equal(r.k.ledger.broken_requests, 2);
	assert_int_equal(r.k.ledger.late_requests, 7);
}

static void an_end_that_was_lost(void **state)
{
	_cleanup_(rig_free) struct rig r;
	uint64_t old;
	bool ended;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	old = mk_begin(&r.k, 7, IPPROTO_TCP, 1, r.now.boot);
	rig_event(&r, PS_TOPIC_CONN_NEW, 7, 0);
	rig_pass(&r, 3);
	/* recycled, and the ring was full: neither the end nor the beginning is told */
	(void)mk_begin(&r.k, 7, IPPROTO_TCP, 2, r.now.boot);
	r.k.stats.lost_conn_end = r.k.stats.lost_conn_new = 1;
	rig_clear(&r);
	rig_pass(&r, 2);
	assert_int_equal(r.ends, 1);
	assert_int_equal(r.last_end.id, old);
	assert_int_equal(r.last_end.end_reason, PS_END_EVICTED);
	assert_non_null(rig_find(&r, old, &ended));
	assert_true(ended);
	rig_check_against_kernel(&r);
	rig_check_tap(&r);
}

static void a_record_after_its_end_was_forgotten(void **state)
{
	_cleanup_(rig_free) struct rig r;
	struct ps_conn c;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	(void)mk_begin(&r.k, 7, IPPROTO_TCP, 1, r.now.boot);
	rig_event(&r, PS_TOPIC_CONN_NEW, 7, 0);
	/* of a connection that no slot holds */
	memset(&c, 0, sizeof(c));
	c.id = 999999;
	c.rule_id = -1;
	assert_int_equal(ps_conn_table_apply(r.a->conns, &c, false, r.now.boot), PS_CHANGE_NEW);
	rig_pass(&r, 6);
	rig_check_against_kernel(&r);
}

static void messages_that_were_lost(void **state)
{
	_cleanup_(rig_free) struct rig r;

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 2);
	for (uint32_t slot = 0; slot < 40; slot++) {
		r.deaf = slot >= 10 && slot < 30;
		(void)mk_begin(&r.k, slot, IPPROTO_UDP, (uint16_t)slot, r.now.boot);
		rig_event(&r, PS_TOPIC_CONN_NEW, slot, 0);
	}
	rig_pass(&r, 3);
	rig_check_against_kernel(&r);
	assert_int_equal(r.k.ledger.applied[PS_EV_CONN_NEW], 20);
	assert_int_equal(r.k.ledger.missed[PS_EV_CONN_NEW], 20);
	assert_true(r.k.ledger.resyncs >= 2);
}

static void maps_that_are_replaced(void **state)
{
	_cleanup_(rig_free) struct rig r;
	_cleanup_(ps_value_free) struct ps_value *body = NULL;
	static const char rule[] = "{\"dst_port\": 23, \"rule_type\": \"tcp\", \"enabled\": true}";
	const struct ps_rule_actor me = {.who = "t", .time = 1};
	_cleanup_(ps_rule_result_clear) struct ps_rule_result res = {0};

	(void)state;
	rig_init(&r, 64);
	rig_pass(&r, 1);
	assert_int_equal(ps_json_parse(rule, sizeof(rule) - 1, &body, NULL), 0);
	assert_int_equal(ps_rule_store_create(r.a->rules, body, &me, &res, NULL), 0);
	for (uint32_t slot = 0; slot < 20; slot++)
		(void)mk_begin(&r.k, slot, IPPROTO_UDP, (uint16_t)slot, r.now.boot);
	rig_pass(&r, 1);
	assert_int_equal(rig_live(&r), 20);

	/* detached: the connections are gone, not silent */
	r.k.present = false;
	rig_clear(&r);
	rig_pass(&r, 1);
	assert_int_equal(r.ends, 20);
	assert_int_equal(r.last_end.end_reason, PS_END_DETACHED);
	assert_int_equal(rig_live(&r), 0);
	assert_int_equal(r.k.closed, 1);
	rig_check_tap(&r);

	/* and new maps, of another size, with other ids: opened, and the rules put in force */
	mk_free(&r.k);
	mk_init(&r.k, 32, 2);
	r.k.view.meta.id_base = 500000;
	(void)mk_begin(&r.k, 3, IPPROTO_UDP, 3, r.now.boot);
	rig_pass(&r, 1);
	assert_int_equal(rig_live(&r), 1);
	rig_check_against_kernel(&r);
	assert_int_equal(ps_rule_install_generation(&r.k.view, 0), 1);
	assert_int_equal(r.k.heads[r.k.runtime.rule_switch & 1].tuples, 1);

	/* replaced between two ticks */
	r.k.view.meta.created = 3;
	r.k.cold[3].id = 900001;
	rig_clear(&r);
	rig_pass(&r, 1);
	assert_int_equal(r.ends, 1);
	assert_int_equal(rig_live(&r), 1);
}

/* Random traffic, losses, kills and time: in the quiet after it, everyone has the same table. */
static void all_at_once(void **state)
{
	_cleanup_(rig_free) struct rig r;
	uint64_t rnd = 11, applied = 0, expired = 0;
	enum {
		BUCKETS = 16,
		SLOTS = BUCKETS * PS_BUCKET_SLOTS
	};

	(void)state;
	rig_init(&r, BUCKETS);
	for (int step = 0; step < 20000; step++) {
		uint32_t slot = (uint32_t)(mk_random(&rnd) % SLOTS);
		uint8_t tag = mk_tag(&r.k, slot);
		uint8_t proto = mk_random(&rnd) % 2 ? IPPROTO_TCP : IPPROTO_UDP;
		bool told = mk_random(&rnd) % 20 != 0;

		r.deaf = mk_random(&rnd) % 25 == 0;
		if (tag == PS_TAG_EMPTY) {
			(void)mk_begin(&r.k, slot, proto, (uint16_t)step, r.now.boot);
			if (told)
				rig_event(&r, PS_TOPIC_CONN_NEW, slot, 0);
			else
				r.k.stats.lost_conn_new++;
		} else if (tag & PS_TAG_LIVE && mk_random(&rnd) % 10 == 0) {
			if (told)
				rig_event(&r, PS_TOPIC_CONN_END, slot, PS_END_EVICTED);
			else
				r.k.stats.lost_conn_end++;
			(void)mk_begin(&r.k, slot, proto, (uint16_t)step, r.now.boot);
			rig_event(&r, PS_TOPIC_CONN_NEW, slot, 0);
		} else if (tag & PS_TAG_LIVE) {
			mk_packet(&r.k, slot, (int)(mk_random(&rnd) % 2), 100, r.now.boot);
			if (mk_random(&rnd) % 3 == 0)
				rig_event(&r, PS_TOPIC_CONN_UPDATE, slot, 0);
		}
		if (mk_random(&rnd) % 2000 == 0)
			rig_start(&r);
		if (mk_random(&rnd) % 4 == 0) {
			r.now.boot += mk_random(&rnd) % MK_SEC;
			ps_aggregator_refresh(r.a, &r.now);
		}
		if (mk_random(&rnd) % 4 == 0)
			rig_pass(&r, 1);
		assert_true(r.k.ledger.expired >= expired);
		assert_true(r.k.ledger.applied[PS_EV_CONN_NEW] >= applied);
		expired = r.k.ledger.expired;
		applied = r.k.ledger.applied[PS_EV_CONN_NEW];
	}
	r.deaf = false;
	rig_pass(&r, 6);
	rig_check_against_kernel(&r);
	for (int type = PS_EV_CONN_NEW; type <= PS_EV_CONN_END; type++)
		assert_int_equal(r.k.ledger.published[type], r.k.ledger.applied[type] + r.k.ledger.missed[type]);
	assert_true(expired > 100);
	rig_pass(&r, 400);
	assert_int_equal(rig_live(&r), 0);
	for (uint32_t slot = 0; slot < SLOTS; slot++)
		assert_int_equal(mk_tag(&r.k, slot), PS_TAG_EMPTY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(joining_late),
		cmocka_unit_test(killed_and_back),
		cmocka_unit_test(thrown_away_and_killed),
		cmocka_unit_test(an_end_that_was_lost),
		cmocka_unit_test(a_record_after_its_end_was_forgotten),
		cmocka_unit_test(messages_that_were_lost),
		cmocka_unit_test(maps_that_are_replaced),
		cmocka_unit_test(all_at_once),
	};

	return cmocka_run_group_tests(tests, tempdir_make, tempdir_remove);
}
