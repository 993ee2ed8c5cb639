/* SPDX-License-Identifier: MIT */
/*
 * The table of our own against the kernel's LRU hash: the same traffic, drawn at random, must leave the same
 * connections with the same counters, flags, verdicts and TCP analysis in both.
 */
#include "test_rig.h"

#include <stdio.h>

#define PACKETS 40000
#define HOSTS 12

static uint64_t seed = 0x2545f4914f6cdd1dull;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

static const char *address(char *to, size_t size, bool v6, uint32_t host)
{
	snprintf(to, size, v6 ? "2001:db8::%x" : "10.0.%u.7", host + 1);
	return to;
}

struct drawn {
	struct ps_frame_spec spec;
	char src[64];
	char dst[64];
	bool egress;
};

static void draw_packet(struct drawn *d)
{
	static const uint8_t flags[] = {PS_F_SYN, PS_F_SYN | PS_F_ACK, PS_F_ACK, PS_F_ACK, PS_F_ACK,
		PS_F_ACK | PS_F_PSH, PS_F_FIN | PS_F_ACK, PS_F_RST, 0};
	bool v6 = draw(2), up = draw(2), tcp = draw(3);
	uint32_t a = draw(HOSTS), b = draw(HOSTS), port = 80 + draw(2);

	d->egress = draw(2);
	d->spec = (struct ps_frame_spec){
		.src = address(d->src, sizeof(d->src), v6, up ? a : b),
		.dst = address(d->dst, sizeof(d->dst), v6, up ? b : a),
		.proto = tcp ? IPPROTO_TCP : IPPROTO_UDP,
		.sport = up ? 1000 : (uint16_t)port,
		.dport = up ? (uint16_t)port : 1000,
		.flags = flags[draw(PS_ARRAY_SIZE(flags))],
		.seq = 1000 + draw(20) * 100,
		.ack = 1000 + draw(20) * 100,
		.window = 1 + draw(3000),
		.wscale = (uint8_t)draw(3),
		.payload = draw(3) * 100,
		.ip_id = (uint16_t)draw(65536),
		.vlans = (int)draw(2),
		.vid = {(uint16_t)(1 + draw(2))},
	};
}

static int by_name(const void *x, const void *y)
{
	const struct ps_conn_raw *a = x, *b = y;

	return memcmp(a->addr, b->addr, sizeof(a->addr)) ?: memcmp(a->port, b->port, sizeof(a->port))
							     ?: memcmp(a->vlan, b->vlan, sizeof(a->vlan))
							     ?: a->proto - b->proto;
}

static void use_rules(struct ps_rig *r)
{
	static const struct ps_rig_rule rules[] = {
		{.id = 1,
			.key.proto = IPPROTO_TCP,
			.mask.proto = 0xff,
			.key.tcp_flags = PS_F_SYN | PS_F_ACK,
			.mask.tcp_flags = 0xff,
			.action = PS_RULE_ACTION_ALLOW},
		{.id = 2,
			.key.dport = 0x5100,
			.mask.dport = 0xffff,
			.key.direction = PS_DIR_EGRESS,
			.mask.direction = 0xff},
	};

	ps_rig_rules(r, rules, PS_ARRAY_SIZE(rules));
}

static void test_same_connections(void **state)
{
	struct ps_rig *lru = ps_rig_new(&(struct ps_rig_options){.variant = PS_RIG_LRU, .buckets = 4096});
	_cleanup_free_ struct ps_conn_raw *ours = NULL, *theirs = NULL;
	struct ps_stats s, t;
	struct drawn d;
	size_t n, m;

	(void)state;
	use_rules(rig);
	use_rules(lru);
	for (uint64_t i = 0; i < PACKETS; i++) {
		bool passed;

		draw_packet(&d);
		ps_rig_time(rig, T0 + i * 100000);
		ps_rig_time(lru, T0 + i * 100000);
		passed = d.egress ? ps_rig_out(rig, &d.spec) : ps_rig_in(rig, &d.spec);
		assert_int_equal(passed, d.egress ? ps_rig_out(lru, &d.spec) : ps_rig_in(lru, &d.spec));
	}
	ours = ps_rig_conns(rig, &n);
	theirs = ps_rig_conns(lru, &m);
	assert_true(n > 500);
	assert_int_equal(n, m);
	qsort(ours, n, sizeof(*ours), by_name);
	qsort(theirs, n, sizeof(*theirs), by_name);
	for (size_t i = 0; i < n; i++) {
		/* these two name the place, which differs */
		ours[i].id = theirs[i].id = 0;
		ours[i].slot = theirs[i].slot = 0;
		assert_memory_equal(&ours[i], &theirs[i], sizeof(*ours));
	}
	/* and the counters of everything else */
	s = ps_rig_stats(rig);
	t = ps_rig_stats(lru);
	s.conns_recycled = t.conns_recycled = 0;
	s.lost_conn_new = s.lost_conn_update = s.lost_conn_end = s.lost_drop = 0;
	t.lost_conn_new = t.lost_conn_update = t.lost_conn_end = t.lost_drop = 0;
	s.ev_drop = t.ev_drop = 0; /* the gates are shared by hash of the id */
	assert_memory_equal(&s, &t, sizeof(s));
	ps_rig_free(&lru);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_connections),
	};

	return RUN(tests);
}
