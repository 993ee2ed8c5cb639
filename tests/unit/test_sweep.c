/* The walk through the kernel's table: what it reports, what it ends, and what it must leave alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <cmocka.h>

#include "aggregator/limits.h"
#include "aggregator/sweep.h"
#include "common/limits.h"
#include "tests/unit/memory_kernel.h"

static const struct ps_timeouts timeouts = {
	.syn_sent = 120 * MK_SEC,
	.syn_recv = 60 * MK_SEC,
	.established = 1000 * MK_SEC,
	.fin_wait = 120 * MK_SEC,
	.close_wait = 60 * MK_SEC,
	.last_ack = 30 * MK_SEC,
	.time_wait = 120 * MK_SEC,
	.close = 10 * MK_SEC,
	.midstream = 300 * MK_SEC,
	.udp = 30 * MK_SEC,
	.udp_stream = 120 * MK_SEC,
};

#define BUCKETS 8

struct fixture {
	struct memory_kernel k;
	struct ps_conn_table *table;
	struct ps_sweep *sweep;
	struct ps_sweep_result res;
	unsigned updates, ends;
	struct ps_conn last_update, last_end;
};

static void on_update(void *arg, const struct ps_conn *c)
{
	struct fixture *f = arg;

	f->updates++;
	f->last_update = *c;
}

static void on_end(void *arg, const struct ps_conn *c)
{
	struct fixture *f = arg;

	f->ends++;
	f->last_end = *c;
}

static const char *iface_name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	(void)arg;
	(void)snprintf(out, PS_NAME_SIZE, "t%u", ifindex);
	return out;
}

static const struct ps_record_env env = {.iface_name = iface_name};

static void go(struct fixture *f, uint64_t now, bool refresh_only, bool look_at_all)
{
	const struct ps_sweep_run run = {
		.now = now,
		.env = &env,
		.timeouts = &timeouts,
		.refresh_only = refresh_only,
		.look_at_all = look_at_all,
		.on_update = on_update,
		.on_end = on_end,
		.arg = f,
	};

	f->updates = f->ends = 0;
	assert_int_equal(ps_sweep_run(f->sweep, &run, &f->res), 0);
}

static void run(struct fixture *f, uint64_t now)
{
	go(f, now, false, false);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	mk_init(&f->k, BUCKETS, 1);
	assert_int_equal(ps_conn_table_new(1000, &f->table), 0);
	assert_int_equal(ps_sweep_new(&f->k.view, f->table, &f->sweep), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ps_sweep_free(&f->sweep);
	ps_conn_table_free(&f->table);
	mk_free(&f->k);
	free(f);
	return 0;
}

static uint64_t packets_known(const struct fixture *f, uint64_t id)
{
	const struct ps_conn *c = ps_conn_table_find(f->table, id, NULL);

	return c ? c->orig_packets + c->resp_packets : 0;
}

static void an_empty_table_is_silent(void **state)
{
	struct fixture *f = *state;

	run(f, 100 * MK_SEC);
	assert_int_equal(f->updates + f->ends + f->res.used, 0);
}

static void what_moved_is_told_once(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_UDP, 1234, 100 * MK_SEC);

	run(f, 101 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(f->last_update.id, id);
	assert_string_equal(f->last_update.iface, "t3");
	assert_int_equal(f->res.used, 1);
	assert_int_equal(f->res.half_open, 1);
	run(f, 102 * MK_SEC);
	assert_int_equal(f->updates, 0);
	mk_packet(&f->k, 5, 1, 500, 102 * MK_SEC);
	run(f, 103 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(f->last_update.resp_bytes, 500);
	assert_int_equal(packets_known(f, id), 2);
}

static void a_state_written_late_is_seen(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_TCP, 1234, 100 * MK_SEC);

	/* The hot line is new, the TCP line not yet: the packet is a microsecond old. */
	run(f, 100 * MK_SEC + 1000);
	assert_int_equal(ps_conn_table_find(f->table, id, NULL)->state, PS_TCP_SYN_SENT);
	f->k.tcp[5].state = PS_TCP_CLOSE;
	run(f, 101 * MK_SEC);
	assert_int_equal(ps_conn_table_find(f->table, id, NULL)->state, PS_TCP_CLOSE);
}

