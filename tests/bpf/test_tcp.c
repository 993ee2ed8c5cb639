/* SPDX-License-Identifier: MIT */
/* TCP: the state machine, sequence space, anomalies, round-trip times, history. C is the client, S the server. */
#include "test_rig.h"

#define C "10.0.0.9"
#define S "10.0.0.2"
#define FROM_C .src = C, .dst = S, .proto = IPPROTO_TCP, .sport = 40000, .dport = 80
#define FROM_S .src = S, .dst = C, .proto = IPPROTO_TCP, .sport = 80, .dport = 40000
#define SYN PS_F_SYN
#define ACK PS_F_ACK
#define FIN PS_F_FIN
#define RST PS_F_RST
#define PSH PS_F_PSH

static struct ps_conn_raw conn(void)
{
	return ps_rig_conn(rig, IPPROTO_TCP, C, 40000, S, 80);
}

static int c_side(void)
{
	struct ps_conn_raw c = conn();

	return ps_rig_side(&c, C, 40000);
}

static void expect_state(enum ps_tcp_state want)
{
	assert_int_equal(conn().tcp.state, want);
}

static void expect_history(const char *want)
{
	struct ps_conn_raw c = conn();

	assert_int_equal(c.tcp.hist_len, strlen(want));
	assert_memory_equal(c.tcp.history, want, strlen(want));
}

static bool is_confirmed(void)
{
	struct ps_conn_raw c = conn();

	return rig->tags[c.slot / 8].confirmed >> (8 * (c.slot % 8)) & 1;
}

/* C's sequence begins at 1001 afterwards, S's at 5001. */
static void handshake(void)
{
	IN(FROM_C, .flags = SYN, .seq = 1000, .wscale = 1 + 7);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001, .wscale = 1 + 2);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001);
}

static void test_handshake(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000, .wscale = 1 + 7);
	expect_state(PS_TCP_SYN_SENT);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001, .wscale = 1 + 2);
	expect_state(PS_TCP_SYN_RECV);
	assert_false(is_confirmed());
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001);
	expect_state(PS_TCP_ESTABLISHED);
	assert_true(is_confirmed());
	c = conn();
	assert_false(c.flags & (PS_CONN_MIDSTREAM | PS_CONN_FLIPPED | PS_CONN_CLOSED));
	assert_true(c.flags & PS_CONN_CONFIRMED);
	assert_int_equal(!!(c.flags & PS_CONN_ORIG1), c_side());
	assert_int_equal(c.tcp.wscale[c_side()], 7);
	assert_int_equal(c.tcp.wscale[!c_side()], 2);
	assert_int_equal(c.tcp.tcp_flags[c_side()], SYN | ACK);
	assert_int_equal(c.tcp.next_seq[c_side()], 1001);
	assert_int_equal(c.tcp.next_seq[!c_side()], 5001);
	expect_history("ShA");
}

static void test_wrong_acknowledgement_confirms_nothing(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5000);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5002);
	IN(FROM_C, .flags = ACK | PSH, .seq = 1001, .ack = 777, .payload = 10);
	expect_state(PS_TCP_SYN_RECV);
	assert_false(is_confirmed());
	/* nor does an answer to another SYN */
	ps_rig_reset(rig);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 999);
	expect_state(PS_TCP_SYN_SENT);
}

static void test_close_by_fin(void **state)
{
	struct ps_rig_event e;

	(void)state;
	handshake();
	IN(FROM_C, .flags = FIN | ACK, .seq = 1001, .ack = 5001);
	expect_state(PS_TCP_FIN_WAIT);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1002);
	expect_state(PS_TCP_CLOSE_WAIT);
	assert_true(is_confirmed());
	OUT(FROM_S, .flags = FIN | ACK, .seq = 5001, .ack = 1002);
	expect_state(PS_TCP_LAST_ACK);
	assert_true(conn().flags & PS_CONN_CLOSED);
	IN(FROM_C, .flags = ACK, .seq = 1002, .ack = 5002);
	expect_state(PS_TCP_TIME_WAIT);
	assert_false(is_confirmed());
	expect_history("ShAFaf");
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_UPDATE, &e), 6);
	assert_int_equal(e.conn.conn.tcp.state, PS_TCP_TIME_WAIT);
}

