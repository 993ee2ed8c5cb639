/* SPDX-License-Identifier: MIT */
/* What becomes of rules over time: deadlines that the kernel part keeps by itself, sets that wait to be confirmed,
 * shadow mode, rates, and sets that are swapped under traffic. */
#include "test_rig.h"

#include <linux/bpf.h>
#include <pthread.h>
#include <stdio.h>

#include <bpf/bpf.h>

#define A "10.0.0.1"
#define B "10.0.0.2"
#define UDP_AB .src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 53
#define TCP_AB .src = A, .dst = B, .proto = IPPROTO_TCP, .sport = 5000, .dport = 80
#define PING .src = A, .dst = B, .proto = IPPROTO_ICMP, .icmp_type = 8

#define USE(...) \
	ps_rig_rules(rig, (const struct ps_rig_rule[]){__VA_ARGS__}, \
		PS_ARRAY_SIZE(((const struct ps_rig_rule[]){__VA_ARGS__})))
#define PROTO(p) .key.proto = (p), .mask.proto = 0xff
#define DPORT(p) .key.dport = htons(p), .mask.dport = 0xffff

static uint64_t packets_of(uint32_t id)
{
	return ps_rig_hits(rig, id).packets;
}

/* --- Deadlines ----------------------------------------------------------------------------------- */

static void test_a_rule_ends_at_its_time(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), .until = T0 + 10 * NS_PER_S}, {.id = 2, PROTO(IPPROTO_UDP), DPORT(54)});
	assert_false(IN(UDP_AB));
	ps_rig_time(rig, T0 + 10 * NS_PER_S - 1);
	assert_false(IN(UDP_AB));
	/* nobody does anything: the connection's remembered verdict ends too */
	ps_rig_time(rig, T0 + 10 * NS_PER_S);
	assert_true(IN(UDP_AB));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = 2));
	assert_true(OUT(UDP_AB));
	assert_int_equal(packets_of(1), 2);
	/* what stood behind it has its turn */
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = 54));
	assert_int_equal(packets_of(2), 1);
}

static void test_an_allow_that_ends_lets_the_next_decide(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), DPORT(53), .action = PS_RULE_ACTION_ALLOW, .until = T0 + NS_PER_S},
		{.id = 2, PROTO(IPPROTO_UDP)});
	assert_true(IN(UDP_AB));
	assert_true(IN(UDP_AB));
	ps_rig_time(rig, T0 + NS_PER_S);
	assert_false(IN(UDP_AB));
	assert_false(IN(UDP_AB));
	assert_int_equal(packets_of(1), 2);
	assert_int_equal(packets_of(2), 2);
}

static void drop_port(struct ps_rule *r, int32_t id, uint16_t port)
{
	ps_rule_defaults(r);
	r->id = id;
	r->enabled = true;
	r->protocol = IPPROTO_UDP;
	r->dst_port = ps_ports_one(port);
}

/* With a deadline to confirm it. */
static void install_until(const struct ps_rule *rules, size_t n, uint64_t confirm_by)
{
	assert_int_equal(ps_rule_set_compile(rig->rules, rules, n, 0, NULL), 0);
	assert_int_equal(ps_rule_install_prepare(&rig->view, rig->rules, rig->runtime->replay_now, NULL), 0);
	(void)ps_rule_install(&rig->view, rig->rules, confirm_by);
}

static void test_an_unconfirmed_set_gives_way(void **state)
{
	struct ps_rule before, after;
	struct ps_rig_event e;

	(void)state;
	drop_port(&before, 1, 53);
	drop_port(&after, 2, 54);
	install_until(&before, 1, 0);
	assert_false(IN(UDP_AB));
	install_until(&after, 1, T0 + 60 * NS_PER_S);
	assert_true(IN(UDP_AB));
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54));
	ps_rig_time(rig, T0 + 60 * NS_PER_S - 1);
	assert_true(IN(UDP_AB));
	/* user space is asleep */
	ps_rig_time(rig, T0 + 60 * NS_PER_S);
	ps_rig_drain(rig);
	ps_rig_forget_events(rig);
	assert_false(IN(UDP_AB));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54));
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, &e), 1);
	assert_int_equal(e.drop.rule_id, 1);
	assert_int_equal(e.drop.generation, 1);
	/* and when it wakes up, nothing changes for packets */
	assert_true(ps_rule_install_settle(&rig->view, T0 + 60 * NS_PER_S));
	assert_false(IN(UDP_AB));
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54));
}

static void test_a_confirmed_set_stays(void **state)
{
	struct ps_rule after;

	(void)state;
	drop_port(&after, 2, 54);
	install_until(NULL, 0, 0);
	install_until(&after, 1, T0 + NS_PER_S);
	assert_int_equal(ps_rule_install_confirm(&rig->view, T0 + 1), 0);
	ps_rig_time(rig, T0 + 10 * NS_PER_S);
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 5000, .dport = 54));
}