static void a_refresh_tells_later(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_UDP, 1234, 100 * MK_SEC);

	go(f, 101 * MK_SEC, true, false);
	assert_int_equal(f->updates, 0);
	assert_int_equal(packets_known(f, id), 1);
	/* no packet since, but nobody was told of the first one */
	run(f, 102 * MK_SEC);
	assert_int_equal(f->updates, 1);
	run(f, 103 * MK_SEC);
	assert_int_equal(f->updates, 0);
	/* a refresh ends nothing */
	go(f, 1000 * MK_SEC, true, false);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_LIVE | 0x11);
}

/* What the stream brings of a connection that has begun: into the table, and the walk hears of it. */
#define WALL (1700000000 * (int64_t)MK_SEC)

static struct ps_conn tell(struct fixture *f, uint32_t slot)
{
	struct ps_conn c = mk_record(&f->k, slot, PS_END_NONE);

	c.last_seen += (uint64_t)WALL + 1000; /* offsets that were not read at the same time */
	c.state = f->k.hot[slot].proto == IPPROTO_TCP ? f->k.tcp[slot].state : PS_STATE_UNREPLIED;
	(void)snprintf(c.iface, sizeof(c.iface), "heard");
	assert_int_equal(ps_conn_table_apply(f->table, &c, false, 0), PS_CHANGE_NEW);
	ps_sweep_hear(f->sweep, &c, WALL);
	return c;
}

/* Nobody looked at the record again: it is the one that was told. */
static bool is_as_told(const struct fixture *f, uint64_t id)
{
	return !strcmp(ps_conn_table_find(f->table, id, NULL)->iface, "heard");
}

static void what_was_heard_is_not_read_again(void **state)
{
	struct fixture *f = *state;
	struct ps_conn c;

	(void)mk_begin(&f->k, 5, IPPROTO_TCP, 1234, 100 * MK_SEC);
	c = tell(f, 5);
	/* neither while it is young nor later: only a reading would notice this, which no packet goes with */
	f->k.tcp[5].rtt_us = 7;
	go(f, 100 * MK_SEC + 1000, false, false);
	go(f, 101 * MK_SEC, true, false);
	run(f, 102 * MK_SEC);
	assert_int_equal(f->updates, 0);
	assert_int_equal(f->res.used, 1);
	assert_true(is_as_told(f, c.id));
	/* but when all are to be looked at */
	go(f, 103 * MK_SEC, false, true);
	assert_int_equal(f->updates, 1);
	assert_false(is_as_told(f, c.id));
}

static void what_was_heard_expires(void **state)
{
	struct fixture *f = *state;
	struct ps_conn tcp, udp;

	(void)mk_begin(&f->k, 5, IPPROTO_TCP, 1234, 100 * MK_SEC);
	(void)mk_begin(&f->k, 6, IPPROTO_UDP, 1234, 100 * MK_SEC);
	tcp = tell(f, 5);
	udp = tell(f, 6);
	run(f, 101 * MK_SEC);
	run(f, 130 * MK_SEC - 1);
	assert_true(mk_tag(&f->k, 6) & PS_TAG_LIVE);
	run(f, 130 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 6), PS_TAG_DYING);
	run(f, 131 * MK_SEC);
	assert_int_equal(f->ends, 1);
	assert_int_equal(f->last_end.id, udp.id);
	run(f, 220 * MK_SEC - 1);
	assert_true(mk_tag(&f->k, 5) & PS_TAG_LIVE);
	run(f, 220 * MK_SEC);
	run(f, 221 * MK_SEC);
	assert_int_equal(f->last_end.id, tcp.id);
}

