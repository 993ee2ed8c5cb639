/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * The connection table: arrays that user space maps, organised as buckets of eight slots.
 *
 * A connection may stand in one of two buckets, both taken from its hash; a bucket's tag word tells in one load
 * which of its slots are worth comparing (a byte each: seven bits of the hash). So a look-up touches the two tag words
 * and the one line of the connection.
 *
 * Each connection prefers one of the slots, told by its hash. It is no rule, only a guess worth a load: see
 * ps_table_find_packet().
 *
 * A slot's tag byte is its owner:
 *
 *	EMPTY -> BUSY -> live		insert: only who made it BUSY writes the record, then publishes it
 *	live -> BUSY -> live		the slot is given up for another connection, or for the next one of the
 *					same name
 *	live -> DYING -> EMPTY		expiry, by user space
 *
 * Every change is one atomic operation on the tag word, and a byte other than live is touched only by who made it so.
 * Taking a slot and handing it on are ordered (order.h): who sees it live sees the whole record, and whose it becomes
 * is not disturbed by what its former owner wrote. A connection is published under the lock of its name's stripe, after
 * a second look-up there; so there are never two of one name, whoever meets it at once. Nothing else takes the lock,
 * and nothing waits while holding it.
 *
 * A packet that found a connection counts into it without any lock. Expiry waits until such packets are through. A
 * slot that is given up doesn't wait: only connections that never were confirmed, or are closed, can be,
 * and a packet of such a one arriving in the same hundred nanoseconds on another CPU may count for its successor.
 *
 * table_lru.h has the same interface on the kernel's own hash.
 */
#ifndef PS_BPF_TABLE_H
#define PS_BPF_TABLE_H

#include "bpf/events.h"
#include "bpf/order.h"

#define PS_TAG_ONES 0x0101010101010101ull
#define PS_TAG_HIGHS 0x8080808080808080ull

/* Asked of ps_table_create(): take any slot. */
#define PS_NO_SLOT 0xffffffffu
/* Answered by ps_table_publish(), beside the slot: the connection is new, and the caller is who made it. */
#define PS_SLOT_NEW 0x40000000
/* Answered by ps_claim(), beside the slot: it held another connection. */
#define PS_SLOT_VICTIM 0x20000000
#define PS_SLOT_MASK 0x1fffffff

_Static_assert(PS_BUCKET_SLOTS == 8, "a bucket is one word of tags");
_Static_assert(PS_CONNECTIONS_MAX / PS_TABLE_LOAD_PERCENT * 100 + PS_BUCKET_SLOTS < PS_SLOT_MASK, "slots fit the mask");

/* 0x80 in each byte of w that is zero, and in no other. */
static __always_inline __u64 ps_zero_bytes(__u64 w)
{
	return ~(((w & ~PS_TAG_HIGHS) + ~PS_TAG_HIGHS) | w | ~PS_TAG_HIGHS);
}

/* Which byte the lowest of these bits (all of them 0x80 of some byte) is in: BPF has no count of trailing zeros. */
static __always_inline __u32 ps_lowest_byte(__u64 highs)
{
	return ((highs & -highs) >> 7) * 0x0001020304050607ull >> 56;
}

static __always_inline __u32 ps_bytes_set(__u64 highs)
{
	return (highs >> 7) * PS_TAG_ONES >> 56;
}

static __always_inline __u64 ps_tag_of(__u64 hash)
{
	return PS_TAG_LIVE | (hash & 0x7f);
}

/* Multiply-shift: any number of buckets, no division. The second bucket may be the first. */
static __always_inline __u32 ps_bucket1(__u64 hash)
{
	return (hash >> 32) * ps_const.buckets >> 32;
}

static __always_inline __u32 ps_bucket2(__u64 hash)
{
	return (hash * PS_MUL1 >> 32) * ps_const.buckets >> 32;
}

/* The slot of a bucket that a new connection prefers, and where it is looked for while its tag is still on the way. */
static __always_inline __u32 ps_slot_preferred(__u64 hash)
{
	return hash >> 20 & (PS_BUCKET_SLOTS - 1);
}

/* Is this the record of that name? IPv6 is compared by digest. */
static __always_inline int ps_hot_is(const struct ps_conn_hot *hot, const struct ps_name *n)
{
	__u8 v6 = n->family == PS_FAMILY_IPV6 ? PS_CONN_IPV6 : 0;

	return *(const __u64 *)hot->addr == n->addr && *(const __u64 *)hot->port == n->ends && hot->proto == n->proto &&
	       (hot->flags & PS_CONN_IPV6) == v6;
}

