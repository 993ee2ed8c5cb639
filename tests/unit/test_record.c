/* Kernel records to records for people: roles, times, Zeek's words, windows, verdicts, the documented texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/model/record.h"

#define WALL 1682944496000000000ll /* 2023-05-01T12:34:56Z */

static const char *iface_name(void *arg, uint32_t ifindex, char out[static PS_NAME_SIZE])
{
	(void)arg;
	if (ifindex == 9)
		return "ev\x1bil \xff";
	if (ifindex == 10)
		return NULL;
	(void)snprintf(out, PS_NAME_SIZE, "eth%u", ifindex);
	return out;
}

/* Boot time 100 s is WALL. */
static const struct ps_record_env env = {.wall_offset = WALL - 100000000000ll, .iface_name = iface_name};

static struct ps_conn_raw raw_tcp(uint8_t state, const char *history)
{
	struct ps_conn_raw raw = {
		.id = 77,
		.first_seen = 98500000000ull,
		.last_seen = 100000000000ull,
		.addr = {{htonl(0xc0a80164)}, {htonl(0x5db8d822)}},
		.port = {htons(56789), htons(443)},
		.vlan = {42, 7},
		.proto = IPPROTO_TCP,
		.ifindex = 2,
		.packets = {20, 22},
		.bytes = {3000, 5192},
		.tcp = {.state = state, .wscale = {0xff, 0xff}, .hist_len = (uint8_t)strlen(history)},
	};

	memcpy(raw.tcp.history, history, strlen(history));
	return raw;
}

static struct ps_conn convert(const struct ps_conn_raw *raw)
{
	struct ps_conn c;

	memset(&c, 0xa5, sizeof(c));
	ps_conn_from_raw(raw, &env, &c);
	return c;
}

static uint32_t word(const struct ps_addr *a)
{
	return ntohl(a->word[0]);
}

static void both_ways_round(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "ShAD");
	struct ps_conn_tcp *t = &raw.tcp;

	(void)state;
	for (unsigned side = 0; side < 2; side++) {
		t->tcp_flags[side] = (uint8_t)(2 + side);
		t->seq[side] = 10 + side;
		t->ack[side] = 20 + side;
		t->retrans_packets[side] = 1 + side;
		t->retrans_bytes[side] = 30 + side;
		t->out_of_order[side] = 40 + side;
		t->dup_acks[side] = 50 + side;
		t->gap_bytes[side] = 60 + side;
		t->zero_windows[side] = 70 + side;
		t->small_windows[side] = 80 + side;
		t->window[side] = (uint16_t)(90 + side);
		raw.dropped[side] = 100 + side;
	}
	for (unsigned o = 0; o < 2; o++) {
		struct ps_conn c;

		raw.flags = o ? PS_CONN_ORIG1 : 0;
		c = convert(&raw);
		assert_int_equal(word(&c.src_ip), o ? 0x5db8d822 : 0xc0a80164);
		assert_int_equal(word(&c.dst_ip), o ? 0xc0a80164 : 0x5db8d822);
		assert_int_equal(c.src_port, o ? 443 : 56789);
		assert_int_equal(c.dst_port, o ? 56789 : 443);
		assert_int_equal(c.orig_packets, o ? 22 : 20);
		assert_int_equal(c.resp_packets, o ? 20 : 22);
		assert_int_equal(c.orig_bytes, o ? 5192 : 3000);
		assert_int_equal(c.resp_bytes, o ? 3000 : 5192);
#define PAIR(member, base) \
	assert_int_equal(c.orig_##member, (base) + o); \
	assert_int_equal(c.resp_##member, (base) + 1 - o)
		PAIR(tcp_flags, 2);
		PAIR(seq, 10);
		PAIR(ack, 20);
		PAIR(retrans_packets, 1);
		PAIR(retrans_bytes, 30);
		PAIR(out_of_order, 40);
		PAIR(dup_acks, 50);
		PAIR(gap_bytes, 60);
		PAIR(zero_windows, 70);
		PAIR(small_windows, 80);
		PAIR(window, 90);
		PAIR(dropped_packets, 100);
#undef PAIR
		assert_true(c.loss > 0.0714 && c.loss < 0.0715); /* 3 of 42 */
	}
}

static void plain_members(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_SYN_RECV, "^h");
	struct ps_conn c;

	(void)state;
	raw.flags = PS_CONN_MIDSTREAM | PS_CONN_FLIPPED | PS_CONN_INGRESS_ONLY;
	raw.end_reason = PS_END_EVICTED;
	raw.ip_id = 1234;
	raw.tcp.rtt_us = 5;
	raw.tcp.rtt_handshake_us = 6;
	c = convert(&raw);
	assert_int_equal(c.id, 77);
	assert_int_equal(c.proto, IPPROTO_TCP);
	assert_int_equal(c.vlan, 42);
	assert_int_equal(c.inner_vlan, 7);
	assert_string_equal(c.iface, "eth2");
	assert_int_equal(c.view, PS_VIEW_INGRESS);
	assert_true(c.midstream && c.flipped);
	assert_int_equal(c.state, PS_TCP_SYN_RECV);
	assert_string_equal(c.history, "^h");
	assert_string_equal(c.community_id, "");
	assert_true(c.first_seen == WALL - 1500000000ull);
	assert_true(c.last_seen == WALL);
	assert_int_equal(c.duration, 1500000000);
	assert_int_equal(c.end_reason, PS_END_EVICTED);
	assert_int_equal(c.ip_id, 1234);
	assert_int_equal(c.rtt_us, 5);
	assert_int_equal(c.rtt_handshake_us, 6);
	assert_true(c.loss == 0);
	raw.flags = 0;
	c = convert(&raw);
	assert_int_equal(c.view, PS_VIEW_BOTH);
	assert_false(c.midstream || c.flipped);
}