/* The clock is coarse: a second packet may bear the time of the first. */
static void a_packet_after_what_was_heard_is_seen(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_UDP, 1234, 100 * MK_SEC);

	(void)tell(f, 5);
	run(f, 100 * MK_SEC + 1000);
	mk_packet(&f->k, 5, 1, 500, 100 * MK_SEC);
	run(f, 101 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(packets_known(f, id), 2);
	/* and when the stream comes late, after the packet */
	(void)mk_begin(&f->k, 7, IPPROTO_UDP, 1235, 101 * MK_SEC);
	(void)tell(f, 7);
	mk_packet(&f->k, 7, 1, 500, 101 * MK_SEC);
	run(f, 102 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(f->last_update.resp_bytes, 500);
}

/* Told of a connection whose slot has another one by then: that one is looked at. */
static void a_slot_with_another_than_was_heard_is_read(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	(void)mk_begin(&f->k, 5, IPPROTO_UDP, 1, 100 * MK_SEC);
	(void)tell(f, 5);
	id = mk_begin(&f->k, 5, IPPROTO_UDP, 2, 100 * MK_SEC + 4000000);
	run(f, 101 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(f->last_update.id, id);
}

/* A state that was heard and is another now: the slot does not end before its time. */
static void a_deadline_is_of_the_state_that_it_is_in(void **state)
{
	struct fixture *f = *state;

	(void)mk_begin(&f->k, 5, IPPROTO_TCP, 1234, 100 * MK_SEC);
	f->k.tcp[5].state = PS_TCP_CLOSE;
	(void)tell(f, 5);
	f->k.tcp[5].state = PS_TCP_SYN_SENT;
	run(f, 101 * MK_SEC);
	run(f, 111 * MK_SEC);
	run(f, 220 * MK_SEC - 1);
	assert_true(mk_tag(&f->k, 5) & PS_TAG_LIVE);
	run(f, 220 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_DYING);
}

static void silence_ends_it_in_steps(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_UDP, 1234, 100 * MK_SEC);

	run(f, 101 * MK_SEC);
	run(f, 130 * MK_SEC - 1);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_LIVE | 0x11);
	run(f, 130 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_DYING);
	assert_int_equal(f->ends, 0);
	assert_int_equal(f->res.dying, 1);
	/* a packet that had found the slot before it was hidden */
	mk_packet(&f->k, 5, 0, 40, 130 * MK_SEC);
	run(f, 130 * MK_SEC + PS_EXPIRY_GRACE_NS - 1);
	assert_int_equal(f->ends, 0);
	run(f, 130 * MK_SEC + PS_EXPIRY_GRACE_NS);
	assert_int_equal(f->ends, 1);
	assert_int_equal(f->res.ended, 1);
	assert_int_equal(f->last_end.id, id);
	assert_int_equal(f->last_end.orig_packets, 2);
	assert_int_equal(f->last_end.end_reason, PS_END_TIMEOUT);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_EMPTY);
	run(f, 140 * MK_SEC);
	assert_int_equal(f->ends + f->updates + f->res.used, 0);
}

static void states_have_their_timeouts(void **state)
{
	static const struct {
		uint8_t state, flags;
		uint64_t seconds;
		uint8_t reason;
	} cases[] = {
		{PS_TCP_SYN_SENT, 0, 120, PS_END_TIMEOUT},
		{PS_TCP_SYN_RECV, 0, 60, PS_END_TIMEOUT},
		{PS_TCP_ESTABLISHED, PS_CONN_CONFIRMED, 1000, PS_END_TIMEOUT},
		{PS_TCP_ESTABLISHED, PS_CONN_MIDSTREAM, 300, PS_END_TIMEOUT},
		{PS_TCP_TIME_WAIT, PS_CONN_CONFIRMED | PS_CONN_CLOSED, 120, PS_END_FIN},
		{PS_TCP_LAST_ACK, PS_CONN_CONFIRMED, 30, PS_END_FIN},
		{PS_TCP_CLOSE, PS_CONN_CONFIRMED | PS_CONN_CLOSED, 10, PS_END_RST},
	};
	struct fixture *f = *state;
	uint64_t now = 100 * MK_SEC;

	for (size_t i = 0; i < PS_ARRAY_SIZE(cases); i++) {
		uint64_t due = now + cases[i].seconds * MK_SEC;

		(void)mk_begin(&f->k, 9, IPPROTO_TCP, 99, now);
		f->k.hot[9].flags = cases[i].flags;
		f->k.tcp[9].state = cases[i].state;
		run(f, now + MK_SEC);
		run(f, due - 1);
		assert_true(mk_tag(&f->k, 9) & PS_TAG_LIVE);
		run(f, due);
		assert_int_equal(mk_tag(&f->k, 9), PS_TAG_DYING);
		run(f, due + MK_SEC);
		assert_int_equal(f->ends, 1);
		assert_int_equal(f->last_end.end_reason, cases[i].reason);
		assert_false(mk_confirmed(&f->k, 9));
		now = due + 2 * MK_SEC;
	}
}