static void test_close_with_data_on_fin(void **state)
{
	(void)state;
	handshake();
	IN(FROM_C, .flags = FIN | ACK, .seq = 1001, .ack = 5001, .payload = 100);
	/* acknowledges the data, not the FIN */
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101);
	expect_state(PS_TCP_FIN_WAIT);
	OUT(FROM_S, .flags = FIN | ACK, .seq = 5001, .ack = 1102);
	expect_state(PS_TCP_LAST_ACK);
	expect_history("ShAFaf"); /* data on a FIN has no letter of its own */
}

static void test_reset(void **state)
{
	(void)state;
	handshake();
	OUT(FROM_S, .flags = RST, .seq = 5001);
	expect_state(PS_TCP_CLOSE);
	assert_true(conn().flags & PS_CONN_CLOSED);
	assert_false(is_confirmed());
	expect_history("ShAr");
}

static void test_refused(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	OUT(FROM_S, .flags = RST | ACK, .seq = 0, .ack = 4444);
	expect_state(PS_TCP_SYN_SENT);
	OUT(FROM_S, .flags = RST | ACK, .seq = 0, .ack = 1001);
	expect_state(PS_TCP_CLOSE);
	expect_history("Sr");
}

/* A RST that guesses the sequence number must not take away a connection's protection. */
static void test_blind_reset_changes_nothing(void **state)
{
	(void)state;
	handshake();
	IN(FROM_C, .flags = RST, .seq = 1001 + 0x20000000);
	IN(FROM_C, .flags = FIN | ACK, .seq = 900, .ack = 5001);
	expect_state(PS_TCP_ESTABLISHED);
	assert_true(is_confirmed());
	assert_false(conn().flags & PS_CONN_CLOSED);
}

static void test_port_reuse_after_close(void **state)
{
	struct ps_rig_event end, fresh;
	struct ps_conn_raw c;
	uint64_t id;

	(void)state;
	handshake();
	id = conn().id;
	IN(FROM_C, .flags = FIN | ACK, .seq = 1001, .ack = 5001);
	OUT(FROM_S, .flags = FIN | ACK, .seq = 5001, .ack = 1002);
	IN(FROM_C, .flags = ACK, .seq = 1002, .ack = 5002);
	ps_rig_drain(rig);
	ps_rig_forget_events(rig);
	IN(FROM_C, .flags = SYN, .seq = 77000);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_END, &end), 1);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_NEW, &fresh), 1);
	assert_int_equal(end.conn.conn.id, id);
	assert_int_equal(end.conn.conn.end_reason, PS_END_FIN);
	assert_int_equal(end.conn.conn.packets[0] + end.conn.conn.packets[1], 6);
	assert_int_equal(fresh.conn.conn.id, id + rig->slots);
	c = conn();
	assert_int_equal(c.id, id + rig->slots);
	assert_int_equal(c.packets[0] + c.packets[1], 1);
	assert_int_equal(c.tcp.state, PS_TCP_SYN_SENT);
	assert_false(is_confirmed());
	expect_history("S");

	/* after a reset, and with the reason in the event */
	OUT(FROM_S, .flags = RST | ACK, .ack = 77001);
	IN(FROM_C, .flags = SYN, .seq = 88000);
	ps_rig_drain(rig);
	assert_int_equal(ps_rig_count(rig, PS_EV_CONN_END, &end), 2);
	assert_int_equal(end.conn.conn.end_reason, PS_END_RST);
	assert_int_equal(ps_rig_stats(rig).conns_new, 3);
	assert_int_equal(ps_rig_stats(rig).conns_recycled, 2);
	assert_int_equal(ps_rig_stats(rig).conns_evicted, 0);
}