/* 0x80 in each byte of the tags whose slot may hold the name with this hash. */
static __always_inline __u64 ps_tag_hits(__u64 tags, __u64 hash)
{
	return ps_zero_bytes(tags ^ (ps_tag_of(hash) * PS_TAG_ONES));
}

/* The slot of this name in a bucket, or -1. */
static __always_inline int ps_bucket_find(__u64 tags, const struct ps_hot_bucket *b, const struct ps_name *n)
{
	__u64 hits = ps_tag_hits(tags, n->hash);
	__u32 i;

	for (i = 0; i < PS_BUCKET_SLOTS; i++) {
		__u32 s;

		if (!hits)
			break;
		s = ps_lowest_byte(hits) & (PS_BUCKET_SLOTS - 1);
		if (ps_hot_is(&b->slot[s], n))
			return s;
		hits &= hits - 1;
	}
	return -1;
}

/* The parts of a slot, by number. */
static __always_inline int ps_table_get(__u32 slot, struct ps_conn *c)
{
	__u32 bucket = slot / PS_BUCKET_SLOTS;
	struct ps_hot_bucket *b = bpf_map_lookup_elem(&ps_hot, &bucket);

	if (!b)
		return -1;
	c->slot = slot;
	c->hot = &b->slot[slot & (PS_BUCKET_SLOTS - 1)];
	c->cold = bpf_map_lookup_elem(&ps_cold, &slot);
	if (!c->cold)
		return -1;
	c->tcp = bpf_map_lookup_elem(&ps_tcp, &slot);
	return ps_conn_is_whole(c) ? 0 : -1;
}

/* The slot of this name, or -1. */
__noinline int ps_table_search(struct ps_name *n)
{
	struct ps_bucket_tags *t1, *t2;
	struct ps_hot_bucket *h1, *h2;
	__u32 b1, b2;
	int s;

	if (!n)
		return -1;
	b1 = ps_bucket1(n->hash);
	b2 = ps_bucket2(n->hash);
	t1 = bpf_map_lookup_elem(&ps_tags, &b1);
	t2 = bpf_map_lookup_elem(&ps_tags, &b2);
	h1 = bpf_map_lookup_elem(&ps_hot, &b1);
	h2 = bpf_map_lookup_elem(&ps_hot, &b2);
	if (!t1 || !t2 || !h1 || !h2)
		return -1;
	s = ps_bucket_find(*(volatile __u64 *)&t1->tags, h1, n);
	if (s >= 0)
		return b1 * PS_BUCKET_SLOTS + s;
	s = ps_bucket_find(*(volatile __u64 *)&t2->tags, h2, n);
	return s < 0 ? -1 : (int)(b2 * PS_BUCKET_SLOTS + s);
}

/* 0 and the connection, or -1. saddr and daddr are the packet's, for IPv6. */
static __always_inline int ps_table_find(struct ps_name *n, const __u32 *saddr, const __u32 *daddr, struct ps_conn *c)
{
	int slot = ps_table_search(n);

	if (slot < 0 || ps_table_get(slot, c) || !ps_conn_is_whole(c))
		return -1;
	return n->family == PS_FAMILY_IPV6 && !ps_same_addr6(c->cold, saddr, daddr, n->side) ? -1 : 0;
}

/*
 * All ones if any bit of w is set, else zero; without a branch. The asm hides what the compiler would know the pattern
 * by: it would make a branch of it.
 */
static __always_inline __u64 ps_mask_if(__u64 w)
{
	__u64 minus = -w;

	asm volatile("" : "+r"(minus));
	return (__s64)(w | minus) >> 63;
}

/* The lines that a new connection's packet fills and others seldom touch. */
static __always_inline void ps_touch_rest(const struct ps_conn_cold *cold, const struct ps_conn_tcp *tcp)
{
	(void)*(volatile __u64 *)&cold->id;
	(void)*(volatile __u64 *)&tcp->retrans_bytes;
	(void)*(volatile __u64 *)&tcp->history;
}

