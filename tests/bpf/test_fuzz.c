/* SPDX-License-Identifier: MIT */
/*
 * Frames at random against a second parser, written from the RFCs for this test alone: what the kernel part makes of
 * any frame must be what that one says: its kind, every field of its key, the verdict of a rule that drops all it can,
 * the record it ends in, and the counters. Frames are valid ones (up to three tags, options, extension headers,
 * fragments) with wrong lengths, bytes overwritten and the end cut off, so that most go deep.
 *
 * PS_FUZZ_SEED repeats a run.
 */
#include "test_rig.h"

#include <linux/if_ether.h>
#include <stdio.h>
#include <time.h>

#define FRAMES 200000 /* PS_FUZZ_FRAMES=N: another number */
#define ROUND 1000    /* frames; every fourth round is on an interface without a link header */

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

enum verdict {
	BAD_ETH,
	NOT_IP,
	BAD_IP,
	BAD_EXT,
	BAD_L4,
	TCP,
	UDP,
	ICMP,
	OTHER,
	FRAGMENT,
	VERDICTS,
};

static uint32_t be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

/* What the second parser says of a frame. Addresses and ports as they stand in it. */
struct seen {
	enum verdict verdict;
	size_t bytes; /* IP bytes; of what is no IP packet, those of the frame */
	uint8_t family, proto, tcp_flags;
	uint8_t src[16], dst[16];
	uint16_t sport, dport; /* host order; ICMP: type, code */
	uint16_t vlan[2];
	uint16_t ip_id;
	bool quotes; /* an ICMP error, and the IP header in it can be read: */
	uint8_t in_family, in_proto;
	uint8_t in_src[16], in_dst[16];
	uint16_t in_sport, in_dport;
};

static bool is_extension(uint8_t next)
{
	return next == 0 || next == 43 || next == 44 || next == 51 || next == 60;
}

/* A chain of extension headers. */
struct chain {
	size_t at;
	uint8_t next;
	bool more, later;
	uint32_t id;
};

/* false: cut off, or too long. */
static bool follow(const uint8_t *p, size_t total, struct chain *c)
{
	for (int headers = 0; is_extension(c->next); headers++) {
		const uint8_t *h = p + c->at;
		size_t len;

		if (headers == PS_IPV6_EXT_MAX || total < c->at + 8)
			return false;
		len = c->next == 44 ? 8 : c->next == 51 ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
		if (len > total - c->at)
			return false;
		if (c->next == 44) {
			c->id = be16(h + 4) << 16 | be16(h + 6);
			c->more = h[3] & 1;
			c->later = be16(h + 2) & 0xfff8;
		}
		c->next = h[0];
		c->at += len;
		if (c->later)
			return true;
	}
	return true;
}

static void judge_quoted(const uint8_t *p, size_t room, struct seen *s)
{
	bool v6 = s->family == 6, later;
	struct chain c = {.at = 40};

	if (room < (v6 ? 40u : 20u) || p[0] >> 4 != s->family || (!v6 && (p[0] & 15) < 5))
		return;
	s->quotes = true;
	s->in_family = s->family;
	memcpy(s->in_src, p + (v6 ? 8 : 12), v6 ? 16 : 4);
	memcpy(s->in_dst, p + (v6 ? 24 : 16), v6 ? 16 : 4);
	if (v6) {
		c.next = p[6];
		later = !follow(p, room, &c) || c.later;
	} else {
		c.next = p[9];
		c.at = (size_t)(p[0] & 15) * 4;
		later = be16(p + 6) & 0x1fff;
	}
	s->in_proto = c.next;
	if (later || (c.next != 6 && c.next != 17) || room < c.at + 4)
		return;
	s->in_sport = (uint16_t)be16(p + c.at);
	s->in_dport = (uint16_t)be16(p + c.at + 2);
}

static void judge_icmp(const uint8_t *p, size_t room, struct seen *s)
{
	bool error;

	s->verdict = room >= 8 ? ICMP : BAD_L4;
	if (room < 2)
		return;
	s->sport = p[0];
	s->dport = p[1];
	error = s->family == 6 ? p[0] >= 1 && p[0] <= 4
			       : p[0] == 3 || p[0] == 4 || p[0] == 5 || p[0] == 11 || p[0] == 12;
	if (room >= 8 && error)
		judge_quoted(p + 8, room - 8, s);
}