static void test_another_attempt_from_the_same_port(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = SYN, .seq = 900000);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 900001);
	IN(FROM_C, .flags = ACK, .seq = 900001, .ack = 5001);
	expect_state(PS_TCP_ESTABLISHED);
	c = conn();
	assert_int_equal(c.tcp.retrans_packets[c_side()], 1);
	assert_int_equal(c.tcp.gap_bytes[c_side()], 0);
}

static void test_answer_seen_first(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001);
	c = conn();
	assert_true(c.flags & PS_CONN_FLIPPED);
	assert_false(c.flags & PS_CONN_MIDSTREAM);
	assert_int_equal(!!(c.flags & PS_CONN_ORIG1), c_side());
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001);
	expect_state(PS_TCP_ESTABLISHED);
	assert_true(is_confirmed());
	expect_history("^hSA");
}

static void test_late_syn_turns_a_midstream_connection_around(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	OUT(FROM_S, .flags = ACK | PSH, .seq = 5001, .ack = 1001, .payload = 10);
	c = conn();
	assert_true(c.flags & PS_CONN_MIDSTREAM);
	assert_int_equal(!!(c.flags & PS_CONN_ORIG1), !c_side());
	IN(FROM_C, .flags = SYN, .seq = 1000);
	c = conn();
	assert_true(c.flags & PS_CONN_FLIPPED);
	assert_int_equal(!!(c.flags & PS_CONN_ORIG1), c_side());
}

static void test_midstream(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(FROM_C, .flags = ACK | PSH, .seq = 1000, .ack = 5000, .payload = 10);
	c = conn();
	assert_true(c.flags & PS_CONN_MIDSTREAM);
	assert_false(is_confirmed());
	expect_state(PS_TCP_ESTABLISHED);
	OUT(FROM_S, .flags = ACK, .seq = 5000, .ack = 1010);
	assert_true(is_confirmed());
	assert_int_equal(conn().tcp.retrans_packets[0] + conn().tcp.retrans_packets[1], 0);

	/* not by a refusal */
	ps_rig_reset(rig);
	IN(FROM_C, .flags = ACK, .seq = 1000, .ack = 5000);
	OUT(FROM_S, .flags = RST, .seq = 5000);
	assert_false(is_confirmed());
	expect_state(PS_TCP_CLOSE);
}

/* --- Sequence space --- */

static void test_retransmission(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	handshake();
	s = c_side();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1101, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	c = conn();
	assert_int_equal(c.tcp.retrans_packets[s], 1);
	assert_int_equal(c.tcp.retrans_bytes[s], 100);
	/* half of it new */
	IN(FROM_C, .flags = ACK, .seq = 1151, .ack = 5001, .payload = 100);
	c = conn();
	assert_int_equal(c.tcp.retrans_packets[s], 2);
	assert_int_equal(c.tcp.retrans_bytes[s], 150);
	assert_int_equal(c.tcp.next_seq[s], 1251);
	assert_int_equal(c.tcp.out_of_order[s], 0);
	assert_int_equal(c.tcp.gap_bytes[s], 0);
	assert_int_equal(ps_rig_stats(rig).tcp_retrans, 2);
	/* the other side has none */
	assert_int_equal(c.tcp.retrans_packets[!s], 0);
	/* a SYN again */
	ps_rig_reset(rig);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	c = conn();
	assert_int_equal(c.tcp.retrans_packets[s], 1);
	assert_int_equal(c.tcp.retrans_bytes[s], 0);
}