/* --- Shadow mode --------------------------------------------------------------------------------- */

static void test_shadow_decides_nothing(void **state)
{
	struct ps_rig_event e;

	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), DPORT(53), .shadow = true}, {.id = 2, PROTO(IPPROTO_UDP), .shadow = true},
		{.id = 3, PROTO(IPPROTO_ICMP), .shadow = true}, {.id = 4, PROTO(IPPROTO_ICMP)},
		{.id = 5, PROTO(IPPROTO_ICMP), .shadow = true});
	for (int i = 0; i < 5; i++)
		assert_true(IN(UDP_AB));
	/* only the first of them would have been met, by every packet of the connection */
	assert_int_equal(packets_of(1), 5);
	assert_int_equal(packets_of(2), 0);
	assert_int_equal(ps_rig_stats(rig).dropped_packets, 0);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, &e), 1);
	assert_int_equal(e.drop.mode, PS_DROP_SHADOW);
	assert_int_equal(e.drop.rule_id, 1);
	assert_int_equal(e.drop.conn_id, ps_rig_conn(rig, IPPROTO_UDP, A, 5000, B, 53).id);
	assert_true(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = 2));
	assert_int_equal(packets_of(2), 1);
	/* before and behind one that drops */
	assert_false(IN(PING));
	assert_int_equal(packets_of(3), 1);
	assert_int_equal(packets_of(4), 1);
	assert_int_equal(packets_of(5), 0);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_DROP, &e), 4);
	assert_int_equal(e.drop.mode, PS_DROP_ENFORCED);
}

static void test_an_allow_hides_shadows(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), DPORT(53), .action = PS_RULE_ACTION_ALLOW},
		{.id = 2, PROTO(IPPROTO_UDP), .shadow = true});
	assert_true(IN(UDP_AB));
	assert_int_equal(packets_of(1), 1);
	assert_int_equal(packets_of(2), 0);
	/* in shadow mode an allow counts, and drops nothing */
	USE({.id = 3, PROTO(IPPROTO_UDP), .action = PS_RULE_ACTION_ALLOW, .shadow = true},
		{.id = 4, PROTO(IPPROTO_UDP)});
	assert_false(IN(UDP_AB));
	assert_int_equal(packets_of(3), 1);
	assert_int_equal(packets_of(4), 1);
}

/* --- Rates --------------------------------------------------------------------------------------- */

static void test_rate_by_source(void **state)
{
	(void)state;
	USE({.id = 1, PROTO(IPPROTO_UDP), .rate = 10});
	for (int i = 0; i < 10; i++)
		assert_true(IN(UDP_AB));
	assert_false(IN(UDP_AB));
	/* every connection of the source counts, and no other source's */
	assert_false(IN(.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 9, .dport = 9));
	assert_true(IN(.src = "10.0.0.9", .dst = B, .proto = IPPROTO_UDP, .sport = 9, .dport = 9));
	assert_true(IN(PING));
	/* what passed is no hit */
	assert_int_equal(packets_of(1), 2);
	assert_int_equal(ps_rig_stats(rig).dropped_packets, 2);
	/* a tenth of a second later there is room for one */
	ps_rig_time(rig, T0 + NS_PER_S / 10);
	assert_true(IN(UDP_AB));
	assert_false(IN(UDP_AB));
	/* and after a second of silence for ten again */
	ps_rig_time(rig, T0 + 5 * NS_PER_S);
	for (int i = 0; i < 10; i++)
		assert_true(IN(UDP_AB));
	assert_false(IN(UDP_AB));
	/* without a connection too */
	USE({.id = 2, PROTO(IPPROTO_ICMP), .rate = 1});
	assert_true(IN(PING));
	assert_false(IN(PING));
}

/* --- Established connections ---------------------------------------------------------------------- */

static void test_a_new_drop_cuts_what_is_established(void **state)
{
	(void)state;
	assert_true(IN(TCP_AB, .flags = PS_F_SYN, .seq = 1));
	assert_true(OUT(.src = B, .dst = A, .proto = IPPROTO_TCP, .sport = 80, .dport = 5000,
		.flags = PS_F_SYN | PS_F_ACK, .seq = 9, .ack = 2));
	for (int i = 0; i < 5; i++)
		assert_true(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10));
	/* rules that leave it alone, then one that does not */
	USE({.id = 1, PROTO(IPPROTO_TCP), DPORT(81)});
	assert_true(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10));
	USE({.id = 1, PROTO(IPPROTO_TCP), DPORT(81)}, {.id = 2, PROTO(IPPROTO_TCP), DPORT(80)});
	assert_false(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10));
	assert_false(IN(TCP_AB, .flags = PS_F_ACK, .seq = 2, .ack = 10));
}