static void ipv6(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");
	char text[PS_ADDR_TEXT], key[PS_KEY_TEXT];
	struct ps_conn c;

	(void)state;
	raw.flags = PS_CONN_IPV6 | PS_CONN_ORIG1;
	raw.addr[0][0] = htonl(0x20010db8);
	raw.addr[0][3] = htonl(1);
	raw.addr[1][0] = htonl(0xfe800000);
	raw.addr[1][3] = htonl(2);
	c = convert(&raw);
	assert_string_equal(ps_addr_format(&c.src_ip, text), "fe80::2");
	assert_string_equal(ps_addr_format(&c.dst_ip, text), "2001:db8::1");
	assert_string_equal(ps_conn_key(&c, key), "[fe80::2]:443 -> [2001:db8::1]:56789 (TCP)");
}

static void times_that_cannot_be(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");
	struct ps_record_env past = env;
	struct ps_conn c;

	(void)state;
	raw.first_seen = raw.last_seen + 5; /* two CPUs, two clocks */
	c = convert(&raw);
	assert_int_equal(c.duration, 0);
	raw.first_seen = 0;
	assert_int_equal(convert(&raw).first_seen, 0);
	past.wall_offset = -100000000001ll; /* a wall clock that was never set */
	ps_conn_from_raw(&raw, &past, &c);
	assert_int_equal(c.last_seen, 0);
	past.wall_offset = -99000000000ll;
	ps_conn_from_raw(&raw, &past, &c);
	assert_int_equal(c.last_seen, 1000000000);
	past.wall_offset = INT64_MIN;
	ps_conn_from_raw(&raw, &past, &c);
	assert_int_equal(c.last_seen, 0);
}

static void interfaces(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");
	struct ps_record_env nameless = {.wall_offset = WALL};
	struct ps_conn c;

	(void)state;
	raw.ifindex = 9;
	assert_string_equal(convert(&raw).iface, "ev?il??");
	raw.ifindex = 10;
	assert_string_equal(convert(&raw).iface, "if10");
	raw.ifindex = UINT32_MAX;
	ps_conn_from_raw(&raw, &nameless, &c);
	assert_string_equal(c.iface, "if4294967295");
}

