/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/* Sizes that the kernel part and user space must agree on, each with its reason. */
#ifndef PS_LIMITS_H
#define PS_LIMITS_H

/* Changes whenever a map's layout changes; pins of another version are never reused. */
#define PS_ABI_VERSION 1u

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

/* Rules. The id is the index of a rule's counters, so ids stay below this. */
#define PS_RULES_MAX 4096u
/* Slots of one rule set: twice the rules, so that a probe ends within PS_RULE_PROBES. */
#define PS_RULE_SLOTS 8192u
#define PS_RULE_PROBES 8
/* Distinct combinations of tested fields in one rule set. */
#define PS_RULE_TUPLES 128u

/* One ring per CPU; all together stay within the total. */
#define PS_RING_TOTAL (4u << 20)
#define PS_RING_MIN (256u << 10)
#define PS_CPUS_MAX 512u

/* A connection, ICMP key or rule reports at most once in this time (nanoseconds); counters stay exact. */
#define PS_REPORT_INTERVAL_NS 1000000000ull

/*
 * Drop events: one stamp a rule for packets without a connection, and this many shared by connections (by hash), so
 * that a flood of new connections into a drop rule makes at most this many events an interval.
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