/* The payload of an IP packet: room bytes. */
static void judge_l4(const uint8_t *p, size_t room, bool more, struct seen *s)
{
	size_t len;

	s->verdict = OTHER;
	if (s->proto == (s->family == 6 ? 58 : 1)) {
		judge_icmp(p, room, s);
		return;
	}
	if (s->proto != 6 && s->proto != 17)
		return;
	s->verdict = BAD_L4;
	if (room < 4)
		return;
	s->sport = (uint16_t)be16(p);
	s->dport = (uint16_t)be16(p + 2);
	if (s->proto == 17) {
		len = room >= 8 ? be16(p + 4) : 0;
		if (len >= 8 && (len <= room || more))
			s->verdict = UDP;
	} else if (room >= 20) {
		len = (size_t)(p[12] >> 4) * 4;
		s->tcp_flags = p[13];
		if (len >= 20 && len <= room)
			s->verdict = TCP;
	}
}

static void judge4(const uint8_t *p, size_t have, struct seen *s)
{
	size_t header, total;

	s->verdict = BAD_IP;
	if (have < 20 || p[0] >> 4 != 4)
		return;
	s->family = 4;
	s->proto = p[9];
	s->ip_id = (uint16_t)be16(p + 4);
	memcpy(s->src, p + 12, 4);
	memcpy(s->dst, p + 16, 4);
	header = (size_t)(p[0] & 15) * 4;
	total = be16(p + 2);
	if (header < 20 || total < header || total > have)
		return;
	s->bytes = total;
	s->verdict = FRAGMENT;
	if (!(be16(p + 6) & 0x1fff))
		judge_l4(p + header, total - header, p[6] & 0x20, s);
}

static void judge6(const uint8_t *p, size_t have, struct seen *s)
{
	struct chain c = {.at = 40};
	size_t total;

	s->verdict = BAD_IP;
	if (have < 40 || p[0] >> 4 != 6)
		return;
	s->family = 6;
	s->proto = c.next = p[6];
	memcpy(s->src, p + 8, 16);
	memcpy(s->dst, p + 24, 16);
	total = 40 + be16(p + 4);
	if (total > have)
		return;
	s->bytes = total;
	s->verdict = follow(p, total, &c) ? FRAGMENT : BAD_EXT;
	s->proto = c.next;
	s->ip_id = (uint16_t)c.id;
	if (s->verdict == FRAGMENT && !c.later)
		judge_l4(p + c.at, total - c.at, c.more, s);
}

static void judge(const struct ps_frame *f, bool l3, struct seen *s)
{
	const uint8_t *p = f->data;
	size_t at = 12;
	int tags = 0;

	*s = (struct seen){.verdict = NOT_IP, .bytes = f->len};
	if (l3) {
		if (p[0] >> 4 == 4)
			judge4(p, f->len, s);
		else if (p[0] >> 4 == 6)
			judge6(p, f->len, s);
		return;
	}
	while (be16(p + at) == ETH_P_8021Q || be16(p + at) == ETH_P_8021AD) {
		uint16_t vid;

		if (++tags > 2)
			return;
		if (f->len < at + 6) {
			s->verdict = BAD_ETH;
			return;
		}
		vid = be16(p + at + 2) & 0xfff;
		s->vlan[s->vlan[0] ? 1 : 0] = vid ? vid : s->vlan[s->vlan[0] ? 1 : 0];
		at += 4;
	}
	if (be16(p + at) == ETH_P_IP)
		judge4(p + at + 2, f->len - at - 2, s);
	else if (be16(p + at) == ETH_P_IPV6)
		judge6(p + at + 2, f->len - at - 2, s);
}

static const struct ps_frame_spec udp4 = {.src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_UDP, .payload = 6};
static const struct ps_frame_spec udp6 = {.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_UDP, .payload = 6};