static void test_reordering_and_gap(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	handshake();
	s = c_side();
	IN(FROM_C, .flags = ACK, .seq = 1201, .ack = 5001, .payload = 100);
	c = conn();
	assert_int_equal(c.tcp.gap_bytes[s], 200);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1101, .ack = 5001, .payload = 100);
	c = conn();
	assert_int_equal(c.tcp.out_of_order[s], 2);
	assert_int_equal(c.tcp.retrans_packets[s], 0);
	assert_int_equal(c.tcp.next_seq[s], 1301);
	/* the hole is filled: the same again was seen before */
	IN(FROM_C, .flags = ACK, .seq = 1101, .ack = 5001, .payload = 100);
	c = conn();
	assert_int_equal(c.tcp.out_of_order[s], 2);
	assert_int_equal(c.tcp.retrans_packets[s], 1);
	assert_int_equal(ps_rig_stats(rig).tcp_out_of_order, 2);
	assert_int_equal(ps_rig_stats(rig).tcp_gap_bytes, 200);
}

static void test_sequence_wraps(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 0xffffffff);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 0xfffffffe, .ack = 0);
	IN(FROM_C, .flags = ACK, .seq = 0, .ack = 0xffffffff);
	expect_state(PS_TCP_ESTABLISHED);
	s = c_side();
	OUT(FROM_S, .flags = ACK, .seq = 0xffffffff, .ack = 0, .payload = 10);
	OUT(FROM_S, .flags = ACK, .seq = 9, .ack = 0, .payload = 10);
	OUT(FROM_S, .flags = ACK, .seq = 0xffffffff, .ack = 0, .payload = 10);
	c = conn();
	assert_int_equal(c.tcp.next_seq[!s], 19);
	assert_int_equal(c.tcp.retrans_packets[!s], 1);
	assert_int_equal(c.tcp.gap_bytes[!s], 0);
}

static void test_keep_alive_is_no_retransmission(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	handshake();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 10);
	IN(FROM_C, .flags = ACK, .seq = 1010, .ack = 5001);
	IN(FROM_C, .flags = ACK, .seq = 1010, .ack = 5001, .payload = 1);
	c = conn();
	assert_int_equal(c.tcp.retrans_packets[c_side()], 0);
	assert_int_equal(c.tcp.dup_acks[c_side()], 0);
}

/* RFC 9293 3.8.6.1: a byte against a closed window, again and again. Whether the receiver keeps it shows afterwards. */
static void probe_closed_window(void)
{
	handshake();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 10, .window = 500);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1011, .window = PS_FRAME_ZERO);
	for (int i = 0; i < 3; i++) {
		IN(FROM_C, .flags = ACK, .seq = 1011, .ack = 5001, .payload = 1, .window = 500);
		OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1011, .window = PS_FRAME_ZERO);
	}
}

static void expect_no_anomaly(void)
{
	struct ps_conn_raw c = conn();

	for (int side = 0; side < 2; side++) {
		assert_int_equal(c.tcp.retrans_packets[side], 0);
		assert_int_equal(c.tcp.retrans_bytes[side], 0);
		assert_int_equal(c.tcp.out_of_order[side], 0);
		assert_int_equal(c.tcp.dup_acks[side], 0);
		assert_int_equal(c.tcp.gap_bytes[side], 0);
	}
}

static void test_window_probes_whose_byte_is_refused(void **state)
{
	(void)state;
	probe_closed_window();
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1011, .window = 800);
	IN(FROM_C, .flags = ACK, .seq = 1011, .ack = 5001, .payload = 100, .window = 500);
	IN(FROM_C, .flags = ACK, .seq = 1111, .ack = 5001, .payload = 100, .window = 500);
	expect_no_anomaly();
	assert_int_equal(conn().tcp.next_seq[c_side()], 1211);
	/* the same data again is what it always was */
	IN(FROM_C, .flags = ACK, .seq = 1111, .ack = 5001, .payload = 100, .window = 500);
	assert_int_equal(conn().tcp.retrans_packets[c_side()], 1);
}

