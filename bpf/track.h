/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What happens to a parsed packet, on either hook: find or begin its connection, take the verdict, account, report.
 *
 * A packet that a rule drops is still counted in its connection (and beside that as dropped), but it confirms nothing
 * and moves no state: the peer never saw it.
 */
#ifndef PS_BPF_TRACK_H
#define PS_BPF_TRACK_H

#include "bpf/frag.h"
#include "bpf/icmp.h"
#include "bpf/tcp.h"
#include "bpf/verdict.h"
#ifdef PS_TABLE_LRU
#include "bpf/table_lru.h"
#else
#include "bpf/table.h"
#endif

/* Packets after which a connection joined midstream counts as confirmed where its answers are not watched. */
#define PS_INGRESS_CONFIRM 4

/* Everything one packet needs to be handled. */
struct ps_turn {
	struct ps_packet *p;
	struct ps_stats *s;
	const struct ps_rule_head *rules; /* NULL = none */
};

static __always_inline void ps_emit_of(const struct ps_conn *c, __u32 tcp, __u32 type)
{
	if (tcp)
		ps_emit_conn(c->hot, c->cold, c->tcp, c->slot, PS_SAY(type, PS_END_NONE));
	else
		ps_emit_conn(c->hot, c->cold, NULL, c->slot, PS_SAY(type, PS_END_NONE));
}

/* Flags that this packet, which was not dropped, adds. */
static __always_inline __u8 ps_gained_flags(const struct ps_conn *c, const struct ps_packet *p, __u32 side, __u32 did)
{
	__u8 was = c->hot->flags, gain = 0;
	__u32 orig = was & PS_CONN_ORIG1 ? 1 : 0;

	if (side != orig && !(was & PS_CONN_REPLIED))
		gain |= PS_CONN_REPLIED;
	if (did & PS_DID_CLOSE)
		gain |= PS_CONN_CLOSED;
	if ((was & PS_CONN_CONFIRMED) || ((was | gain) & PS_CONN_CLOSED))
		return gain;
	if (p->key.proto == IPPROTO_UDP) {
		if ((was | gain) & PS_CONN_REPLIED)
			gain |= PS_CONN_CONFIRMED;
	} else if (did & PS_DID_CONFIRM) {
		gain |= PS_CONN_CONFIRMED;
	} else if ((was & PS_CONN_MIDSTREAM) && !(p->key.tcp_flags & PS_TCP_RST)) {
		if ((was | gain) & PS_CONN_REPLIED)
			gain |= PS_CONN_CONFIRMED;
		else if ((was & PS_CONN_INGRESS_ONLY) && c->hot->packets[side & 1] >= PS_INGRESS_CONFIRM)
			gain |= PS_CONN_CONFIRMED;
	}
	return gain;
}

/* The segment's part: PS_DID_*, with the originator turned around if it says so. */
static __always_inline __u32 ps_account_tcp(struct ps_conn *c, struct ps_packet *p, __u32 side, int dropped)
{
	__u8 flags = c->hot->flags;
	__u32 did, how = side;

	if (!dropped && ps_tcp_usual(p, c->tcp, side))
		return 0;
	if (flags & PS_CONN_ORIG1)
		how |= PS_HOW_ORIG;
	if (flags & PS_CONN_INGRESS_ONLY)
		how |= PS_HOW_INGRESS_ONLY;
	if (flags & PS_CONN_MIDSTREAM)
		how |= PS_HOW_MIDSTREAM;
	if (dropped)
		how |= PS_HOW_DROPPED;
	did = ps_tcp_segment(p, c->tcp, how);
	if (did & PS_DID_FLIP) {
		ps_flags_toggle(c->hot, PS_CONN_ORIG1);
		ps_flags_set(c->hot, PS_CONN_FLIPPED | PS_CONN_REPLIED);
	}
	return did;
}

/* Reports: at once what is new or changed its state, else at most once per interval. seen: last_seen before this
 * packet. */
static __always_inline void ps_report(const struct ps_turn *turn, struct ps_conn *c, int fresh, __u32 did, __u64 seen)
{
	const struct ps_packet *p = turn->p;
	__u32 tcp = p->key.proto == IPPROTO_TCP;

	if (fresh) {
		ps_emit_of(c, tcp, PS_EV_CONN_NEW);
		return;
	}
	if (did & PS_DID_STATE)
		ps_claim_report(c->hot, p->now);
	else if (!ps_report_due(p->now, p->interval, seen, c->hot->reported) || !ps_claim_report(c->hot, p->now))
		return;
	c->cold->ip_id = p->ip_id;
	ps_emit_of(c, tcp, PS_EV_CONN_UPDATE);
}