static void draw_frame(struct ps_frame *f, bool l3)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};
	static const uint8_t types[] = {0, 43, 44, 51, 60, 60};
	bool v6 = draw(2);
	uint32_t head = l3 ? 0 : 12; /* bytes that mean nothing */
	struct ps_frame_spec s = {
		.l3 = l3,
		.vlans = l3 ? 0 : (int)draw(4),
		.vid = {(uint16_t)draw(3), (uint16_t)draw(3), 1},
		.tpid = {draw(2) ? ETH_P_8021AD : ETH_P_8021Q},
		.src = v6 ? "2001:db8::1" : "10.0.0.1",
		.dst = v6 ? "2001:db8::2" : "10.0.0.2",
		.proto = protos[draw(PS_ARRAY_SIZE(protos))],
		.ip_id = (uint16_t)draw(65536),
		.frag_offset = draw(12) ? 0 : 5,
		.more = !draw(12),
		.ip_options = (uint8_t)(draw(3) * 4),
		.sport = (uint16_t)draw(65536),
		.dport = (uint16_t)draw(65536),
		.flags = (uint8_t)draw(256),
		.wscale = (uint8_t)draw(3),
		.icmp_type = (uint8_t)draw(14),
		.quoted = draw(2) ? (v6 ? &udp6 : &udp4) : NULL,
		.payload = draw(40),
		.padding = draw(3) * 4,
		.exts = (int)draw(4) * (int)draw(4),
		.raw_len = draw(8) ? 0 : (int)draw(60) - 30,
		.raw_udp_len = draw(8) ? 0 : (int)draw(40) - 20,
		.raw_ihl = draw(16) ? 0 : (uint8_t)draw(16),
		.raw_doff = draw(16) ? 0 : (uint8_t)draw(16),
		.raw_version = draw(64) ? 0 : (uint8_t)draw(16),
	};

	for (int i = 0; i < s.exts; i++)
		s.ext[i] = (struct ps_frame_ext){.type = types[draw(PS_ARRAY_SIZE(types))],
			.len = (uint8_t)draw(3),
			.offset = draw(6) ? 0 : 3,
			.more = (uint8_t)draw(2)};
	ps_frame_make(f, &s);
	for (uint32_t n = draw(4); n; n--)
		f->data[head + draw((uint32_t)f->len - head)] = (uint8_t)draw(256);
	if (!draw(4))
		f->len = 14 + draw((uint32_t)f->len - 13);
}

static void expect(const struct ps_stats *s, const uint64_t *want, uint64_t bytes)
{
	assert_int_equal(s->malformed_eth, want[BAD_ETH]);
	assert_int_equal(s->not_ip, want[NOT_IP]);
	assert_int_equal(s->malformed_ip, want[BAD_IP]);
	assert_int_equal(s->malformed_ext, want[BAD_EXT]);
	assert_int_equal(s->malformed_l4, want[BAD_L4]);
	assert_int_equal(s->tcp_packets, want[TCP]);
	assert_int_equal(s->udp_packets, want[UDP]);
	assert_int_equal(s->icmp_packets, want[ICMP]);
	assert_int_equal(s->other_packets, want[OTHER]);
	assert_int_equal(s->fragments, want[FRAGMENT]);
	assert_int_equal(s->bytes, bytes);
}

/* --- what the kernel part says: every packet that is dropped tells its key, and reports its connection --- */

#define DROP_ALL 5
#define ND(type) \
	{ \
		.id = (type), .key.proto = IPPROTO_ICMPV6, .mask.proto = 0xff, .key.sport = __builtin_bswap16(type), \
		.mask.sport = 0xffff, .icmp = true \
	}
/* neighbour discovery has to be named */
static const struct ps_rig_rule drop_everything[] = {{.id = DROP_ALL}, ND(133), ND(134), ND(135), ND(136), ND(137)};

static uint32_t rule_for(const struct seen *s)
{
	bool nd = s->verdict == ICMP && s->family == 6 && s->sport >= 133 && s->sport <= 137;

	return nd ? s->sport : DROP_ALL;
}

static void expect_address(const uint32_t *got, const uint8_t *want)
{
	assert_memory_equal(got, want, 16);
}

static void expect_drop(const struct ps_event_drop *e, const struct seen *s, uint8_t direction)
{
	assert_int_equal(e->key.family, s->family);
	assert_int_equal(e->key.proto, s->proto);
	expect_address(e->key.saddr, s->src);
	expect_address(e->key.daddr, s->dst);
	assert_int_equal(ntohs(e->key.sport), s->sport);
	assert_int_equal(ntohs(e->key.dport), s->dport);
	assert_int_equal(e->key.tcp_flags, s->tcp_flags);
	assert_int_equal(e->key.direction, direction);
	assert_int_equal(e->rule_id, rule_for(s));
	assert_int_equal(e->bytes, s->bytes);
	assert_int_equal(e->ip_id, s->ip_id);
	assert_int_equal(e->vlan[0], s->vlan[0]);
	assert_int_equal(e->vlan[1], s->vlan[1]);
}

static void expect_conn(const struct ps_conn_raw *c, const struct seen *s)
{
	int side = memcmp(c->addr[0], s->src, 16) == 0 && ntohs(c->port[0]) == s->sport ? 0 : 1;

	expect_address(c->addr[side], s->src);
	expect_address(c->addr[!side], s->dst);
	assert_int_equal(ntohs(c->port[side]), s->sport);
	assert_int_equal(ntohs(c->port[!side]), s->dport);
	assert_int_equal(c->proto, s->proto);
	assert_int_equal(c->vlan[0], s->vlan[0]);
	assert_int_equal(c->vlan[1], s->vlan[1]);
	assert_int_equal(c->ip_id, s->ip_id);
	assert_int_equal(!!(c->flags & PS_CONN_IPV6), s->family == 6);
}