static void test_window_probe_whose_byte_is_taken(void **state)
{
	(void)state;
	probe_closed_window();
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1012, .window = 800);
	IN(FROM_C, .flags = ACK, .seq = 1012, .ack = 5001, .payload = 100, .window = 500);
	expect_no_anomaly();
	assert_int_equal(conn().tcp.next_seq[c_side()], 1112);
	/* a byte that nobody has acknowledged was skipped */
	IN(FROM_C, .flags = ACK, .seq = 1113, .ack = 5001, .payload = 100, .window = 500);
	assert_int_equal(conn().tcp.gap_bytes[c_side()], 1);
}

static void test_a_byte_into_an_open_window_is_data(void **state)
{
	(void)state;
	handshake();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 1, .window = 500);
	IN(FROM_C, .flags = ACK, .seq = 1002, .ack = 5001, .payload = 1, .window = 500);
	expect_no_anomaly();
	assert_int_equal(conn().tcp.next_seq[c_side()], 1003);
}

static void test_duplicate_acknowledgements(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	handshake();
	s = c_side();
	/* nothing outstanding: the same again means nothing */
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001);
	assert_int_equal(conn().tcp.dup_acks[!s], 0);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1101, .ack = 5001, .payload = 100);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101);
	c = conn();
	assert_int_equal(c.tcp.dup_acks[!s], 2);
	assert_int_equal(c.tcp.dup_acks[s], 0);
	/* with data, with another window, or advancing: none */
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101, .window = 5000);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101, .window = 5000, .payload = 1);
	OUT(FROM_S, .flags = ACK, .seq = 5002, .ack = 1201, .window = 5000);
	OUT(FROM_S, .flags = ACK, .seq = 5002, .ack = 1201, .window = 5000);
	assert_int_equal(conn().tcp.dup_acks[!s], 2);
	assert_int_equal(ps_rig_stats(rig).tcp_dup_acks, 2);
}

static void test_windows(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	handshake();
	s = c_side();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .window = PS_FRAME_ZERO);
	/* 20 << 7 is large, 5 << 7 small; S scales by 2 */
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .window = 20);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .window = 5);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001, .window = 300);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001, .window = 1000);
	/* SYN, FIN and RST don't count */
	OUT(FROM_S, .flags = RST, .seq = 5001, .window = PS_FRAME_ZERO);
	c = conn();
	assert_int_equal(c.tcp.zero_windows[s], 1);
	assert_int_equal(c.tcp.small_windows[s], 1);
	assert_int_equal(c.tcp.zero_windows[!s], 0);
	assert_int_equal(c.tcp.small_windows[!s], 1);
	assert_int_equal(ps_rig_stats(rig).tcp_zero_windows, 1);
	assert_int_equal(ps_rig_stats(rig).tcp_small_windows, 2);
}

static void test_scaling_needs_both(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000, .wscale = 1 + 7);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .window = 1000);
	c = conn();
	assert_int_equal(c.tcp.wscale[0], 0);
	assert_int_equal(c.tcp.wscale[1], 0);
	assert_int_equal(c.tcp.small_windows[c_side()], 1);
	/* joined midstream: unknown, so nothing is said to be small */
	ps_rig_reset(rig);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .window = 3);
	c = conn();
	assert_int_equal(c.tcp.wscale[0], 0xff);
	assert_int_equal(c.tcp.small_windows[c_side()], 0);
}

/* --- Round-trip times --- */

static void test_handshake_rtt(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	ps_rig_time(rig, T0 + 20 * NS_PER_MS);
	OUT(FROM_S, .flags = SYN | ACK, .seq = 5000, .ack = 1001);
	ps_rig_time(rig, T0 + 25 * NS_PER_MS + 1000);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001);
	assert_int_equal(conn().tcp.rtt_handshake_us, 25001);
	assert_int_equal(conn().tcp.rtt_us, 0);
}