static void a_reused_slot_is_left_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t old = mk_begin(&f->k, 5, IPPROTO_UDP, 1, 100 * MK_SEC), id;

	run(f, 101 * MK_SEC);
	/* recycled by the kernel, with the very tag, just before the old one would have expired */
	id = mk_begin(&f->k, 5, IPPROTO_UDP, 2, 129 * MK_SEC);
	assert_true(id > old);
	run(f, 130 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_LIVE | 0x11);
	assert_int_equal(f->updates, 1);
	assert_int_equal(f->last_update.id, id);
	run(f, 158 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_LIVE | 0x11);
	run(f, 159 * MK_SEC);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_DYING);
}

static void busy_slots_are_skipped(void **state)
{
	struct fixture *f = *state;

	(void)mk_begin(&f->k, 5, IPPROTO_UDP, 1, 100 * MK_SEC);
	mk_set_tag(&f->k, 5, PS_TAG_BUSY);
	run(f, 1000 * MK_SEC);
	assert_int_equal(f->updates + f->ends + f->res.used, 0);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_BUSY);
}

static void a_predecessors_dying_slot_is_finished(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_TCP, 1, 100 * MK_SEC);

	f->k.tcp[5].state = PS_TCP_CLOSE;
	mk_confirm(&f->k, 5);
	mk_set_tag(&f->k, 5, PS_TAG_DYING);
	run(f, 200 * MK_SEC);
	assert_int_equal(f->ends, 0);
	run(f, 201 * MK_SEC);
	assert_int_equal(f->ends, 1);
	assert_int_equal(f->last_end.id, id);
	assert_int_equal(f->last_end.end_reason, PS_END_RST);
	assert_int_equal(mk_tag(&f->k, 5), PS_TAG_EMPTY);
	assert_false(mk_confirmed(&f->k, 5));
}

static void neighbours_in_the_word_survive(void **state)
{
	struct fixture *f = *state;

	for (uint32_t slot = 0; slot < 8; slot++)
		(void)mk_begin(&f->k, slot, IPPROTO_UDP, (uint16_t)(slot + 1), slot % 2 ? 100 * MK_SEC : 125 * MK_SEC);
	run(f, 126 * MK_SEC);
	run(f, 131 * MK_SEC);
	run(f, 132 * MK_SEC);
	assert_int_equal(f->ends, 4);
	for (uint32_t slot = 0; slot < 8; slot++)
		assert_int_equal(mk_tag(&f->k, slot), slot % 2 ? PS_TAG_EMPTY : (PS_TAG_LIVE | 0x11));
}

static void confirmed_bits_are_repaired(void **state)
{
	struct fixture *f = *state;

	/* 1: closed, but the bit stayed; 2: confirmed, but the bit is missing; 3: an empty slot with a bit; 4: right */
	(void)mk_begin(&f->k, 1, IPPROTO_TCP, 1, 100 * MK_SEC);
	f->k.hot[1].flags = PS_CONN_CONFIRMED | PS_CONN_CLOSED;
	f->k.tcp[1].state = PS_TCP_TIME_WAIT;
	mk_set_confirmed(&f->k, 1, true);
	(void)mk_begin(&f->k, 2, IPPROTO_TCP, 2, 100 * MK_SEC);
	f->k.hot[2].flags = PS_CONN_CONFIRMED;
	f->k.tcp[2].state = PS_TCP_ESTABLISHED;
	mk_set_confirmed(&f->k, 3, true);
	(void)mk_begin(&f->k, 4, IPPROTO_TCP, 4, 100 * MK_SEC);
	f->k.tcp[4].state = PS_TCP_ESTABLISHED;
	mk_confirm(&f->k, 4);
	/* not while a packet may just be doing it */
	run(f, 100 * MK_SEC + 1000);
	assert_true(mk_confirmed(&f->k, 1));
	assert_false(mk_confirmed(&f->k, 2));
	run(f, 102 * MK_SEC);
	assert_false(mk_confirmed(&f->k, 1));
	assert_true(mk_confirmed(&f->k, 2));
	assert_false(mk_confirmed(&f->k, 3));
	assert_true(mk_confirmed(&f->k, 4));
}

