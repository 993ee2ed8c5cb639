/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the segments of a connection tell: state, sequence space of each side, anomalies, round-trip times, history.
 *
 * A clean segment of an established connection touches the first cache line of struct ps_conn_tcp only. The bytes
 * state, started and fin change together by compare-and-exchange, so that two CPUs with the two directions of one
 * connection lose no step; anomaly counters are added to atomically; the rest is per side, and the segments of one side
 * come one after another.
 *
 * Sequence numbers are compared modulo 2^32 (RFC 9293 3.4).
 */
#ifndef PS_BPF_TCP_H
#define PS_BPF_TCP_H

#include "bpf/clock.h"
#include "bpf/record.h"
#include "bpf/stats.h"

/* ps_tcp_segment(): how the segment stands to the connection. */
#define PS_HOW_SIDE 1u    /* that sent it */
#define PS_HOW_ORIG 2u    /* side 1 is the originator */
#define PS_HOW_DROPPED 4u /* a rule dropped it: counted and analysed, but the peer will never see it */
#define PS_HOW_INGRESS_ONLY 8u
#define PS_HOW_MIDSTREAM 16u
#define PS_HOW_IN_WINDOW 32u /* set by ps_tcp_segment() itself, for the step */

/* ps_tcp_segment(): what it did. */
#define PS_DID_STATE 1u   /* the state changed */
#define PS_DID_CONFIRM 2u /* the handshake is complete */
#define PS_DID_CLOSE 4u   /* the connection is closed now */
#define PS_DID_FLIP 8u    /* its originator turned out to be the other side */

/* More than this beyond what was seen is no segment of this connection: the largest window there is (RFC 7323 2.3). */
#define PS_SEQ_JUMP_MAX (1u << 30)

union ps_tcp_ctl {
	__u32 word;
	struct {
		__u8 state;
		__u8 started;
		__u8 fin;
		__u8 rtt_side;
	};
};

_Static_assert(__builtin_offsetof(struct ps_conn_tcp, state) % 4 == 0, "state, started, fin, rtt_side are one word");
_Static_assert(__builtin_offsetof(struct ps_conn_tcp, hist_len) % 4 == 0, "hist_len can be added to atomically");
_Static_assert(__builtin_offsetof(struct ps_conn_tcp, retrans_bytes) == 64, "the first line serves every segment");

#define PS_STARTED(side) (1u << (side))
#define PS_SCALES(side) (1u << (4 + (side)))
#define PS_HOLE(side) (1u << (6 + (side))) /* hole_start, hole_end: not empty, and not acknowledged yet */
#define PS_FIN_SEEN(side) (1u << (side))
#define PS_FIN_ACKED(side) (1u << (4 + (side)))

/* The segment and its place. */
struct ps_seg {
	const struct ps_packet *p;
	struct ps_conn_tcp *t;
	__u32 s;    /* side that sent it */
	__u32 o;    /* the other */
	__u32 orig; /* side */
	__u32 len;  /* sequence numbers it takes: payload, SYN, FIN */
	__u32 how;
	__u8 flags;
	__u8 in_window; /* plausible as a segment of this connection: a RST or FIN that isn't changes nothing */
};

/*
 * Letters of the history, as bits of hist_seen. What a segment wants written: bits that are written once a side, and,
 * in the high half, those of them that are written again.
 */
#define PS_HIST_SYN 1u
#define PS_HIST_SYNACK 2u
#define PS_HIST_DATA 4u
#define PS_HIST_ACK 8u
#define PS_HIST_FIN 16u
#define PS_HIST_RST 32u
#define PS_HIST_FIN_RST 64u
#define PS_HIST_MULTI 128u /* SYN with FIN or RST */
#define PS_HIST_ZERO_WINDOW 256u
#define PS_HIST_RETRANS 512u
#define PS_HIST_GAP 1024u
#define PS_HIST_AGAIN(bits) ((bits) << 16)

static __always_inline __s32 ps_seq_diff(__u32 a, __u32 b)
{
	return (__s32)(a - b);
}

static __always_inline __u32 ps_tcp_add(__u32 *counter, __u32 n)
{
	return __sync_fetch_and_add(counter, n);
}

