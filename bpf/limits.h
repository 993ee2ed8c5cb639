/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Sizes that the kernel part and user space must agree on, each with its reason. */
#ifndef PS_LIMITS_H
#define PS_LIMITS_H

/*
 * Tests of the upgrade build the programs once more as those of the next version, with this set to 1: some layouts are
 * then longer than they are (see abi.h and maps.def). 0 in the product.
 */
#ifndef PS_ABI_TEST_SHIFT
#define PS_ABI_TEST_SHIFT 0
#endif

/* Goes up by one whenever the layout of a map changes; maps.def says of which, and an upgrade carries the rest over. */
#define PS_ABI_VERSION (2u + PS_ABI_TEST_SHIFT)

/* A bucket is one tag word: eight slots, one byte each. */
#define PS_BUCKET_SLOTS 8u

/* Buckets are sized for this load (percent): two-choice buckets of eight leave 0.02 % of the keys without a slot at 80
 * %. */
#define PS_TABLE_LOAD_PERCENT 80u

/* 65,536 connections of any kind take 27 MB; an idle installation must stay below 50 MB in all. */
#define PS_CONNECTIONS_DEFAULT 65536u
#define PS_CONNECTIONS_MIN 64u
#define PS_CONNECTIONS_MAX 8388608u

/* One insert lock per stripe; more stripes than CPUs by far, so that strangers rarely meet. */
#define PS_LOCK_STRIPES 1024u

/* Attempts of a compare-and-exchange before the packet is counted as untracked. */
#define PS_CAS_TRIES 8

/* Half-open connections looked at when a full bucket must give one up. */
#define PS_VICTIM_SAMPLE 4

/* VLAN tags that are read (802.1ad + 802.1Q); a third makes the frame "not IP". */
#define PS_VLAN_TAGS 2

/* IPv6 extension headers that are followed (RFC 8200 names six; a chain of more is malformed for us). */
#define PS_IPV6_EXT_MAX 8

/*
 * Headers are read within this many bytes of a frame. It bounds a chain of extension headers (Linux itself takes no
 * more than eight options in one) and what TC must make linear.
 */
#define PS_HEADERS_MAX 2048u

/* What can stand in for an Ethernet MTU: only a packet longer than this is checked for being several packets merged. */
#define PS_SUPER_MIN 1500u

/* TCP options are read only up to this many bytes, the most that a data offset can describe. */
#define PS_TCP_OPT_MAX 40

/* ICMP and fragment tables: LRU, so a flood recycles the oldest. */
#define PS_ICMP_ENTRIES 8192u
#define PS_FRAG_ENTRIES 1024u

/* Echo requests of one record whose round trip is measured at the same time; of more, only the number is known. */
#define PS_ECHO_WAITING 16u

/* Rules. The id is the index of a rule's row (counters, deadlines); 17 bits of a verdict name it. */
#define PS_RULES_MAX 131072u

/*
 * Rows, and what rules are compiled to (units), stand in chunks that are added when they are needed: two chunks of
 * units and one of rows are 1.8 MB, enough for 8,000 plain rules, where room for all would be 50 MB.
 */
#define PS_ROW_CHUNK 8192u
#define PS_ROW_CHUNKS (PS_RULES_MAX / PS_ROW_CHUNK)
#define PS_UNIT_CHUNK 8192u
#define PS_UNIT_CHUNKS 32u
#define PS_UNITS_MAX (PS_UNIT_CHUNK * PS_UNIT_CHUNKS) /* of one set: twice the rules, for those with lists of ports */

/* Buckets of a chunk: two places for each unit, so that one in fifty buckets is full and a probe ends in the next. */
#define PS_CHUNK_BUCKETS 2048u
#define PS_RULE_PROBES 4

/* Combinations of prefix lengths that are looked up, one bit of a word each: the compiler merges when there are more.
 */
#define PS_RULE_TUPLES 64u

/* Units behind one place that a packet may have to look at. Each look-up is bounded by it: 2 us in the worst case. */
#define PS_RULE_CHAIN 256u

/*
 * Rows of the indexes that tell which tuples are worth a look-up, by prefix of an address and by sixteen ports, and
 * words of the Bloom filter before the buckets: together 670 KB a set, of which a packet reads nine words.
 */
#define PS_INDEX_COARSE_BITS 10 /* IPv4 /8, IPv6 /32 */
#define PS_INDEX_MIDDLE_BITS 12 /* /16, /48 */
#define PS_INDEX_FINE_BITS 14   /* /24, /64 */
#define PS_INDEX_PORTS 4096u
#define PS_BLOOM_BITS 15 /* 2^15 words of 64 bits: 19 bits a rule at 110,000, one in 200 false */

/* Sources whose packets are measured against a rate limit at the same time; a flood from more recycles the oldest. */
#define PS_RATE_ENTRIES 8192u

/* Tries to change one token bucket that other CPUs change too; after them the packet counts as too many. */
#define PS_RATE_TRIES 4

/* One ring per CPU; all together stay within the total. A ring is whole pages, and arm64 has some of 64 KiB. */
#define PS_RING_TOTAL (4u << 20)
#define PS_RING_MIN (256u << 10)
#define PS_CPUS_MAX 512u

/* A connection, ICMP key or rule reports at most once in this time (nanoseconds); counters stay exact. */
#define PS_REPORT_INTERVAL_NS 1000000000ull

/*
 * Drop events: one stamp a rule (in its row) for packets without a connection, and this many shared by connections (by
 * hash), so that a flood of new connections into a drop rule makes at most this many events an interval.
 */
#define PS_DROP_GATES 4096u

/* A round-trip sample begins at most once in this time (microseconds): the precise clock costs more than the rest of a
 * segment. */
#define PS_RTT_SPACING_US 100000u

/* A window this small and not zero starves a sender of even one full Ethernet segment. */
#define PS_SMALL_WINDOW 1460u

/* Monitored interfaces. */
#define PS_IFACES_MAX 64u

/* Letters of a TCP history: 12 kinds for each side, with room for repeats. */
#define PS_HISTORY_MAX 32u

#endif