static void all_are_seen_when_asked(void **state)
{
	struct fixture *f = *state;
	uint64_t id = mk_begin(&f->k, 5, IPPROTO_UDP, 1234, 100 * MK_SEC);

	run(f, 101 * MK_SEC);
	ps_conn_table_mark(f->table);
	run(f, 102 * MK_SEC);
	go(f, 103 * MK_SEC, false, true);
	assert_int_equal(f->updates, 0);
	assert_int_equal(ps_conn_table_end_unseen(f->table, PS_END_EVICTED, 103 * MK_SEC, NULL, NULL), 0);
	assert_int_equal(packets_known(f, id), 1);
}

/* Our own table has no room: the kernel's must come free all the same. */
static void a_full_table_of_ours_delays_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t id;

	ps_conn_table_set_limit(f->table, 1);
	(void)mk_begin(&f->k, 1, IPPROTO_UDP, 1, 100 * MK_SEC);
	id = mk_begin(&f->k, 2, IPPROTO_UDP, 2, 100 * MK_SEC);
	run(f, 101 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(packets_known(f, id), 0);
	/* room again: recorded and told, though no packet came */
	ps_conn_table_set_limit(f->table, 10);
	run(f, 102 * MK_SEC);
	assert_int_equal(f->updates, 1);
	assert_int_equal(packets_known(f, id), 1);
	ps_conn_table_set_limit(f->table, 2);
	(void)mk_begin(&f->k, 3, IPPROTO_UDP, 3, 102 * MK_SEC);
	run(f, 103 * MK_SEC);
	run(f, 140 * MK_SEC);
	run(f, 141 * MK_SEC);
	assert_int_equal(f->ends, 3);
	assert_int_equal(f->res.used, 0);
}

/* The kernel turns slots over while the sweep goes: no connection ends twice, none ends that lives, every slot comes
 * free. */
static void many_rounds_of_chance(void **state)
{
	struct fixture *f = *state;
	enum {
		SLOTS = BUCKETS * PS_BUCKET_SLOTS
	};
	uint64_t rnd = 7, now = 1000 * MK_SEC;
	unsigned begun = 0, ended = 0, recycled = 0;

	for (int round = 0; round < 5000; round++) {
		uint32_t slot = mk_random(&rnd) % SLOTS;
		uint8_t tag = mk_tag(&f->k, slot);
		bool refresh_only = mk_random(&rnd) % 3 == 0;

		if (tag == PS_TAG_EMPTY) {
			(void)mk_begin(&f->k, slot, IPPROTO_UDP, (uint16_t)round, now);
			begun++;
		} else if (tag & PS_TAG_LIVE && mk_random(&rnd) % 4 == 0) {
			struct ps_conn c = mk_record(&f->k, slot, PS_END_EVICTED);

			/* given up: the kernel says so, and begins another */
			(void)ps_conn_table_apply(f->table, &c, true, now);
			(void)mk_begin(&f->k, slot, IPPROTO_UDP, (uint16_t)round, now);
			begun++;
			recycled++;
		} else if (tag & PS_TAG_LIVE) {
			mk_packet(&f->k, slot, 0, 10, now);
		}
		now += MK_SEC / 4 + mk_random(&rnd) % MK_SEC;
		go(f, now, refresh_only, false);
		ended += f->ends;
		for (uint32_t s = 0; s < SLOTS && !refresh_only; s++) {
			if (mk_tag(&f->k, s) & PS_TAG_LIVE)
				assert_true(f->k.hot[s].last_seen + 30 * MK_SEC > now);
		}
	}
	for (int i = 0; i < 3; i++) {
		now += 200 * MK_SEC;
		run(f, now);
		ended += f->ends;
	}
	assert_int_equal(f->res.used, 0);
	assert_int_equal(begun, ended + recycled);
	for (uint32_t s = 0; s < SLOTS; s++)
		assert_int_equal(mk_tag(&f->k, s), PS_TAG_EMPTY);
}