static void expect_icmp(const struct ps_event_icmp *e, const struct seen *s)
{
	assert_int_equal(e->key.family, s->family);
	expect_address(e->key.saddr, s->src);
	expect_address(e->key.daddr, s->dst);
	assert_int_equal(e->key.type, s->sport);
	assert_int_equal(e->key.code, s->dport);
	assert_int_equal(e->key.vlan[0], s->vlan[0]);
	assert_int_equal(e->key.vlan[1], s->vlan[1]);
	assert_int_equal(e->val.ip_id, s->ip_id);
	if (!s->quotes)
		return;
	assert_int_equal(e->val.inner_family, s->in_family);
	assert_int_equal(e->val.inner_proto, s->in_proto);
	expect_address(e->val.inner_saddr, s->in_src);
	expect_address(e->val.inner_daddr, s->in_dst);
	assert_int_equal(ntohs(e->val.inner_sport), s->in_sport);
	assert_int_equal(ntohs(e->val.inner_dport), s->in_dport);
}

/* The events of one packet. What stands in a slot that is needed ends with an event of its own. */
static void expect_events(const struct seen *s, uint8_t direction)
{
	unsigned drops = 0, conns = 0, icmps = 0;

	ps_rig_forget_events(rig);
	ps_rig_drain(rig);
	for (size_t i = 0; i < rig->n_events; i++) {
		const struct ps_rig_event *e = &rig->events[i];

		switch (e->head.type) {
		case PS_EV_DROP:
			drops++;
			expect_drop(&e->drop, s, direction);
			break;
		case PS_EV_ICMP:
			icmps++;
			expect_icmp(&e->icmp, s);
			break;
		case PS_EV_CONN_NEW:
		case PS_EV_CONN_UPDATE:
			conns++;
			expect_conn(&e->conn.conn, s);
			break;
		}
	}
	assert_int_equal(drops, s->verdict != NOT_IP);
	assert_int_equal(icmps, s->verdict == ICMP);
	assert_int_equal(conns, s->verdict == TCP || s->verdict == UDP);
}

/* Longer than the report interval before each packet, so that each one speaks. */
static void step(void)
{
	ps_rig_time(rig, rig->runtime->replay_now + 2 * NS_PER_S);
}

static void test_both_parsers_agree(void **state)
{
	const char *again = getenv("PS_FUZZ_SEED"), *number = getenv("PS_FUZZ_FRAMES");
	uint64_t want[VERDICTS] = {0}, bytes = 0, sent = 0;
	uint64_t begun = (again ? strtoull(again, NULL, 10) : (uint64_t)time(NULL) * 2654435761u) | 1;
	unsigned long frames = number ? strtoul(number, NULL, 10) : FRAMES;
	struct ps_frame f;

	(void)state;
	seed = begun;
	print_message("seed %llu\n", (unsigned long long)begun);
	ps_rig_rules(rig, drop_everything, PS_ARRAY_SIZE(drop_everything));
	for (unsigned long i = 0; i < frames; i++) {
		bool l3 = i / ROUND % 4 == 3;
		struct seen s;
		int verdict;

		if (i % ROUND == 0)
			ps_rig_interface(rig, 1, l3 ? PS_IFACE_L3 : 0, 1500);
		draw_frame(&f, l3);
		judge(&f, l3, &s);
		step();
		assert_int_equal(ps_rig_ingress(rig, &f), s.verdict == NOT_IP ? XDP_PASS : XDP_DROP);
		expect_events(&s, PS_DIR_INGRESS);
		want[s.verdict]++;
		bytes += s.bytes;
		step();
		if (ps_rig_try_egress(rig, &f, NULL, &verdict)) {
			assert_int_equal(verdict, s.verdict == NOT_IP ? -1 : 2); /* TC_ACT_SHOT */
			expect_events(&s, PS_DIR_EGRESS);
			want[s.verdict]++;
			bytes += s.bytes;
		}
		if (i % 50 == 0 || i < 2000) {
			struct ps_stats now = ps_rig_stats(rig);

			expect(&now, want, bytes);
			assert_int_equal(now.dropped_packets, now.packets - now.not_ip);
		}
	}
	for (int v = 0; v < VERDICTS; v++) {
		sent += want[v];
		assert_true(want[v] > 50);
	}
	assert_int_equal(ps_rig_stats(rig).packets, sent);
	ps_rig_check_sums(rig);
	print_message("%lu frames, %llu packets, 0 differences\n", frames, (unsigned long long)sent);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_parsers_agree),
	};

	return RUN(tests);
}