static void test_smoothed_rtt(void **state)
{
	uint64_t t = T0;

	(void)state;
	handshake();
	t += NS_PER_S;
	ps_rig_time(rig, t);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001, .payload = 100);
	/* more data while the sample runs */
	OUT(FROM_S, .flags = ACK, .seq = 5101, .ack = 1001, .payload = 100);
	t += 8 * NS_PER_MS;
	ps_rig_time(rig, t);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5101);
	assert_int_equal(conn().tcp.rtt_us, 8000);
	/* no sample begins within 100 ms of the last */
	OUT(FROM_S, .flags = ACK, .seq = 5201, .ack = 1001, .payload = 100);
	t += 50 * NS_PER_MS;
	ps_rig_time(rig, t);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5301);
	assert_int_equal(conn().tcp.rtt_us, 8000);
	t += NS_PER_S;
	ps_rig_time(rig, t);
	OUT(FROM_S, .flags = ACK, .seq = 5301, .ack = 1001, .payload = 100);
	t += 16 * NS_PER_MS;
	ps_rig_time(rig, t);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5401);
	assert_int_equal(conn().tcp.rtt_us, 9000);
	/* and down */
	t += NS_PER_S;
	ps_rig_time(rig, t);
	OUT(FROM_S, .flags = ACK, .seq = 5401, .ack = 1001, .payload = 100);
	t += 1 * NS_PER_MS;
	ps_rig_time(rig, t);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5501);
	assert_int_equal(conn().tcp.rtt_us, 8000);
}

static void test_no_sample_over_a_retransmission(void **state)
{
	(void)state;
	handshake();
	ps_rig_time(rig, T0 + NS_PER_S);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001, .payload = 100);
	ps_rig_time(rig, T0 + 2 * NS_PER_S);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5101);
	assert_int_equal(conn().tcp.rtt_us, 0);
}

/* --- History --- */

static void test_letters_of_odd_flags(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN | FIN, .seq = 1000);
	IN(FROM_C, .flags = SYN | RST, .seq = 1000);
	IN(FROM_C, .flags = FIN | RST, .seq = 1000);
	IN(FROM_C, .flags = FIN | RST, .seq = 2000);
	expect_history("QI");
}

/* A letter of SYN, FIN or RST stands again for another sequence number. */
static void test_letters_that_stand_again(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = SYN, .seq = 3000);
	expect_history("SS");
	ps_rig_reset(rig);
	handshake();
	IN(FROM_C, .flags = FIN | ACK, .seq = 1001, .ack = 5001);
	IN(FROM_C, .flags = FIN | ACK, .seq = 1001, .ack = 5001);
	IN(FROM_C, .flags = FIN | ACK, .seq = 1101, .ack = 5001);
	OUT(FROM_S, .flags = RST, .seq = 5001);
	OUT(FROM_S, .flags = RST, .seq = 5001);
	OUT(FROM_S, .flags = RST, .seq = 5002);
	expect_history("ShAFFrr");
}

/* Zeek's T and W: at the first, the tenth, the hundredth. */
static void test_letters_by_powers_of_ten(void **state)
{
	(void)state;
	handshake();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	for (unsigned i = 0; i < 9; i++)
		IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	expect_history("ShADT");
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	expect_history("ShADTT");
	for (unsigned i = 10; i < 100; i++)
		IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	expect_history("ShADTTT");
	for (unsigned i = 0; i < 10; i++)
		OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1101, .window = PS_FRAME_ZERO);
	expect_history("ShADTTTaww");
}

/* What brings something new, or no payload, is no T. */
static void test_letters_of_old_segments(void **state)
{
	(void)state;
	handshake();
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1051, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = FIN | ACK, .seq = 1151, .ack = 5001);
	IN(FROM_C, .flags = FIN | ACK, .seq = 1151, .ack = 5001);
	expect_history("ShADF");
	IN(FROM_C, .flags = ACK, .seq = 1051, .ack = 5001, .payload = 100);
	expect_history("ShADFT");
}