/*
 * Another processor plays the kernel part: it begins, counts and gives up connections by the protocol of bpf/table.h
 * while the sweep expires them. Whatever happens at once, each connection ends once, every slot comes free, and no
 * connection is told of under the name of another.
 */
enum {
	RACE_BUCKETS = 4,
	RACE_SLOTS = RACE_BUCKETS * PS_BUCKET_SLOTS,
	RACE_ROUNDS = 1000000
};

struct race {
	struct fixture *f;
	uint64_t now; /* the clock, atomic */
	bool over;    /* the kernel's side is done, atomic */
	unsigned begun, given_up;
	uint32_t *ended; /* by id: how often */
	unsigned torn;   /* records of which one part is another connection's */
};

static uint64_t race_index(const struct race *r, uint64_t id)
{
	return id - r->f->k.view.meta.id_base - 1;
}

static uint16_t race_port(uint64_t id)
{
	return htons((uint16_t)(id % 60000));
}

static bool race_take(struct ps_bucket_tags *b, uint32_t i, uint8_t from, uint8_t to)
{
	uint64_t word = __atomic_load_n(&b->tags, __ATOMIC_ACQUIRE);
	uint64_t want = (word & ~(0xffull << (8 * i))) | (uint64_t)to << (8 * i);

	return (uint8_t)(word >> (8 * i)) == from &&
	       __atomic_compare_exchange_n(&b->tags, (__u64 *)&word, want, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void *race_kernel(void *arg)
{
	struct race *r = arg;
	struct memory_kernel *k = &r->f->k;
	uint64_t rnd = 99;

	for (unsigned round = 0; round < RACE_ROUNDS; round++) {
		uint32_t slot = (uint32_t)(mk_random(&rnd) % RACE_SLOTS), i = slot % PS_BUCKET_SLOTS;
		struct ps_bucket_tags *b = &k->view.tags[slot / PS_BUCKET_SLOTS];
		uint8_t tag = (uint8_t)(__atomic_load_n(&b->tags, __ATOMIC_ACQUIRE) >> (8 * i));
		uint64_t now = __atomic_add_fetch(&r->now, 2 * MK_SEC, __ATOMIC_RELAXED);
		uint64_t id = __atomic_load_n(&k->cold[slot].id, __ATOMIC_RELAXED);

		uint64_t what = mk_random(&rnd) % 8;

		if (round % 128 == 0)
			(void)sched_yield(); /* let the two meet also where they share a processor */

		if ((tag & PS_TAG_LIVE) && what > 1)
			continue; /* it is silent */
		if ((tag & PS_TAG_LIVE) && what == 1) {
			/* a packet that found it; it may be hidden by now */
			__atomic_store_n(&k->hot[slot].last_seen, now, __ATOMIC_RELAXED);
			(void)__atomic_add_fetch(&k->hot[slot].packets[0], 1, __ATOMIC_RELAXED);
			continue;
		}
		if (tag != PS_TAG_EMPTY && !(tag & PS_TAG_LIVE))
			continue;
		if (!race_take(b, i, tag, PS_TAG_BUSY))
			continue;
		if (tag & PS_TAG_LIVE) {
			(void)__atomic_add_fetch(&r->ended[race_index(r, id)], 1, __ATOMIC_RELAXED);
			r->given_up++;
		}
		id = id ? id + RACE_SLOTS : k->view.meta.id_base + slot + 1;
		/* the parts of a record in any order, and perhaps with some time between them */
		if (round % 2)
			__atomic_store_n(&k->hot[slot].port[0], race_port(id), __ATOMIC_RELEASE);
		if (round % 64 < 2)
			(void)sched_yield();
		__atomic_store_n(&k->cold[slot].id, id, __ATOMIC_RELEASE);
		if (round % 64 < 2)
			(void)sched_yield();
		__atomic_store_n(&k->hot[slot].port[0], race_port(id), __ATOMIC_RELEASE);
		k->hot[slot].packets[0] = 1;
		k->hot[slot].proto = IPPROTO_UDP;
		__atomic_store_n(&k->hot[slot].last_seen, now, __ATOMIC_RELEASE);
		r->begun++;
		(void)__atomic_xor_fetch(
			&b->tags, (uint64_t)(PS_TAG_BUSY ^ (PS_TAG_LIVE | 0x11)) << (8 * i), __ATOMIC_ACQ_REL);
	}
	__atomic_store_n(&r->over, true, __ATOMIC_RELEASE);
	return NULL;
}

static void race_end(void *arg, const struct ps_conn *c)
{
	struct race *r = arg;

	(void)__atomic_add_fetch(&r->ended[race_index(r, c->id)], 1, __ATOMIC_RELAXED);
	r->f->ends++;
	r->torn += c->src_port != c->id % 60000;
}

static void race_update(void *arg, const struct ps_conn *c)
{
	struct race *r = arg;

	r->torn += c->src_port != c->id % 60000;
}

static void two_processors(void **state)
{
	struct fixture *f = *state;
	struct race r = {.f = f, .now = 1000 * MK_SEC, .ended = calloc(RACE_ROUNDS + RACE_SLOTS, sizeof(*r.ended))};
	struct ps_sweep_run go_on = {
		.env = &env, .timeouts = &timeouts, .on_update = race_update, .on_end = race_end, .arg = &r};
	unsigned after = 0, ids = 0;
	pthread_t kernel;

	/* few buckets, so that the two meet; the fixture's table is larger */
	f->k.view.meta.buckets = RACE_BUCKETS;
	assert_int_equal(pthread_create(&kernel, NULL, race_kernel, &r), 0);
	while (after < 4) {
		go_on.now = __atomic_load_n(&r.now, __ATOMIC_RELAXED);
		assert_int_equal(ps_sweep_run(f->sweep, &go_on, &f->res), 0);
		ps_conn_table_forget(f->table, go_on.now);
		if (__atomic_load_n(&r.over, __ATOMIC_ACQUIRE)) {
			r.now += 100 * MK_SEC;
			after++;
		}
	}
	assert_int_equal(pthread_join(kernel, NULL), 0);
	for (uint32_t s = 0; s < RACE_SLOTS; s++)
		assert_int_equal(mk_tag(&f->k, s), PS_TAG_EMPTY);
	for (unsigned i = 0; i < RACE_ROUNDS + RACE_SLOTS; i++) {
		assert_true(r.ended[i] <= 1);
		ids += r.ended[i];
	}
	assert_int_equal(ids, r.begun);
	assert_int_equal(r.begun, r.given_up + f->ends);
	assert_true(f->ends > 0 && r.given_up > 0);
	assert_int_equal(r.torn, 0);
	free(r.ended);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(an_empty_table_is_silent),
		TEST(what_moved_is_told_once),
		TEST(a_state_written_late_is_seen),
		TEST(a_refresh_tells_later),
		TEST(what_was_heard_is_not_read_again),
		TEST(what_was_heard_expires),
		TEST(a_packet_after_what_was_heard_is_seen),
		TEST(a_slot_with_another_than_was_heard_is_read),
		TEST(a_deadline_is_of_the_state_that_it_is_in),
		TEST(silence_ends_it_in_steps),
		TEST(states_have_their_timeouts),
		TEST(a_reused_slot_is_left_alone),
		TEST(busy_slots_are_skipped),
		TEST(a_predecessors_dying_slot_is_finished),
		TEST(neighbours_in_the_word_survive),
		TEST(confirmed_bits_are_repaired),
		TEST(all_are_seen_when_asked),
		TEST(a_full_table_of_ours_delays_nothing),
		TEST(many_rounds_of_chance),
		TEST(two_processors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