/* "bit", to be written once, and again each time that its counter passes a power of ten on its way from n to n + add.
 */
static __always_inline __u32 ps_hist_scaled(__u32 bit, __u32 n, __u32 add)
{
	__u32 power = 10, i;

	for (i = 0; i < 6; i++) {
		if (n < power && n + add >= power)
			return bit | PS_HIST_AGAIN(bit);
		power *= 10;
	}
	return bit;
}

/* --- Windows ---------------------------------------------------------------------------------- */

/* Bytes the side offered last; the largest there can be if its SYN was not seen. */
static __always_inline __u32 ps_tcp_window(const struct ps_conn_tcp *t, __u32 side)
{
	__u8 shift = t->wscale[side];

	return (__u32)t->window[side] << (shift > 14 ? 14 : shift);
}

/* RFC 9293 3.10.7.4, as far as an onlooker can tell. */
static __always_inline int ps_tcp_in_window(const struct ps_conn_tcp *t, __u32 seq, __u32 s, __u32 o)
{
	if (!(t->started & PS_STARTED(s)) && !(t->tcp_flags[o] & PS_TCP_ACK))
		return 1;
	if ((t->started & PS_STARTED(s)) && seq == t->next_seq[s])
		return 1;
	/* Nothing is known of the receiver: it may also repeat the number of what was sent last, as of a SYN taken
	 * back. */
	if (!(t->tcp_flags[o] & PS_TCP_ACK))
		return seq == t->seq[s];
	return seq - t->ack[o] <= ps_tcp_window(t, o);
}

/* Does it acknowledge the other side's SYN, and nothing that the other side hasn't sent? */
static __always_inline int ps_tcp_acks_syn(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	if (!(g->flags & PS_TCP_ACK) || !(t->started & PS_STARTED(g->o)))
		return 0;
	return g->p->ack - t->seq[g->o] - 1 < t->next_seq[g->o] - t->seq[g->o];
}

static __always_inline void ps_tcp_wscale_set(const struct ps_seg *g)
{
	struct ps_conn_tcp *t = g->t;

	t->wscale[g->s] = g->p->wscale == 0xff ? 0 : g->p->wscale;
	/* RFC 7323 2.2: in force only if both SYNs had the option */
	if ((g->flags & PS_TCP_ACK) && (t->started & PS_STARTED(g->o)) &&
		!(g->p->wscale != 0xff && (t->started & PS_SCALES(g->o)))) {
		t->wscale[0] = 0;
		t->wscale[1] = 0;
	}
}

/* The letters it wants. A window means nothing to a peer that has sent its FIN. */
static __always_inline __u32 ps_tcp_window_note(const struct ps_seg *g, struct ps_stats *s)
{
	struct ps_conn_tcp *t = g->t;

	if (g->flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST))
		return 0;
	if (!g->p->window) {
		__u32 n = ps_tcp_add(&t->zero_windows[g->s], 1);

		s->tcp_zero_windows++;
		return t->fin & PS_FIN_SEEN(g->o) ? 0 : ps_hist_scaled(PS_HIST_ZERO_WINDOW, n, 1);
	}
	if (g->p->window < PS_SMALL_WINDOW && t->wscale[g->s] <= 14 &&
		(__u32)g->p->window << t->wscale[g->s] < PS_SMALL_WINDOW) {
		ps_tcp_add(&t->small_windows[g->s], 1);
		s->tcp_small_windows++;
	}
	return 0;
}

/* --- Sequence space --------------------------------------------------------------------------- */

/* The flag lies in the word that the state machine exchanges. */
static __always_inline void ps_tcp_hole_mark(struct ps_conn_tcp *t, __u32 side, int is)
{
	union ps_tcp_ctl bit = {.started = PS_HOLE(side)};

	if (is)
		__sync_fetch_and_or((__u32 *)&t->state, bit.word);
	else
		__sync_fetch_and_and((__u32 *)&t->state, ~bit.word);
}

