/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The history in Zeek's letters; docs/traces.md says where we read them otherwise.
 */
#ifndef PS_BPF_TCP_HISTORY_H
#define PS_BPF_TCP_HISTORY_H

#include "bpf/tcp_sequence.h"
#include "bpf/tcp_state.h"

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
 * reordering. A gap, in Zeek's words; the letter is the sender's. word: that told of the hole (union ps_tcp_ctl).
 */
static __always_inline void ps_tcp_hole_acked(const struct ps_seg *g, struct ps_packet *p, __u32 word)
{
	struct ps_conn_tcp *t = g->t;
	__u32 o = g->o & 1, n;

	PS_AFTER(t, word);
	if (!(g->flags & PS_TCP_ACK) || ps_seq_diff(p->ack, t->hole_start[o]) <= 0)
		return;
	ps_tcp_hole_mark(t, o, 0);
	n = t->gaps[o];
	if (n < 0xff)
		t->gaps[o] = n + 1;
	ps_tcp_write(p, t, g->how ^ PS_HOW_SIDE, ps_hist_scaled(PS_HIST_GAP, n, 1));
}

#endif