static __always_inline void ps_account(
	const struct ps_turn *turn, struct ps_conn *c, __u32 side, int fresh, int dropped)
{
	struct ps_packet *p = turn->p;
	__u64 seen = c->hot->last_seen;
	__u32 did = 0;
	__u8 gain;

	ps_count(c, p, side);
	if (dropped)
		__sync_fetch_and_add(&c->cold->dropped[side & 1], p->segs);
	if (p->key.proto == IPPROTO_TCP)
		did = ps_account_tcp(c, p, side, dropped);
	gain = dropped ? 0 : ps_gained_flags(c, p, side, did);
	if (gain) {
		ps_flags_set(c->hot, gain);
		if (gain & PS_CONN_CONFIRMED)
			ps_table_confirm(c);
		if (gain & PS_CONN_CLOSED)
			ps_table_release(c);
	}
	ps_report(turn, c, fresh, did, seen);
}

/* A new connection from the same port as one that is closed. */
static __always_inline int ps_is_reuse(const struct ps_conn *c, const struct ps_packet *p)
{
	return p->key.proto == IPPROTO_TCP && (c->hot->flags & PS_CONN_CLOSED) &&
	       (p->key.tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN;
}

static __always_inline int ps_handle_conn(const struct ps_turn *turn)
{
	struct ps_packet *p = turn->p;
	int found, fresh = 0, drop;
	struct ps_conn c = {};
	__u32 verdict;

	ps_name_of_packet(p);
	found = ps_table_find_packet(p, &c);
	if (p->forwarded) {
		verdict = ps_verdict_of(turn->rules, p);
		return ps_verdict_apply(p, verdict, found || !ps_conn_is_whole(&c) ? 0 : c.cold->id);
	}
	if (found || !ps_conn_is_whole(&c) || ps_is_reuse(&c, p)) {
		found = ps_table_create(p, found ? PS_NO_SLOT : c.slot, &c, &fresh);
		if (fresh)
			turn->s->conns_new++;
	}
	if (found || !ps_conn_is_whole(&c)) {
		turn->s->untracked += p->segs;
		verdict = ps_verdict_of(turn->rules, p);
		return ps_verdict_apply(p, verdict, 0);
	}
	verdict = ps_verdict_conn(turn->rules, p, c.hot, p->name.side);
	drop = ps_verdict_apply(p, verdict, c.cold->id);
	ps_account(turn, &c, p->name.side, fresh, drop);
	return drop;
}

/* The id of the connection that the packet quoted in an ICMP error belongs to, 0 = none known. */
__noinline __u64 ps_quoted_conn(struct ps_packet *p)
{
	struct ps_conn c = {};
	struct ps_name n;

	if (!p || !(p->known & PS_KNOWN_QUOTED_PORTS))
		return 0;
	ps_name_of_quoted(p, &n);
	if (ps_table_find(&n, p->inner.saddr, p->inner.daddr, &c) || !ps_conn_is_whole(&c))
		return 0;
	return c.cold->id;
}

static __always_inline int ps_handle_icmp(const struct ps_turn *turn)
{
	struct ps_packet *p = turn->p;
	int drop = ps_verdict_apply(p, ps_verdict_of(turn->rules, p), 0);

	if (p->forwarded)
		return drop;
	ps_icmp_message(p, ps_quoted_conn(p), drop, p->interval);
	if (!drop && ps_icmp_is_reply(p))
		ps_echo_answered(p);
	return drop;
}

/* Counts the packet and decides on it: 1 = drop. */
static __always_inline int ps_handle(struct ps_packet *p, const struct ps_runtime *rt)
{
	struct ps_turn turn;

	turn.s = ps_stats_get();
	if (!rt || !turn.s)
		return 0;
	turn.p = p;
	p->now = ps_now(rt);
	if (p->forwarded)
		turn.s->forwarded += p->segs;
	else
		ps_stats_packet(turn.s, p);
	if (p->kind == PS_KIND_NOT_IP)
		return 0;
	p->interval = rt->report_interval ?: PS_REPORT_INTERVAL_NS;
	turn.rules = ps_rules_get(rt, p);

	if (p->kind == PS_KIND_TCP || p->kind == PS_KIND_UDP)
		return ps_handle_conn(&turn);
	if (p->kind == PS_KIND_ICMP)
		return ps_handle_icmp(&turn);
	if (p->kind == PS_KIND_FRAGMENT && !p->forwarded)
		ps_frag_count(p);
	return ps_verdict_apply(p, ps_verdict_of(turn.rules, p), 0);
}

#endif