/* Zeek's conn_state. Upper case is the originator (side 0 here). */
static void conn_states(void **state)
{
	static const struct {
		const char *history;
		uint8_t tcp_state;
		uint8_t flags;
		const char *want;
	} rows[] = {
		{"S", PS_TCP_SYN_SENT, 0, "S0"},
		{"SS", PS_TCP_SYN_SENT, 0, "S0"},
		{"Sh", PS_TCP_SYN_RECV, 0, "S1"},
		{"ShA", PS_TCP_ESTABLISHED, PS_CONN_CONFIRMED, "S1"},
		{"ShADad", PS_TCP_ESTABLISHED, PS_CONN_CONFIRMED, "S1"},
		{"SsHhA", PS_TCP_ESTABLISHED, PS_CONN_CONFIRMED, "S1"}, /* opened by both at once */
		{"ShADadFf", PS_TCP_TIME_WAIT, PS_CONN_CONFIRMED | PS_CONN_CLOSED, "SF"},
		{"ShADadfF", PS_TCP_LAST_ACK, PS_CONN_CONFIRMED, "SF"},
		{"ShADadFfR", PS_TCP_TIME_WAIT, PS_CONN_CONFIRMED, "SF"}, /* a reset after the end ends nothing */
		{"Sr", PS_TCP_CLOSE, PS_CONN_CLOSED, "REJ"},
		{"SR", PS_TCP_CLOSE, PS_CONN_CLOSED, "RSTOS0"},
		{"Sr", PS_TCP_SYN_SENT, 0, "OTH"}, /* one that the kernel did not believe */
		{"ShADF", PS_TCP_FIN_WAIT, PS_CONN_CONFIRMED, "S2"},
		{"ShADaf", PS_TCP_CLOSE_WAIT, PS_CONN_CONFIRMED, "S3"},
		{"ShADaGdgtR", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTO"},
		{"ShR", PS_TCP_CLOSE, PS_CONN_CLOSED, "RSTO"}, /* half-open scan */
		{"ShADadr", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTR"},
		{"ShADadrR", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTR"}, /* who began */
		{"ShADadRr", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTO"},
		{"ShADI", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTO"}, /* FIN and RST in one segment */
		{"ShADadTGWi", PS_TCP_CLOSE, PS_CONN_CONFIRMED, "RSTR"},
		{"Q", PS_TCP_SYN_SENT, 0, "S0"},
		{"^hr", PS_TCP_CLOSE, PS_CONN_FLIPPED, "RSTRH"},
		{"^hf", PS_TCP_SYN_RECV, PS_CONN_FLIPPED, "SHR"},
		{"^h", PS_TCP_SYN_RECV, PS_CONN_FLIPPED, "OTH"},
		{"^hAdD", PS_TCP_ESTABLISHED, PS_CONN_FLIPPED | PS_CONN_CONFIRMED, "S1"},
		{"SF", PS_TCP_SYN_SENT, 0, "SH"},
		{"R", PS_TCP_CLOSE, PS_CONN_MIDSTREAM, "OTH"},
		{"F", PS_TCP_FIN_WAIT, PS_CONN_MIDSTREAM, "OTH"},
		{"D", PS_TCP_ESTABLISHED, PS_CONN_MIDSTREAM, "OTH"},
		{"DadA", PS_TCP_ESTABLISHED, PS_CONN_MIDSTREAM, "OTH"},
		{"DadAFf", PS_TCP_TIME_WAIT, PS_CONN_MIDSTREAM, "SF"},
		{"DadAR", PS_TCP_CLOSE, PS_CONN_MIDSTREAM, "RSTO"},
		{"", PS_TCP_ESTABLISHED, 0, "OTH"},
		/* roles swapped on the way: what stands before the sign is the other's */
		{"H^S", PS_TCP_SYN_RECV, PS_CONN_FLIPPED, "S1"},
		{"R^", PS_TCP_CLOSE, PS_CONN_FLIPPED, "OTH"},
		/* the answers are never seen */
		{"SA", PS_TCP_ESTABLISHED, PS_CONN_INGRESS_ONLY, "S1"},
		{"S", PS_TCP_SYN_SENT, PS_CONN_INGRESS_ONLY, "S0"},
		{"SADF", PS_TCP_FIN_WAIT, PS_CONN_INGRESS_ONLY, "S2"},
		{"SADR", PS_TCP_CLOSE, PS_CONN_INGRESS_ONLY, "RSTO"},
		{"SR", PS_TCP_CLOSE, PS_CONN_INGRESS_ONLY, "RSTOS0"},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_conn_raw raw = raw_tcp(rows[i].tcp_state, rows[i].history);
		struct ps_conn c;

		raw.flags = rows[i].flags;
		c = convert(&raw);
		if (strcmp(c.conn_state, rows[i].want))
			fail_msg("%s in state %u: %s instead of %s", rows[i].history, rows[i].tcp_state, c.conn_state,
				rows[i].want);
		assert_string_equal(c.history, rows[i].history);
	}
}

static void a_long_history_is_not_overrun(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");
	struct ps_conn c;

	(void)state;
	memset(raw.tcp.history, 'D', sizeof(raw.tcp.history));
	raw.tcp.hist_len = 255;
	c = convert(&raw);
	assert_int_equal(strlen(c.history), PS_HISTORY_MAX);
}

static void udp(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "ShA");
	struct ps_conn c;

	(void)state;
	raw.proto = IPPROTO_UDP;
	raw.flags = PS_CONN_REPLIED;
	raw.tcp.retrans_packets[0] = 9; /* left over: nobody looks */
	c = convert(&raw);
	assert_int_equal(c.state, PS_STATE_REPLIED);
	assert_string_equal(c.conn_state, "SF");
	assert_string_equal(c.history, "Dd");
	assert_int_equal(c.orig_retrans_packets, 0);
	assert_true(c.loss == 0);
	raw.packets[1] = 0;
	raw.flags = 0;
	c = convert(&raw);
	assert_int_equal(c.state, PS_STATE_UNREPLIED);
	assert_string_equal(c.conn_state, "S0");
	assert_string_equal(c.history, "D");
	raw.flags = PS_CONN_ORIG1 | PS_CONN_FLIPPED;
	c = convert(&raw);
	assert_string_equal(c.conn_state, "OTH");
	assert_string_equal(c.history, "^d");
}

static void windows(void **state)
{
	static const struct {
		const char *history;
		uint8_t wscale[2];
		uint32_t orig, resp;
	} rows[] = {
		{"S", {7, 0xff}, 1000, 2000},
		{"Sh", {7, 2}, 1000, 2000}, /* both last segments were SYNs */
		{"ShA", {7, 2}, 128000, 2000},
		{"ShADd", {7, 2}, 128000, 8000},
		{"ShADd", {0, 0}, 1000, 2000},
		{"ADd", {0xff, 0xff}, 1000, 2000}, /* joined later: nobody knows */
		{"ShADd", {7, 0xff}, 1000, 2000},
		{"ShADd", {14, 200}, 16384000, 32768000}, /* RFC 7323: at most 14 */
		{"^hAd", {7, 2}, 128000, 8000},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, rows[i].history);
		struct ps_conn c;

		raw.tcp.window[0] = 1000;
		raw.tcp.window[1] = 2000;
		memcpy(raw.tcp.wscale, rows[i].wscale, 2);
		c = convert(&raw);
		assert_int_equal(c.orig_window, rows[i].orig);
		assert_int_equal(c.resp_window, rows[i].resp);
	}
}

static void verdicts(void **state)
{
	const uint32_t known = PS_VERDICT_KNOWN | PS_VERDICT_EGRESS | 3u << PS_VERDICT_GEN_SHIFT;
	const struct {
		uint32_t orig, resp;
		uint8_t want;
		int32_t rule;
	} rows[] = {
		{0, 0, PS_VERDICT_NONE, -1},
		{known, known, PS_VERDICT_NONE, -1}, /* asked, and no rule matched */
		{PS_VERDICT_RULE | 5, PS_VERDICT_RULE | PS_VERDICT_DROP | 6, PS_VERDICT_ALLOWED, 5},
		{known | PS_VERDICT_RULE | PS_VERDICT_DROP, 0, PS_VERDICT_DROPPED, 0},
		{known, known | PS_VERDICT_RULE | PS_VERDICT_DROP | 4095, PS_VERDICT_DROPPED, 4095},
	};

	(void)state;
	for (size_t i = 0; i < PS_ARRAY_SIZE(rows); i++) {
		for (unsigned o = 0; o < 2; o++) {
			struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");
			struct ps_conn c;

			raw.flags = o ? PS_CONN_ORIG1 : 0;
			raw.verdict[o] = rows[i].orig;
			raw.verdict[o ^ 1] = rows[i].resp;
			c = convert(&raw);
			assert_int_equal(c.verdict, rows[i].want);
			assert_int_equal(c.rule_id, rows[i].rule);
		}
	}
}

static void loss_stays_within_bounds(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "");

	(void)state;
	raw.tcp.retrans_packets[0] = raw.tcp.retrans_packets[1] = UINT32_MAX;
	assert_true(convert(&raw).loss == 1);
	raw.packets[0] = raw.packets[1] = 0;
	assert_true(convert(&raw).loss == 0);
}

/* --- Gathering ---------------------------------------------------------------------------------- */

static void gathers(void **state)
{
	struct ps_conn_hot hot = {
		.addr = {htonl(0x0a000001), htonl(0x0a000002)},
		.port = {htons(1), htons(2)},
		.vlan = {3, 4},
		.proto = IPPROTO_TCP,
		.flags = PS_CONN_CONFIRMED,
		.last_seen = 5,
		.bytes = {6, 7},
		.packets = {8, 9},
		.verdict = {10, 11},
	};
	struct ps_conn_cold cold = {
		.id = 12,
		.first_seen = 13,
		.addr6 = {{1, 2, 3, 4}, {5, 6, 7, 8}},
		.ifindex = 14,
		.dropped = {15, 16},
		.ip_id = 17,
		.packets_hi = {1, 2},
	};
	struct ps_conn_tcp tcp = {.state = PS_TCP_ESTABLISHED, .history = "ShA", .hist_len = 3};
	struct ps_conn_raw raw;

	(void)state;
	memset(&raw, 0xee, sizeof(raw));
	ps_conn_raw_gather(&hot, &cold, &tcp, 18, &raw);
	assert_int_equal(raw.id, 12);
	assert_int_equal(raw.first_seen, 13);
	assert_int_equal(raw.last_seen, 5);
	assert_int_equal(raw.addr[0][0], htonl(0x0a000001));
	assert_int_equal(raw.addr[1][0], htonl(0x0a000002));
	assert_int_equal(raw.addr[0][1] | raw.addr[1][3], 0);
	assert_int_equal(raw.port[1], htons(2));
	assert_int_equal(raw.vlan[1], 4);
	assert_true(raw.packets[0] == (1ull << 32 | 8) && raw.packets[1] == (2ull << 32 | 9));
	assert_true(raw.bytes[0] == 6 && raw.bytes[1] == 7);
	assert_true(raw.dropped[0] == 15 && raw.dropped[1] == 16);
	assert_true(raw.verdict[0] == 10 && raw.verdict[1] == 11);
	assert_int_equal(raw.ifindex, 14);
	assert_int_equal(raw.ip_id, 17);
	assert_int_equal(raw.slot, 18);
	assert_int_equal(raw.end_reason, PS_END_NONE);
	assert_memory_equal(&raw.tcp, &tcp, sizeof(tcp));
	hot.flags |= PS_CONN_IPV6;
	hot.proto = IPPROTO_UDP;
	ps_conn_raw_gather(&hot, &cold, NULL, 18, &raw);
	assert_memory_equal(raw.addr[1], cold.addr6[1], 16);
	assert_int_equal(raw.tcp.hist_len, 0);
	ps_conn_raw_gather(&hot, &cold, &tcp, 18, &raw); /* of a former TCP connection */
	assert_int_equal(raw.tcp.hist_len, 0);
}

struct shared {
	struct ps_conn_hot hot;
	struct ps_conn_cold cold;
	int stop;
};

/* Counts as the kernel does: the low half first, then the carry. */
static void *count(void *arg)
{
	struct shared *s = arg;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		__atomic_add_fetch(&s->hot.bytes[0], 0x100000001ull, __ATOMIC_RELAXED);
		if (!__atomic_add_fetch(&s->hot.packets[0], 1, __ATOMIC_SEQ_CST))
			__atomic_add_fetch((uint32_t *)&s->cold.ip_id, 1u << 16, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

static void a_counter_is_never_torn(void **state)
{
	struct shared s = {.hot = {.proto = IPPROTO_UDP}};
	struct ps_conn_raw raw;
	uint64_t last = 0;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, count, &s), 0);
	for (int i = 0; i < 200000; i++) {
		ps_conn_raw_gather(&s.hot, &s.cold, NULL, 0, &raw);
		if ((uint32_t)raw.bytes[0] != raw.bytes[0] >> 32 || raw.packets[0] < last)
			break;
		last = raw.packets[0];
	}
	__atomic_store_n(&s.stop, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true((uint32_t)raw.bytes[0] == raw.bytes[0] >> 32);
	assert_true(raw.packets[0] >= last);
}

/* --- ICMP and drops ----------------------------------------------------------------------------- */

static void icmp(void **state)
{
	struct ps_icmp_key key = {
		.saddr = {htonl(0x01020304)},
		.daddr = {htonl(0x05060708)},
		.vlan = {1, 2},
		.family = 4,
		.type = 3,
		.code = 3,
	};
	struct ps_icmp_val val = {
		.packets = 4,
		.bytes = 400,
		.dropped = 1,
		.first_seen = 99000000000ull,
		.last_seen = 100000000000ull,
		.ifindex = 1,
		.ip_id = 99,
		.inner_saddr = {htonl(0xc0a80101)},
		.inner_daddr = {htonl(0xc0a80166)},
		.inner_sport = htons(53),
		.inner_dport = htons(59207),
		.inner_family = 4,
		.inner_proto = IPPROTO_UDP,
	};
	char text[PS_INFO_TEXT];
	struct ps_icmp i;

	(void)state;
	memset(&i, 0xee, sizeof(i));
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_string_equal(ps_icmp_key_text(&i, text), "1.2.3.4 -> 5.6.7.8 (ICMP type 3 code 3)");
	assert_string_equal(ps_icmp_info(&i, text), "Packets: 4, Bytes: 400, Type: 3, Code: 3, IP ID: 99, Inner: "
						    "192.168.1.1:53 -> 192.168.1.102:59207 (UDP), "
						    "Last Seen: 2023-05-01T12:34:56Z");
	assert_int_equal(i.dropped_packets, 1);
	assert_int_equal(i.inner_vlan, 2);
	assert_true(i.first_seen == WALL - 1000000000ll);
	assert_true(i.unmatched);
	val.conn_id = 5;
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_false(i.unmatched);
	assert_int_equal(i.connection, 5);
	val.conn_id = 0;
	val.inner_proto = IPPROTO_ICMP; /* a ping that did not get through belongs to no connection */
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_false(i.unmatched);
	val.inner_family = 0; /* what is left of an older quotation does not count */
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_int_equal(i.inner_src_ip.family, 0);
	assert_int_equal(i.inner_src_port, 0);
	assert_false(i.unmatched);
	assert_string_equal(ps_icmp_info(&i, text),
		"Packets: 4, Bytes: 400, Type: 3, Code: 3, IP ID: 99, Last Seen: 2023-05-01T12:34:56Z");
	key.family = 6;
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_string_equal(ps_icmp_key_text(&i, text), "102:304:: -> 506:708:: (ICMPv6 type 3 code 3)");
}

/* Only of echo requests is it told how many were answered. */
static void echo(void **state)
{
	static const struct {
		uint8_t family, type, code;
		bool request;
	} cases[] = {
		{4, 8, 0, true},
		{4, 0, 0, false},
		{4, 8, 1, false},
		{4, 128, 0, false},
		{6, 128, 0, true},
		{6, 129, 0, false},
		{6, 8, 0, false},
	};
	struct ps_icmp_val val = {.packets = 10, .answered = 7, .rtt_us = 1234};
	struct ps_icmp_key key = {0};
	struct ps_icmp i;

	(void)state;
	for (size_t c = 0; c < PS_ARRAY_SIZE(cases); c++) {
		key.family = cases[c].family;
		key.type = cases[c].type;
		key.code = cases[c].code;
		ps_icmp_from_raw(&key, &val, &env, &i);
		assert_int_equal(i.answered, cases[c].request ? 7 : 0);
		assert_int_equal(i.unanswered, cases[c].request ? 3 : 0);
		assert_int_equal(i.rtt_us, cases[c].request ? 1234 : 0);
	}
	/* a reply may be counted between two reads of one element */
	key = (struct ps_icmp_key){.family = 4, .type = 8};
	val.answered = 11;
	ps_icmp_from_raw(&key, &val, &env, &i);
	assert_int_equal(i.answered, 10);
	assert_int_equal(i.unanswered, 0);
}

static void drops(void **state)
{
	struct ps_event_drop ev = {
		.head = {.time = 100000000000ull},
		.conn_id = 8,
		.key = {.saddr = {htonl(0x01020304)},
			.daddr = {htonl(0x05060708)},
			.sport = htons(4000),
			.dport = htons(23),
			.proto = IPPROTO_TCP,
			.family = 4,
			.tcp_flags = 2,
			.direction = PS_DIR_INGRESS},
		.rule_id = 12,
		.generation = 13,
		.ifindex = 3,
		.bytes = 60,
		.ip_id = 14,
		.vlan = {15, 16},
	};
	struct ps_drop d;

	(void)state;
	memset(&d, 0xee, sizeof(d));
	ps_drop_from_raw(&ev, &env, &d);
	assert_true(d.time == WALL);
	assert_int_equal(d.rule_id, 12);
	assert_int_equal(d.generation, 13);
	assert_int_equal(d.connection, 8);
	assert_int_equal(d.direction, PS_DIR_INGRESS);
	assert_string_equal(d.iface, "eth3");
	assert_int_equal(word(&d.src_ip), 0x01020304);
	assert_int_equal(word(&d.dst_ip), 0x05060708);
	assert_int_equal(d.src_port, 4000);
	assert_int_equal(d.dst_port, 23);
	assert_int_equal(d.icmp_type | d.icmp_code, 0);
	assert_int_equal(d.tcp_flags, 2);
	assert_int_equal(d.vlan, 15);
	assert_int_equal(d.inner_vlan, 16);
	assert_int_equal(d.ip_id, 14);
	assert_int_equal(d.bytes, 60);
	assert_int_equal(d.mode, PS_DROP_ENFORCED);
	ev.mode = PS_DROP_SHADOW;
	ev.key.proto = IPPROTO_ICMP;
	ev.key.sport = htons(3);
	ev.key.dport = htons(4);
	ps_drop_from_raw(&ev, &env, &d);
	assert_int_equal(d.mode, PS_DROP_SHADOW);
	assert_int_equal(d.icmp_type, 3);
	assert_int_equal(d.icmp_code, 4);
	assert_int_equal(d.src_port | d.dst_port, 0);
}

/* --- Texts -------------------------------------------------------------------------------------- */

static void documented_texts(void **state)
{
	struct ps_conn_raw raw = raw_tcp(PS_TCP_ESTABLISHED, "ShAD");
	char text[PS_INFO_TEXT];
	struct ps_conn c;

	(void)state;
	raw.tcp.tcp_flags[0] = 8;
	raw.tcp.tcp_flags[1] = 16;
	raw.tcp.seq[0] = 1234567890;
	raw.tcp.ack[0] = 987654321;
	raw.tcp.window[0] = 502;
	raw.tcp.retrans_packets[0] = 1;
	raw.tcp.retrans_packets[1] = 2;
	c = convert(&raw);
	assert_string_equal(ps_conn_key(&c, text), "192.168.1.100:56789 -> 93.184.216.34:443 (TCP)");
	assert_string_equal(ps_conn_info(&c, text), "Packets: 42, Bytes: 8192, TCP Flags: 24, Seq: 1234567890, Ack: "
						    "987654321, Window: 502, Retransmissions: 3, "
						    "State: established, Last Seen: 2023-05-01T12:34:56Z");
	raw.proto = IPPROTO_UDP;
	raw.packets[0] = 1;
	raw.packets[1] = 0;
	raw.bytes[0] = 64;
	raw.bytes[1] = 0;
	raw.ip_id = 1234;
	c = convert(&raw);
	assert_string_equal(ps_conn_key(&c, text), "192.168.1.100:56789 -> 93.184.216.34:443 (UDP)");
	assert_string_equal(
		ps_conn_info(&c, text), "Packets: 1, Bytes: 64, IP ID: 1234, Last Seen: 2023-05-01T12:34:56Z");
}

/* The longest there can be: nothing is cut off. */
static void texts_have_room(void **state)
{
	struct ps_conn c;
	struct ps_icmp i;
	char key[PS_KEY_TEXT], info[PS_INFO_TEXT];

	(void)state;
	memset(&c, 0xff, sizeof(c));
	c.src_ip.family = c.dst_ip.family = 6;
	c.proto = IPPROTO_TCP;
	c.last_seen = WALL;
	memset(&i, 0xff, sizeof(i));
	i.src_ip.family = i.dst_ip.family = i.inner_src_ip.family = i.inner_dst_ip.family = 6;
	i.last_seen = WALL;
	assert_string_equal(strrchr(ps_conn_key(&c, key), ' '), " (TCP)");
	assert_string_equal(strrchr(ps_conn_info(&c, info), ' '), " 2023-05-01T12:34:56Z");
	assert_string_equal(strrchr(ps_icmp_key_text(&i, key), ' '), " 255)");
	assert_string_equal(strrchr(ps_icmp_info(&i, info), ' '), " 2023-05-01T12:34:56Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways_round),
		cmocka_unit_test(plain_members),
		cmocka_unit_test(ipv6),
		cmocka_unit_test(times_that_cannot_be),
		cmocka_unit_test(interfaces),
		cmocka_unit_test(conn_states),
		cmocka_unit_test(a_long_history_is_not_overrun),
		cmocka_unit_test(udp),
		cmocka_unit_test(windows),
		cmocka_unit_test(verdicts),
		cmocka_unit_test(loss_stays_within_bounds),
		cmocka_unit_test(gathers),
		cmocka_unit_test(a_counter_is_never_torn),
		cmocka_unit_test(icmp),
		cmocka_unit_test(echo),
		cmocka_unit_test(drops),
		cmocka_unit_test(documented_texts),
		cmocka_unit_test(texts_have_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