/* --- Swaps under traffic -------------------------------------------------------------------------- */

#define SWAPS 1000
#define MARKS 64 /* ports of which one set drops the even and the other the odd */
#define ALWAYS 9999

struct traffic {
	struct ps_rig *rig;
	bool stop;
	uint64_t frames, always_through;
};

/* Sends everything, each port in its turn, and the port that both sets block in between. */
static void *send_all(void *arg)
{
	struct traffic *t = arg;
	struct ps_frame always;

	ps_frame_make(&always,
		&(struct ps_frame_spec){.src = A, .dst = B, .proto = IPPROTO_UDP, .sport = 1, .dport = ALWAYS});
	for (uint64_t i = 0; !__atomic_load_n(&t->stop, __ATOMIC_RELAXED); i++) {
		LIBBPF_OPTS(bpf_test_run_opts, run, .repeat = 1);
		struct ps_frame f;

		ps_frame_make(&f, &(struct ps_frame_spec){.src = A,
					  .dst = B,
					  .proto = IPPROTO_UDP,
					  .sport = 1,
					  .dport = (uint16_t)(1000 + i % MARKS)});
		run.data_in = i % 2 ? always.data : f.data;
		run.data_size_in = (uint32_t)(i % 2 ? always.len : f.len);
		if (bpf_prog_test_run_opts(t->rig->xdp_fd, &run) != 0)
			return "the program did not run";
		if (i % 2 && run.retval != XDP_DROP)
			t->always_through++;
		t->frames++;
	}
	return NULL;
}

/* Set 0 has rules with ids below 1000, set 1 the others: generation and id in a drop event must belong together. */
static size_t swap_rules(int which, struct ps_rule *rules)
{
	size_t n = 0;

	for (uint16_t p = 0; p < MARKS; p++)
		if (p % 2 == which)
			drop_port(&rules[n++], which * 1000 + p, (uint16_t)(1000 + p));
	drop_port(&rules[n++], which * 1000 + 999, ALWAYS);
	return n;
}

static void test_swaps_under_traffic(void **state)
{
	struct traffic t = {.rig = rig};
	struct ps_rule rules[2][MARKS];
	struct ps_rule_set *sets[2] = {NULL, NULL};
	size_t checked = 0, counts[2];
	pthread_t thread;
	void *failed;

	(void)state;
	for (int which = 0; which < 2; which++) {
		counts[which] = swap_rules(which, rules[which]);
		assert_int_equal(ps_rule_set_new(&sets[which]), 0);
		assert_int_equal(ps_rule_set_compile(sets[which], rules[which], counts[which], 0, NULL), 0);
		assert_int_equal(ps_rule_install_prepare(&rig->view, sets[which], T0, NULL), 0);
	}
	/* generation 1 is set 0, 2 is set 1, 3 set 0 again … */
	assert_int_equal(ps_rule_install(&rig->view, sets[0], 0), 1);
	assert_int_equal(pthread_create(&thread, NULL, send_all, &t), 0);
	for (uint32_t swap = 1; swap <= SWAPS; swap++) {
		/* laid out anew, so that every page of the half is written; and every drop may be told again */
		assert_int_equal(ps_rule_set_compile(sets[swap % 2], rules[swap % 2], counts[swap % 2], 0, NULL), 0);
		ps_rig_time(rig, T0 + swap * 2 * NS_PER_S);
		assert_int_equal(ps_rule_install(&rig->view, sets[swap % 2], 0), swap + 1);
		ps_rig_drain(rig);
		for (size_t i = 0; i < rig->n_events; i++) {
			const struct ps_event_drop *e = &rig->events[i].drop;

			if (rig->events[i].head.type != PS_EV_DROP)
				continue;
			assert_int_equal((e->generation - 1) % 2, e->rule_id / 1000);
			checked++;
		}
		ps_rig_forget_events(rig);
	}
	__atomic_store_n(&t.stop, true, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	print_message("%llu packets, %u swaps, %zu drops told, %llu of the blocked probe through\n",
		(unsigned long long)t.frames, SWAPS, checked, (unsigned long long)t.always_through);
	assert_int_equal(t.always_through, 0);
	assert_true(t.frames > SWAPS && checked > SWAPS);
	ps_rule_set_free(&sets[0]);
	ps_rule_set_free(&sets[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_rule_ends_at_its_time),
		TEST(test_an_allow_that_ends_lets_the_next_decide),
		TEST(test_an_unconfirmed_set_gives_way),
		TEST(test_a_confirmed_set_stays),
		TEST(test_shadow_decides_nothing),
		TEST(test_an_allow_hides_shadows),
		TEST(test_rate_by_source),
		TEST(test_a_new_drop_cuts_what_is_established),
		TEST(test_swaps_under_traffic),
	};

	return RUN(tests);
}