/* 0: the record in this slot has the packet's own IPv6 addresses, or the packet is IPv4, whose name has them; or -1. */
static __always_inline int ps_table_agrees(const struct ps_packet *p, const struct ps_conn_cold *cold)
{
	return p->name.family == PS_FAMILY_IPV6 && !ps_same_addr6(cold, p->key.saddr, p->key.daddr, p->name.side) ? -1
														  : 0;
}

/* Where the preferred slot is not the one: by the tags of both buckets. */
static __always_inline int ps_table_find_tagged(
	struct ps_packet *p, __u32 b1, __u32 b2, __u64 tags1, __u64 tags2, struct ps_conn *c)
{
	struct ps_name *n = &p->name;
	__u64 hits1 = ps_tag_hits(tags1, n->hash), hits2 = ps_tag_hits(tags2, n->hash);
	__u64 first = ps_mask_if(hits1), hits = hits1 | (hits2 & ~first), bucket;

	if (!hits)
		return -1;
	bucket = b2 ^ ((b1 ^ b2) & first);
	if (ps_table_get(bucket * PS_BUCKET_SLOTS + ps_lowest_byte(hits), c) || !ps_conn_is_whole(c))
		return -1;
	if (n->proto == IPPROTO_TCP)
		(void)*(volatile __u32 *)c->tcp;
	if (!ps_hot_is(c->hot, n))
		return ps_table_find(n, p->key.saddr, p->key.daddr, c);
	return ps_table_agrees(p, c->cold);
}

/*
 * The same as ps_table_find(), of the packet's own connection, and in a hurry.
 *
 * With a large table each of tag, counters and TCP analysis is a miss of the cache and of the TLB. So the lines of the
 * preferred slot are loaded while the tags are on the way, and if the connection stands there, no address had to wait
 * for a tag. A packet that begins a connection will most likely do so there: then the rest of its lines is loaded too.
 *
 * Else, which of the buckets it is, and which slot of it, is random, so that a branch on it would often be predicted
 * wrong: it is calculated. Only a stranger with the same tag, one in twenty, costs another look.
 */
static __always_inline int ps_table_find_packet(struct ps_packet *p, struct ps_conn *c)
{
	struct ps_name *n = &p->name;
	__u32 b1 = ps_bucket1(n->hash), b2 = ps_bucket2(n->hash);
	__u32 s = ps_slot_preferred(n->hash), slot = b1 * PS_BUCKET_SLOTS + s;
	struct ps_bucket_tags *t1 = bpf_map_lookup_elem(&ps_tags, &b1);
	struct ps_bucket_tags *t2 = bpf_map_lookup_elem(&ps_tags, &b2);
	struct ps_hot_bucket *h = bpf_map_lookup_elem(&ps_hot, &b1);
	struct ps_conn_cold *cold = bpf_map_lookup_elem(&ps_cold, &slot);
	struct ps_conn_tcp *tcp = bpf_map_lookup_elem(&ps_tcp, &slot);
	__u64 tags1, tags2;

	if (!t1 || !t2 || !h || !cold || !tcp)
		return -1;
	/* all loads are under way before any is needed */
	tags1 = *(volatile __u64 *)&t1->tags;
	tags2 = *(volatile __u64 *)&t2->tags;
	(void)*(volatile __u64 *)&h->slot[s];
	if (n->proto == IPPROTO_TCP)
		(void)*(volatile __u32 *)tcp;
	if ((p->key.tcp_flags & (PS_TCP_SYN | PS_TCP_ACK)) == PS_TCP_SYN)
		ps_touch_rest(cold, tcp);
	if ((tags1 >> 8 * s & 0xff) != ps_tag_of(n->hash))
		return ps_table_find_tagged(p, b1, b2, tags1, tags2, c);
	if (ps_const.weak_order) { /* a record that is read again, for it may be older than its tag */
		PS_AFTER(h, tags1);
		PS_AFTER(cold, tags1);
		PS_AFTER(tcp, tags1);
	}
	if (!ps_hot_is(&h->slot[s], n))
		return ps_table_find_tagged(p, b1, b2, tags1, tags2, c);
	c->slot = slot;
	c->hot = &h->slot[s];
	c->cold = cold;
	c->tcp = tcp;
	return ps_table_agrees(p, cold);
}

static __always_inline __u64 ps_slot_bit(__u32 slot)
{
	return 1ull << (8 * (slot & (PS_BUCKET_SLOTS - 1)));
}

