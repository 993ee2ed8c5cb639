/* SPDX-License-Identifier: MIT */
/*
 * Frames at random against a second parser, written from the RFCs for this test alone: what the kernel part makes of
 * any frame must be what that one says. Frames are valid ones with bytes overwritten and the end cut off, so that most
 * go deep.
 */
#include "test_rig.h"

#include <linux/if_ether.h>
#include <stdio.h>
#include <time.h>

#define FRAMES 60000

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

/* The payload of an IP packet: room bytes. */
static enum verdict judge_l4(const uint8_t *p, size_t room, uint8_t proto, bool v6, bool more)
{
	if (proto == 6) {
		size_t header = room >= 20 ? (size_t)(p[12] >> 4) * 4 : 0;

		return header >= 20 && header <= room ? TCP : BAD_L4;
	}
	if (proto == 17) {
		size_t len = room >= 8 ? be16(p + 4) : 0;

		return len >= 8 && (len <= room || more) ? UDP : BAD_L4;
	}
	if (proto == (v6 ? 58 : 1))
		return room >= 8 ? ICMP : BAD_L4;
	return OTHER;
}

static enum verdict judge4(const uint8_t *p, size_t have, size_t *ret_bytes)
{
	size_t header, total;

	if (have < 20 || p[0] >> 4 != 4)
		return BAD_IP;
	header = (size_t)(p[0] & 15) * 4;
	total = be16(p + 2);
	if (header < 20 || total < header || total > have)
		return BAD_IP;
	*ret_bytes = total;
	if (be16(p + 6) & 0x1fff)
		return FRAGMENT;
	return judge_l4(p + header, total - header, p[9], false, p[6] & 0x20);
}

static enum verdict judge6(const uint8_t *p, size_t have, size_t *ret_bytes)
{
	size_t total, at = 40;
	bool more = false;
	uint8_t next;

	if (have < 40 || p[0] >> 4 != 6)
		return BAD_IP;
	total = 40 + be16(p + 4);
	if (total > have)
		return BAD_IP;
	*ret_bytes = total;
	next = p[6];
	for (int headers = 0;; headers++) {
		size_t len;

		if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60)
			return judge_l4(p + at, total - at, next, true, more);
		if (headers == PS_IPV6_EXT_MAX || total - at < 8)
			return BAD_EXT;
		len = next == 44 ? 8 : next == 51 ? (p[at + 1] + 2u) * 4 : (p[at + 1] + 1u) * 8;
		if (len > total - at)
			return BAD_EXT;
		if (next == 44) {
			if (be16(p + at + 2) & 0xfff8)
				return FRAGMENT;
			more = p[at + 3] & 1;
		}
		next = p[at];
		at += len;
	}
}

static enum verdict judge(const struct ps_frame *f, size_t *ret_bytes)
{
	size_t at = 12;
	int tags = 0;

	*ret_bytes = f->len;
	while (be16(f->data + at) == ETH_P_8021Q || be16(f->data + at) == ETH_P_8021AD) {
		if (++tags > 2)
			return NOT_IP;
		at += 4;
		if (f->len < at + 2)
			return BAD_ETH;
	}
	switch (be16(f->data + at)) {
	case ETH_P_IP:
		return judge4(f->data + at + 2, f->len - at - 2, ret_bytes);
	case ETH_P_IPV6:
		return judge6(f->data + at + 2, f->len - at - 2, ret_bytes);
	}
	return NOT_IP;
}

static const struct ps_frame_spec udp4 = {.src = "10.0.0.1", .dst = "10.0.0.2", .proto = IPPROTO_UDP, .payload = 6};
static const struct ps_frame_spec udp6 = {.src = "fe80::1", .dst = "fe80::2", .proto = IPPROTO_UDP, .payload = 6};

static void draw_frame(struct ps_frame *f)
{
	static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, 47};
	static const uint8_t types[] = {0, 43, 44, 51, 60, 60};
	bool v6 = draw(2);
	struct ps_frame_spec s = {
		.vlans = (int)draw(4),
		.vid = {(uint16_t)draw(3), (uint16_t)draw(3), 1},
		.tpid = {draw(2) ? ETH_P_8021AD : ETH_P_8021Q},
		.src = v6 ? "2001:db8::1" : "10.0.0.1",
		.dst = v6 ? "2001:db8::2" : "10.0.0.2",
		.proto = protos[draw(PS_ARRAY_SIZE(protos))],
		.ip_options = (uint8_t)(draw(3) * 4),
		.flags = (uint8_t)draw(256),
		.wscale = (uint8_t)draw(3),
		.icmp_type = (uint8_t)draw(14),
		.quoted = draw(2) ? (v6 ? &udp6 : &udp4) : NULL,
		.payload = draw(40),
		.padding = draw(3) * 4,
		.exts = (int)draw(4) * (int)draw(4),
		.raw_len = draw(8) ? 0 : (int)draw(60) - 30,
	};

	for (int i = 0; i < s.exts; i++)
		s.ext[i] = (struct ps_frame_ext){.type = types[draw(PS_ARRAY_SIZE(types))],
			.len = (uint8_t)draw(3),
			.offset = draw(6) ? 0 : 3,
			.more = (uint8_t)draw(2)};
	ps_frame_make(f, &s);
	for (uint32_t n = draw(4); n; n--)
		f->data[12 + draw((uint32_t)f->len - 12)] = (uint8_t)draw(256);
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

static void test_both_parsers_agree(void **state)
{
	const char *again = getenv("PS_FUZZ_SEED");
	uint64_t want[VERDICTS] = {0}, bytes = 0;
	uint64_t begun = (again ? strtoull(again, NULL, 10) : (uint64_t)time(NULL) * 2654435761u) | 1;
	struct ps_frame f;

	(void)state;
	seed = begun;
	print_message("seed %llu\n", (unsigned long long)begun);
	for (int i = 0; i < FRAMES; i++) {
		size_t len;
		int verdict;
		enum verdict v;

		draw_frame(&f);
		v = judge(&f, &len);
		assert_int_equal(ps_rig_ingress(rig, &f), XDP_PASS);
		want[v]++;
		bytes += len;
		if (ps_rig_try_egress(rig, &f, NULL, &verdict)) {
			assert_int_equal(verdict, -1);
			want[v]++;
			bytes += len;
		}
		if (i % 50 == 0 || i < 2000) {
			struct ps_stats s = ps_rig_stats(rig);

			expect(&s, want, bytes);
		}
	}
	for (int v = 0; v < VERDICTS; v++)
		assert_true(want[v] > 50);
	ps_rig_check_sums(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_both_parsers_agree),
	};

	return RUN(tests);
}