static void test_gap_is_what_was_acknowledged_unseen(void **state)
{
	struct ps_conn_raw c;
	int s;

	(void)state;
	handshake();
	s = c_side();
	/* filled before it is acknowledged: reordering */
	IN(FROM_C, .flags = ACK, .seq = 1101, .ack = 5001, .payload = 100);
	IN(FROM_C, .flags = ACK, .seq = 1001, .ack = 5001, .payload = 100);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1201);
	expect_history("ShADTa");
	assert_int_equal(conn().tcp.gaps[s], 0);
	/* never seen here */
	IN(FROM_C, .flags = ACK, .seq = 1301, .ack = 5001, .payload = 100);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1201);
	expect_history("ShADTa");
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1401);
	OUT(FROM_S, .flags = ACK, .seq = 5001, .ack = 1401);
	expect_history("ShADTaG");
	c = conn();
	assert_int_equal(c.tcp.gaps[s], 1);
	assert_int_equal(c.tcp.gaps[!s], 0);
	assert_int_equal(c.tcp.state, PS_TCP_ESTABLISHED);
}

/* Whoever makes letters without end fills the history and no more. */
static void test_history_ends(void **state)
{
	struct ps_conn_raw c;

	(void)state;
	handshake();
	for (unsigned i = 0; i < 1000; i++)
		OUT(FROM_S, .flags = RST, .seq = 5001 + i);
	c = conn();
	assert_int_equal(c.tcp.hist_len, PS_HISTORY_MAX);
	assert_memory_equal(c.tcp.history, "ShArrrr", 7);
	assert_int_equal(c.tcp.history[PS_HISTORY_MAX - 1], 'r');
	assert_int_equal(c.tcp.gaps[0] + c.tcp.gaps[1], 0);
}

/* Only its sender has been heard: a RST with the SYN's own number takes it back, one from anywhere doesn't. */
static void test_reset_of_an_unanswered_syn(void **state)
{
	(void)state;
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = RST, .seq = 77777);
	expect_state(PS_TCP_SYN_SENT);
	ps_rig_reset(rig);
	IN(FROM_C, .flags = SYN, .seq = 1000);
	IN(FROM_C, .flags = RST, .seq = 1000);
	expect_state(PS_TCP_CLOSE);
	expect_history("SR");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_handshake),
		TEST(test_wrong_acknowledgement_confirms_nothing),
		TEST(test_close_by_fin),
		TEST(test_close_with_data_on_fin),
		TEST(test_reset),
		TEST(test_refused),
		TEST(test_blind_reset_changes_nothing),
		TEST(test_port_reuse_after_close),
		TEST(test_another_attempt_from_the_same_port),
		TEST(test_answer_seen_first),
		TEST(test_late_syn_turns_a_midstream_connection_around),
		TEST(test_midstream),
		TEST(test_retransmission),
		TEST(test_reordering_and_gap),
		TEST(test_sequence_wraps),
		TEST(test_keep_alive_is_no_retransmission),
		TEST(test_window_probes_whose_byte_is_refused),
		TEST(test_window_probe_whose_byte_is_taken),
		TEST(test_a_byte_into_an_open_window_is_data),
		TEST(test_duplicate_acknowledgements),
		TEST(test_windows),
		TEST(test_scaling_needs_both),
		TEST(test_handshake_rtt),
		TEST(test_smoothed_rtt),
		TEST(test_no_sample_over_a_retransmission),
		TEST(test_letters_of_odd_flags),
		TEST(test_letters_that_stand_again),
		TEST(test_letters_by_powers_of_ten),
		TEST(test_letters_of_old_segments),
		TEST(test_gap_is_what_was_acknowledged_unseen),
		TEST(test_history_ends),
		TEST(test_reset_of_an_unanswered_syn),
	};

	return RUN(tests);
}