/* The segment begins behind the newest: something was skipped. */
static __always_inline void ps_tcp_gap(const struct ps_seg *g, struct ps_stats *s, __u32 skipped)
{
	struct ps_conn_tcp *t = g->t;

	if (skipped > PS_SEQ_JUMP_MAX)
		return;
	/* the byte of a window probe, taken after all */
	if (skipped == 1 && (t->tcp_flags[g->o] & PS_TCP_ACK) && t->ack[g->o] == g->p->seq) {
		t->next_seq[g->s] = g->p->seq + g->len;
		return;
	}
	__sync_fetch_and_add(&t->gap_bytes[g->s], skipped);
	s->tcp_gap_bytes += skipped;
	t->hole_start[g->s] = t->next_seq[g->s];
	t->hole_end[g->s] = g->p->seq;
	ps_tcp_hole_mark(t, g->s, 1);
	t->next_seq[g->s] = g->p->seq + g->len;
}

/* Takes the segment out of the newest hole. 1 if it lies in there. */
static __always_inline int ps_tcp_fills_hole(const struct ps_seg *g)
{
	struct ps_conn_tcp *t = g->t;
	__u32 start = t->hole_start[g->s], size = t->hole_end[g->s] - start;
	__u32 at = g->p->seq - start;

	if (at >= size || g->len > size - at)
		return 0;
	if (at == 0 && g->len == size)
		ps_tcp_hole_mark(t, g->s, 0);
	if (at == 0)
		t->hole_start[g->s] = g->p->seq + g->len;
	else
		t->hole_end[g->s] = g->p->seq; /* what lies behind it is forgotten, unless this was the tail */
	return 1;
}

/* The segment begins before the newest, by "back". The letters it wants: payload that brings nothing new is Zeek's T.
 */
static __always_inline __u32 ps_tcp_old(const struct ps_seg *g, struct ps_stats *s, __u32 back)
{
	struct ps_conn_tcp *t = g->t;
	const struct ps_packet *p = g->p;
	int news = ps_seq_diff(p->seq + g->len, t->next_seq[g->s]) > 0;
	__u32 n = t->retrans_packets[g->s] + t->out_of_order[g->s];

	/* RFC 9293 3.8.4: a keep-alive repeats one sequence number, with or without its byte */
	if (back == 1 && p->payload <= 1 && !(g->flags & (PS_TCP_SYN | PS_TCP_FIN)))
		return 0;
	if (ps_tcp_fills_hole(g)) {
		ps_tcp_add(&t->out_of_order[g->s], p->segs);
		s->tcp_out_of_order += p->segs;
	} else {
		ps_tcp_add(&t->retrans_packets[g->s], p->segs);
		__sync_fetch_and_add(&t->retrans_bytes[g->s], p->payload < back ? p->payload : back);
		s->tcp_retrans += p->segs;
		if (news)
			t->next_seq[g->s] = p->seq + g->len;
		if (t->rtt_side == g->o) /* Karn: an acknowledgement might be of either */
			t->rtt_side = 0xff;
	}
	return p->payload && !news ? ps_hist_scaled(PS_HIST_RETRANS, n, p->segs) : 0;
}

/*
 * RFC 9293 3.8.6.1: a byte of new data against a closed window asks for the window. It may be sent again and again, and
 * again with what follows it once the window opens, without ever having been lost: it does not count as sent.
 */
static __always_inline int ps_tcp_is_window_probe(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	return g->len == 1 && g->p->payload == 1 && !t->window[g->o] && (t->tcp_flags[g->o] & PS_TCP_ACK);
}

/* *ret_next: the segment continues its side's sequence. The letters it wants. */
static __always_inline __u32 ps_tcp_sequence(const struct ps_seg *g, struct ps_stats *s, int *ret_next)
{
	struct ps_conn_tcp *t = g->t;
	__u32 seq = g->p->seq;
	__s32 ahead;

	*ret_next = 0;
	if (g->flags & PS_TCP_RST)
		return 0;
	if (!(t->started & PS_STARTED(g->s))) {
		t->next_seq[g->s] = seq + g->len;
		return 0;
	}
	if (!g->len)
		return 0;
	ahead = ps_seq_diff(seq, t->next_seq[g->s]);
	if (ahead == 0) {
		if (ps_tcp_is_window_probe(g))
			return 0;
		t->next_seq[g->s] = seq + g->len;
		*ret_next = 1;
		return 0;
	}
	if (t->state == PS_TCP_SYN_SENT && (g->flags & PS_TCP_SYN) && seq != t->seq[g->s]) {
		/* another attempt from the same port, not the same SYN again */
		t->next_seq[g->s] = seq + g->len;
		return 0;
	}
	if (ahead < 0)
		return ps_tcp_old(g, s, -ahead);
	ps_tcp_gap(g, s, ahead);
	return 0;
}