/* The connection is confirmed and alive: never to be given up. */
static __always_inline void ps_table_confirm(const struct ps_conn *c)
{
	__u32 bucket = c->slot / PS_BUCKET_SLOTS;
	struct ps_bucket_tags *t = bpf_map_lookup_elem(&ps_tags, &bucket);

	if (t)
		__sync_fetch_and_or(&t->confirmed, ps_slot_bit(c->slot));
}

/* It is closed: its slot may be given up. */
static __always_inline void ps_table_release(const struct ps_conn *c)
{
	__u32 bucket = c->slot / PS_BUCKET_SLOTS;
	struct ps_bucket_tags *t = bpf_map_lookup_elem(&ps_tags, &bucket);

	if (t)
		__sync_fetch_and_and(&t->confirmed, ~ps_slot_bit(c->slot));
}

/* How willingly a connection is given up: closed ones first, then by how long they were silent. */
static __always_inline __u64 ps_victim_score(const struct ps_conn_hot *hot, __u64 now)
{
	__s64 idle = now - hot->last_seen;

	if (idle < 0)
		idle = 0;
	return (idle + 1) | (hot->flags & PS_CONN_CLOSED ? 1ull << 63 : 0);
}

struct ps_victim {
	__u64 score; /* 0 = none */
	__u32 slot;  /* within the bucket */
};

/* Looks at up to PS_VICTIM_SAMPLE unconfirmed connections of one bucket, beginning at slot "from". */
static __always_inline struct ps_victim ps_bucket_victim(
	__u64 tags, __u64 confirmed, const struct ps_hot_bucket *b, __u64 now, __u32 from)
{
	__u64 open = tags & PS_TAG_HIGHS & ~(confirmed << 7);
	struct ps_victim v = {0, 0};
	__u32 i;

	from &= PS_BUCKET_SLOTS - 1;
	open = open >> (8 * from) | open << (-8 * from & 63);
	for (i = 0; i < PS_VICTIM_SAMPLE; i++) {
		__u64 score;
		__u32 s;

		if (!open)
			break;
		s = (ps_lowest_byte(open) + from) & (PS_BUCKET_SLOTS - 1);
		score = ps_victim_score(&b->slot[s], now);
		if (score > v.score) {
			v.score = score;
			v.slot = s;
		}
		open &= open - 1;
	}
	return v;
}

/* live -> BUSY, if the connection is what it was in "tags" and still not confirmed. */
static __always_inline int ps_take_live(struct ps_bucket_tags *t, __u64 tags, __u32 s, int even_confirmed)
{
	__u64 bit = ps_slot_bit(s), change = (tags ^ (PS_TAG_BUSY * bit)) & (0xff * bit);

	if (!(tags & (PS_TAG_LIVE * bit)))
		return -1;
	if (__sync_val_compare_and_swap(&t->tags, tags, tags ^ change) != tags)
		return -1;
	if (!even_confirmed && (*(volatile __u64 *)&t->confirmed & bit)) {
		__sync_fetch_and_xor(&t->tags, change); /* confirmed meanwhile: back as it was */
		return -1;
	}
	return 0;
}

/* Which of these empty slots (0x80 of their bytes): the preferred one, if it is among them. */
static __always_inline __u32 ps_slot_free(__u64 empty, __u32 preferred)
{
	return empty & ps_slot_bit(preferred) << 7 ? preferred & (PS_BUCKET_SLOTS - 1) : ps_lowest_byte(empty);
}

/*
 * Into the first of the two buckets? When it is the emptier one; and while it is at most half full, for the sake of the
 * preferred slot: there a connection is found soonest. Up to that, the buckets fill as evenly as without.
 */
static __always_inline int ps_claims_first(__u64 empty1, __u64 empty2, __u32 preferred)
{
	__u32 n1 = ps_bytes_set(empty1), n2 = ps_bytes_set(empty2);

	if (!n1)
		return 0;
	return n1 >= n2 || (n1 >= PS_BUCKET_SLOTS / 2 && (empty1 & ps_slot_bit(preferred) << 7));
}

/*
 * Makes a slot of one of the two buckets BUSY for the caller: an empty one of the emptier bucket, else one that is
 * given up. The slot, with PS_SLOT_VICTIM if its record must first be ended; -1 if all are confirmed and alive.
 */
__noinline int ps_claim(__u32 b1, __u32 b2, __u64 now, __u32 preferred)
{
	struct ps_bucket_tags *t1 = bpf_map_lookup_elem(&ps_tags, &b1);
	struct ps_bucket_tags *t2 = bpf_map_lookup_elem(&ps_tags, &b2);
	struct ps_hot_bucket *h1 = bpf_map_lookup_elem(&ps_hot, &b1);
	struct ps_hot_bucket *h2 = bpf_map_lookup_elem(&ps_hot, &b2);
	__u32 i;

	if (!t1 || !t2 || !h1 || !h2)
		return -1;
	for (i = 0; i < PS_CAS_TRIES; i++) {
		__u64 tags1 = *(volatile __u64 *)&t1->tags, tags2 = *(volatile __u64 *)&t2->tags;
		__u64 free1 = ps_zero_bytes(tags1), free2 = ps_zero_bytes(tags2);
		struct ps_victim v1, v2;
		__u32 s;

		if (ps_claims_first(free1, free2, preferred)) {
			s = ps_slot_free(free1, preferred);
			if (__sync_val_compare_and_swap(&t1->tags, tags1, tags1 | PS_TAG_BUSY * ps_slot_bit(s)) ==
				tags1)
				return b1 * PS_BUCKET_SLOTS + s;
			continue;
		}
		if (free2) {
			s = ps_slot_free(free2, preferred);
			if (__sync_val_compare_and_swap(&t2->tags, tags2, tags2 | PS_TAG_BUSY * ps_slot_bit(s)) ==
				tags2)
				return b2 * PS_BUCKET_SLOTS + s;
			continue;
		}
		v1 = ps_bucket_victim(tags1, *(volatile __u64 *)&t1->confirmed, h1, now, preferred);
		v2 = ps_bucket_victim(tags2, *(volatile __u64 *)&t2->confirmed, h2, now, preferred);
		if (!v1.score && !v2.score)
			return -1;
		if (v1.score >= v2.score) {
			if (!ps_take_live(t1, tags1, v1.slot, 0))
				return (b1 * PS_BUCKET_SLOTS + v1.slot) | PS_SLOT_VICTIM;
		} else {
			if (!ps_take_live(t2, tags2, v2.slot, 0))
				return (b2 * PS_BUCKET_SLOTS + v2.slot) | PS_SLOT_VICTIM;
		}
	}
	return -1;
}

/* The closed connection in this slot makes way for its successor of the same name. */
__noinline int ps_claim_same(__u32 slot)
{
	__u32 bucket = slot / PS_BUCKET_SLOTS;
	struct ps_bucket_tags *t = bpf_map_lookup_elem(&ps_tags, &bucket);
	__u32 i;

	if (!t)
		return -1;
	for (i = 0; i < PS_CAS_TRIES; i++) {
		__u64 tags = *(volatile __u64 *)&t->tags;

		if (!(tags & (PS_TAG_LIVE * ps_slot_bit(slot))))
			return -1;
		if (!ps_take_live(t, tags, slot, 1))
			return slot | PS_SLOT_VICTIM;
	}
	return -1;
}

/* The last word on a connection whose slot is needed. The slot is BUSY, so this is its final state. */
static __always_inline void ps_end_victim(struct ps_conn *c)
{
	__u8 tcp = c->hot->proto == IPPROTO_TCP, reason = PS_END_EVICTED;
	struct ps_stats *s = ps_stats_get();

	if (!s)
		return;
	s->conns_recycled++;
	if (c->hot->flags & PS_CONN_CLOSED)
		reason = c->tcp->state == PS_TCP_CLOSE ? PS_END_RST : PS_END_FIN;
	else
		s->conns_evicted++;
	if (tcp)
		ps_emit_conn(c->hot, c->cold, c->tcp, c->slot, PS_SAY(PS_EV_CONN_END, reason));
	else
		ps_emit_conn(c->hot, c->cold, NULL, c->slot, PS_SAY(PS_EV_CONN_END, reason));
}

/* The record of the packet's new connection, in a slot that is BUSY for the caller. What stood there before is ended
 * first. */
__noinline int ps_table_fill(struct ps_packet *p, __u32 claimed)
{
	struct ps_conn c;

	if (!p || ps_table_get(claimed & PS_SLOT_MASK, &c) || !ps_conn_is_whole(&c))
		return -1;
	/* all lines are under way before a store has to wait for the first */
	(void)*(volatile __u64 *)c.hot;
	(void)*(volatile __u64 *)&c.cold->id;
	if (p->name.proto == IPPROTO_TCP) {
		(void)*(volatile __u32 *)c.tcp;
		ps_touch_rest(c.cold, c.tcp);
	}
	if (claimed & PS_SLOT_VICTIM)
		ps_end_victim(&c);
	ps_record_begin(&c, p, ps_const.id_base + c.slot + 1, (__u64)ps_const.buckets * PS_BUCKET_SLOTS);
	return 0;
}