/* RFC 5681 section 2: no data, no SYN or FIN, the same acknowledgement and window, while the other side has data
 * outstanding. */
static __always_inline int ps_tcp_is_dup_ack(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;
	const struct ps_packet *p = g->p;

	if (g->len || (g->flags & (PS_TCP_RST | PS_TCP_ACK)) != PS_TCP_ACK || !(t->tcp_flags[g->s] & PS_TCP_ACK))
		return 0;
	if (p->ack != t->ack[g->s] || p->window != t->window[g->s] || p->seq != t->next_seq[g->s])
		return 0;
	return (t->started & PS_STARTED(g->o)) && ps_seq_diff(t->next_seq[g->o], p->ack) > 0;
}

/* --- State ------------------------------------------------------------------------------------ */

static __always_inline __u8 ps_tcp_state_fin(__u8 fin)
{
	__u8 seen = fin & 3, acked = fin >> 4 & 3;

	if (seen == 3)
		return acked == 3 ? PS_TCP_TIME_WAIT : PS_TCP_LAST_ACK;
	return acked ? PS_TCP_CLOSE_WAIT : PS_TCP_FIN_WAIT;
}

static __always_inline __u8 ps_tcp_state_rst(const struct ps_seg *g, __u8 state)
{
	if (state == PS_TCP_TIME_WAIT || state == PS_TCP_CLOSE)
		return state;
	/* a refusal has no sequence of its own yet: it is known by what it acknowledges */
	if (state == PS_TCP_SYN_SENT && g->s != g->orig)
		return ps_tcp_acks_syn(g) ? PS_TCP_CLOSE : state;
	return g->in_window ? PS_TCP_CLOSE : state;
}