/*
 * Makes the filled slot visible, unless another CPU has published a connection of this name meanwhile: then the slot is
 * handed back. The slot of the connection, with PS_SLOT_NEW if it is the caller's; -1 if it is a stranger with the same
 * digest.
 */
__noinline int ps_table_publish(struct ps_packet *p, __u32 claimed)
{
	__u32 b1, b2, slot = claimed & PS_SLOT_MASK, bucket = slot / PS_BUCKET_SLOTS, stripe;
	struct ps_bucket_tags *t1, *t2, *t;
	__u64 publish, bit = ps_slot_bit(slot);
	struct ps_hot_bucket *h1, *h2;
	struct ps_conn_cold *cold;
	struct ps_lock *l;
	int found;

	if (!p)
		return -1;
	b1 = ps_bucket1(p->name.hash);
	b2 = ps_bucket2(p->name.hash);
	stripe = (p->name.hash >> 8) & (PS_LOCK_STRIPES - 1);
	publish = (ps_tag_of(p->name.hash) - PS_TAG_BUSY) * bit; /* nothing is carried: live is more than BUSY */
	t1 = bpf_map_lookup_elem(&ps_tags, &b1);
	t2 = bpf_map_lookup_elem(&ps_tags, &b2);
	t = bpf_map_lookup_elem(&ps_tags, &bucket);
	h1 = bpf_map_lookup_elem(&ps_hot, &b1);
	h2 = bpf_map_lookup_elem(&ps_hot, &b2);
	l = bpf_map_lookup_elem(&ps_locks, &stripe);
	/* none of these is ever missing: array elements within the size that ps_const.buckets tells */
	if (!t1 || !t2 || !t || !h1 || !h2 || !l)
		return -1;

	bpf_spin_lock(&l->lock);
	bucket = b1;
	found = ps_bucket_find(*(volatile __u64 *)&t1->tags, h1, &p->name);
	if (found < 0) {
		bucket = b2;
		found = ps_bucket_find(*(volatile __u64 *)&t2->tags, h2, &p->name);
	}
	if (found < 0) {
		/* here, not when it was claimed: a late packet of the predecessor may have confirmed that one until now
		 */
		__sync_fetch_and_and(&t->confirmed, ~bit);
		PS_ORDERED(__sync_fetch_and_add(&t->tags, publish));
	}
	bpf_spin_unlock(&l->lock);

	if (found < 0)
		return slot | PS_SLOT_NEW;
	__sync_fetch_and_and(&t->confirmed, ~bit);
	PS_ORDERED(__sync_fetch_and_add(&t->tags, -(PS_TAG_BUSY * bit)));
	slot = bucket * PS_BUCKET_SLOTS + found;
	cold = bpf_map_lookup_elem(&ps_cold, &slot);
	if (!cold ||
		(p->name.family == PS_FAMILY_IPV6 && !ps_same_addr6(cold, p->key.saddr, p->key.daddr, p->name.side)))
		return -1;
	return slot;
}

/*
 * Begins a connection for this packet, or finds the one that another CPU has just begun. instead: the slot of its
 * closed predecessor, which makes way, or PS_NO_SLOT. 0 with the connection and whether it is new, or -1 if there is no
 * room.
 */
static __always_inline int ps_table_create(struct ps_packet *p, __u32 instead, struct ps_conn *c, int *ret_new)
{
	int slot = -1;

	if (instead != PS_NO_SLOT)
		slot = ps_claim_same(instead);
	if (slot < 0)
		slot = ps_claim(
			ps_bucket1(p->name.hash), ps_bucket2(p->name.hash), p->now, ps_slot_preferred(p->name.hash));
	if (slot < 0 || ps_table_fill(p, slot))
		return -1;
	slot = ps_table_publish(p, slot);
	*ret_new = slot >= 0 && (slot & PS_SLOT_NEW);
	return slot < 0 ? -1 : ps_table_get(slot & PS_SLOT_MASK, c);
}

#endif