static __always_inline __u8 ps_tcp_state_open(const struct ps_seg *g, __u8 state)
{
	if (state == PS_TCP_SYN_SENT) {
		if (g->s != g->orig) {
			/* the answer, or the other side's SYN of a simultaneous open */
			if (ps_tcp_acks_syn(g) || (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN)
				return PS_TCP_SYN_RECV;
		} else if ((g->how & PS_HOW_INGRESS_ONLY) && (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_ACK) {
			return PS_TCP_ESTABLISHED;
		}
	} else if (state == PS_TCP_SYN_RECV && g->s == g->orig && ps_tcp_acks_syn(g)) {
		return PS_TCP_ESTABLISHED;
	}
	return state;
}

static __always_inline void ps_seg_begin(struct ps_seg *g, const struct ps_packet *p, struct ps_conn_tcp *t, __u32 how)
{
	g->p = p;
	g->t = t;
	g->how = how;
	g->s = how & PS_HOW_SIDE;
	g->o = g->s ^ 1;
	g->orig = how & PS_HOW_ORIG ? 1 : 0;
	g->flags = p->key.tcp_flags;
	g->in_window = how & PS_HOW_IN_WINDOW ? 1 : 0;
	g->len = 0;
	if (!(g->flags & PS_TCP_RST))
		g->len = p->payload + !!(g->flags & PS_TCP_SYN) + !!(g->flags & PS_TCP_FIN);
}

static __always_inline union ps_tcp_ctl ps_tcp_next(union ps_tcp_ctl c, const struct ps_seg *g)
{
	if (!(g->flags & PS_TCP_RST)) {
		c.started |= PS_STARTED(g->s);
		if ((g->flags & PS_TCP_SYN) && g->p->wscale != 0xff)
			c.started |= PS_SCALES(g->s);
	}
	if (g->how & PS_HOW_DROPPED)
		return c;
	if (g->flags & PS_TCP_RST) {
		c.state = ps_tcp_state_rst(g, c.state);
		return c;
	}
	c.state = ps_tcp_state_open(g, c.state);
	if (c.state < PS_TCP_ESTABLISHED || c.state == PS_TCP_CLOSE)
		return c;
	if ((g->flags & PS_TCP_FIN) && g->in_window)
		c.fin |= PS_FIN_SEEN(g->s);
	if ((g->flags & PS_TCP_ACK) && (c.fin & PS_FIN_SEEN(g->o)) && ps_seq_diff(g->p->ack, g->t->fin_seq[g->o]) >= 0)
		c.fin |= PS_FIN_ACKED(g->o);
	if (c.fin)
		c.state = ps_tcp_state_fin(c.fin);
	return c;
}

/*
 * One step of the state machine, from one word of struct ps_conn_tcp (union ps_tcp_ctl) to the next. fin_seq of this
 * side must be set already if the segment is a FIN.
 */
__noinline __u32 ps_tcp_step(struct ps_packet *p, struct ps_conn_tcp *t, __u32 how, __u32 word)
{
	union ps_tcp_ctl c = {.word = word};
	struct ps_seg g;

	if (!p || !t)
		return word;
	ps_seg_begin(&g, p, t, how);
	return ps_tcp_next(c, &g).word;
}

/* Takes the step. The state before it; *ret_state is the one after. */
static __always_inline __u8 ps_tcp_advance(const struct ps_seg *g, struct ps_packet *p, __u8 *ret_state)
{
	__u32 *word = (__u32 *)&g->t->state;
	union ps_tcp_ctl was, now;
	__u32 i;

	was.word = *(volatile __u32 *)word;
	*ret_state = was.state;
	if (was.state == PS_TCP_ESTABLISHED && (was.started & PS_STARTED(g->s)) && !was.fin &&
		!(g->flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST)))
		return was.state;
	for (i = 0; i < PS_CAS_TRIES; i++) {
		was.word = *(volatile __u32 *)word;
		now.word = ps_tcp_step(p, g->t, g->how, was.word);
		if (now.word == was.word || __sync_val_compare_and_swap(word, was.word, now.word) == was.word) {
			*ret_state = now.state;
			return was.state;
		}
	}
	return was.state;
}

/* --- Round-trip times ------------------------------------------------------------------------- */

/* The acknowledgement that a running sample waits for. */
static __always_inline void ps_tcp_rtt_end(const struct ps_seg *g, const struct ps_runtime *rt)
{
	struct ps_conn_tcp *t = g->t;
	__u32 sample;

	if (t->rtt_side != g->s || !(g->flags & PS_TCP_ACK) || ps_seq_diff(g->p->ack, t->rtt_seq) < 0)
		return;
	t->rtt_side = 0xff;
	sample = (ps_precise_us(rt) - t->rtt_start_us) ?: 1;
	if (!t->rtt_us)
		t->rtt_us = sample;
	else
		t->rtt_us += (__s32)(sample - t->rtt_us) >> 3;
}

/*
 * New data may begin a sample. Only data that leaves this host, so that the sample is of the network and not of how
 * long our own side takes to acknowledge; in a capture both directions serve.
 */
static __always_inline void ps_tcp_rtt_begin(const struct ps_seg *g, const struct ps_runtime *rt)
{
	struct ps_conn_tcp *t = g->t;

	if (t->rtt_side != 0xff || !g->p->payload || (g->how & PS_HOW_DROPPED))
		return;
	if (g->p->key.direction != PS_DIR_EGRESS && !ps_const.replay)
		return;
	if (t->rtt_start_us && (__s32)((__u32)(g->p->now / 1000) - t->rtt_start_us) < (__s32)PS_RTT_SPACING_US)
		return;
	t->rtt_seq = g->p->seq + g->len;
	t->rtt_start_us = ps_precise_us(rt);
	t->rtt_side = g->o;
}

/* --- History ---------------------------------------------------------------------------------- */

/* Never more than there is room for: hist_len is an index for whoever reads the record. */
__noinline int ps_tcp_letter(struct ps_conn_tcp *t, __u32 letter)
{
	__u32 *word;
	__u32 i;

	if (!t)
		return -1;
	word = (__u32 *)&t->hist_len;
	for (i = 0; i < PS_CAS_TRIES; i++) {
		__u32 was = *(volatile __u32 *)word, at = was >> PS_WORD_BYTE0 & 0xff;

		if (at >= PS_HISTORY_MAX)
			return 0;
		if (__sync_val_compare_and_swap(word, was, was + (1u << PS_WORD_BYTE0)) == was) {
			t->history[at] = letter;
			return 0;
		}
	}
	return 0;
}

static __always_inline void ps_tcp_letter_if(const struct ps_seg *g, __u32 fresh, __u32 bit, char letter)
{
	if (fresh & bit)
		ps_tcp_letter(g->t, g->s == g->orig ? letter : letter + ('a' - 'A'));
}

/* Writes the letters that a segment wants and its side has not sent yet, or may send again. */
__noinline int ps_tcp_write(struct ps_packet *p, struct ps_conn_tcp *t, __u32 how, __u32 want)
{
	__u32 shift, fresh;
	struct ps_seg g;

	if (!p || !t)
		return -1;
	ps_seg_begin(&g, p, t, how);
	shift = g.s ? 16 : 0;
	fresh = want & 0xffff & ~(__sync_fetch_and_or(&t->hist_seen, (want & 0xffff) << shift) >> shift);
	fresh |= want >> 16;
	/* in the order in which Zeek comes to them */
	ps_tcp_letter_if(&g, fresh, PS_HIST_FIN_RST, 'I');
	ps_tcp_letter_if(&g, fresh, PS_HIST_MULTI, 'Q');
	ps_tcp_letter_if(&g, fresh, PS_HIST_SYN, 'S');
	ps_tcp_letter_if(&g, fresh, PS_HIST_SYNACK, 'H');
	ps_tcp_letter_if(&g, fresh, PS_HIST_FIN, 'F');
	ps_tcp_letter_if(&g, fresh, PS_HIST_RST, 'R');
	ps_tcp_letter_if(&g, fresh, PS_HIST_DATA, 'D');
	ps_tcp_letter_if(&g, fresh, PS_HIST_ACK, 'A');
	ps_tcp_letter_if(&g, fresh, PS_HIST_ZERO_WINDOW, 'W');
	ps_tcp_letter_if(&g, fresh, PS_HIST_RETRANS, 'T');
	ps_tcp_letter_if(&g, fresh, PS_HIST_GAP, 'G');
	return 0;
}

/* The letters of the segment's own flags; those of SYN, FIN and RST again when the sequence number is another one. */
static __always_inline __u32 ps_tcp_letters_of(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;
	const struct ps_packet *p = g->p;
	__u32 bit, again;

	switch (g->flags & (PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST)) {
	case 0:
		if (p->payload)
			return PS_HIST_DATA;
		return g->flags & PS_TCP_ACK ? PS_HIST_ACK : 0;
	case PS_TCP_SYN:
		bit = g->flags & PS_TCP_ACK ? PS_HIST_SYNACK : PS_HIST_SYN;
		again = p->seq != t->seq[g->s];
		break;
	case PS_TCP_FIN:
		bit = PS_HIST_FIN;
		again = p->seq + p->payload + 1 != t->fin_seq[g->s];
		break;
	case PS_TCP_RST:
		bit = PS_HIST_RST;
		again = p->seq != t->seq[g->s];
		break;
	case PS_TCP_FIN | PS_TCP_RST:
	case PS_TCP_SYN | PS_TCP_FIN | PS_TCP_RST:
		return PS_HIST_FIN_RST;
	default:
		return PS_HIST_MULTI;
	}
	return again ? bit | PS_HIST_AGAIN(bit) : bit;
}

static __always_inline void ps_tcp_history(const struct ps_seg *g, struct ps_packet *p, __u32 want)
{
	if ((want & 0xffff & ~(g->t->hist_seen >> (g->s ? 16 : 0))) | want >> 16)
		ps_tcp_write(p, g->t, g->how, want);
}

/*
 * The receiver acknowledges what is missing from the other side: it got there another way, or past us, and is no
 * reordering. A gap, in Zeek's words; the letter is the sender's.
 */
static __always_inline void ps_tcp_hole_acked(const struct ps_seg *g, struct ps_packet *p)
{
	struct ps_conn_tcp *t = g->t;
	__u32 o = g->o & 1, n;

	if (!(g->flags & PS_TCP_ACK) || ps_seq_diff(p->ack, t->hole_start[o]) <= 0)
		return;
	ps_tcp_hole_mark(t, o, 0);
	n = t->gaps[o];
	if (n < 0xff)
		t->gaps[o] = n + 1;
	ps_tcp_write(p, t, g->how ^ PS_HOW_SIDE, ps_hist_scaled(PS_HIST_GAP, n, 1));
}

/* --- The segment ------------------------------------------------------------------------------ */

/*
 * A SYN that comes after its own answer: the connection was joined with a packet of the responder, which acknowledged
 * exactly this SYN.
 */
static __always_inline int ps_tcp_flips(const struct ps_seg *g)
{
	const struct ps_conn_tcp *t = g->t;

	return (g->how & PS_HOW_MIDSTREAM) && g->s != g->orig && (g->flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN &&
	       !(t->started & PS_STARTED(g->s)) && (t->tcp_flags[g->o] & PS_TCP_ACK) && t->ack[g->o] == g->p->seq + 1;
}

/* Analyses one segment. how: PS_HOW_*; PS_DID_* comes back. */
__noinline int ps_tcp_segment(struct ps_packet *p, struct ps_conn_tcp *t, __u32 how)
{
	struct ps_seg g;
	struct ps_runtime *rt;
	__u8 before, after;
	struct ps_stats *s;
	__u32 zero = 0, did = 0, want;
	int next;

	s = ps_stats_get();
	rt = bpf_map_lookup_elem(&ps_runtime, &zero);
	if (!p || !t || !s || !rt)
		return 0;
	ps_seg_begin(&g, p, t, how & ~PS_HOW_IN_WINDOW);

	if (ps_tcp_flips(&g)) {
		g.orig = g.s;
		g.how ^= PS_HOW_ORIG;
		did |= PS_DID_FLIP;
		ps_tcp_letter(t, '^');
	}
	if (!(g.flags & (PS_TCP_RST | PS_TCP_FIN)) || ps_tcp_in_window(t, p->seq, g.s, g.o)) {
		g.in_window = 1;
		g.how |= PS_HOW_IN_WINDOW;
	}
	want = ps_tcp_letters_of(&g);
	if (g.flags & PS_TCP_SYN) {
		ps_tcp_wscale_set(&g);
		if (g.s == g.orig && !(g.flags & PS_TCP_ACK))
			t->syn_us = ps_precise_us(rt);
	}
	if ((g.flags & PS_TCP_FIN) && !(t->fin & PS_FIN_SEEN(g.s)))
		t->fin_seq[g.s] = p->seq + p->payload + 1;
	if (ps_tcp_is_dup_ack(&g)) {
		ps_tcp_add(&t->dup_acks[g.s], 1);
		s->tcp_dup_acks++;
	}
	if (p->window < PS_SMALL_WINDOW)
		want |= ps_tcp_window_note(&g, s);
	want |= ps_tcp_sequence(&g, s, &next);
	t->seq[g.s] = p->seq;
	before = ps_tcp_advance(&g, p, &after);
	if (g.flags & PS_TCP_ACK)
		t->ack[g.s] = p->ack;
	t->window[g.s] = p->window;
	t->tcp_flags[g.s] |= g.flags;
	ps_tcp_rtt_end(&g, rt);
	if (next)
		ps_tcp_rtt_begin(&g, rt);
	ps_tcp_history(&g, p, want);
	if (t->started & PS_HOLE(g.o))
		ps_tcp_hole_acked(&g, p);

	if (after == before)
		return did;
	did |= PS_DID_STATE;
	if (before < PS_TCP_ESTABLISHED && after >= PS_TCP_ESTABLISHED && after != PS_TCP_CLOSE) {
		did |= PS_DID_CONFIRM;
		if (before == PS_TCP_SYN_RECV && t->syn_us)
			t->rtt_handshake_us = (ps_precise_us(rt) - t->syn_us) ?: 1;
	}
	if (after >= PS_TCP_LAST_ACK && before < PS_TCP_LAST_ACK)
		did |= PS_DID_CLOSE;
	return did;
}

#endif
