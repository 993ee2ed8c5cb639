/* SPDX-License-Identifier: (MIT OR GPL-2.0-only) */
/*
 * What the kernel part and user space share: the layout of every map and of every ring-buffer event.
 *
 * Fixed width, explicit padding, sizes asserted where the header is included. Addresses and ports are in
 * network byte order as they stand in the packet; an IPv4 address is the first word of four, the others
 * zero. Times are boot-time nanoseconds (CLOCK_BOOTTIME), which go on through suspend. "Side" is 0 or 1: the
 * two endpoints of a connection in canonical order (lower address, then lower port, compared as raw
 * bytes, is side 0); arrays of two are indexed by the side that SENT the packet. Which side is the originator is one
 * bit.
 */
#ifndef PS_ABI_H
#define PS_ABI_H

#include <linux/types.h>

#include "limits.h"

/* By how much a layout is longer in the programs that stand in for the next version. */
#define PS_SHIFT_BYTES (64 * PS_ABI_TEST_SHIFT)

enum ps_family {
	PS_FAMILY_NONE = 0,
	PS_FAMILY_IPV4 = 4,
	PS_FAMILY_IPV6 = 6,
};

enum ps_direction {
	PS_DIR_INGRESS = 1,
	PS_DIR_EGRESS = 2,
};

/* --- Connection table (see bpf/table.h) ------------------------------------------------------- */

/* Map "ps_tags": one a bucket. Tag byte i speaks of slot i. */
struct ps_bucket_tags {
	__u64 tags;      /* PS_TAG_EMPTY, PS_TAG_BUSY, or PS_TAG_LIVE | seven bits of the hash */
	__u64 confirmed; /* bit 8*i: slot i holds a confirmed, living connection and is never given up */
};

#define PS_TAG_EMPTY 0x00u
#define PS_TAG_BUSY 0x01u  /* being filled by the kernel */
#define PS_TAG_DYING 0x02u /* being expired by the aggregator: no longer found, counters still readable */
#define PS_TAG_LIVE 0x80u

enum ps_conn_flag {
	PS_CONN_IPV6 = 1 << 0,
	PS_CONN_ORIG1 = 1 << 1,        /* side 1 is the originator */
	PS_CONN_CONFIRMED = 1 << 2,    /* a handshake was completed, or both sides were heard */
	PS_CONN_MIDSTREAM = 1 << 3,    /* the beginning was not seen */
	PS_CONN_FLIPPED = 1 << 4,      /* the answer was seen before the question; direction corrected */
	PS_CONN_CLOSED = 1 << 5,       /* TCP: FIN both ways or RST */
	PS_CONN_REPLIED = 1 << 6,      /* both sides have sent */
	PS_CONN_INGRESS_ONLY = 1 << 7, /* egress is not watched on this interface */
};

/* Map "ps_hot": eight a bucket. The one line that every packet of a connection touches. */
struct ps_conn_hot {
	__u32 addr[2]; /* IPv4 addresses by side; IPv6: 64-bit digest of both, the addresses are in the cold line */
	__u16 port[2];
	__u16 vlan[2];     /* outer, inner VLAN id, host byte order; 0 = none */
	__u8 proto;        /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 flags;        /* enum ps_conn_flag */
	__u16 reported;    /* last report, units of 2^20 ns of boot time, wraps */
	__u32 verdict_gen; /* rule generation that verdict[] belongs to; 0 = none yet */
	__u64 last_seen;
	__u64 bytes[2];   /* IP bytes */
	__u32 packets[2]; /* low 32 bits; the carry is in the cold line */
	__u32 verdict[2]; /* PS_VERDICT_*, rule id in the low 18 bits */
};

#define PS_VERDICT_RULE 0x80000000u /* a rule decided */
#define PS_VERDICT_DROP 0x40000000u
#define PS_VERDICT_RATE 0x00800000u  /* only what is beyond the rule's rate */
#define PS_VERDICT_UNTIL 0x00400000u /* only until the time in the rule's row */
#define PS_VERDICT_ID 0x0003ffffu
/*
 * The kernel's own marks, nothing for user space: that verdict[] of this side is a cached one (a verdict of zero says
 * that no rule matched), for which direction, and the low bits of its generation, so that a CPU that was still working
 * with the set before can't leave its verdict under the new one's name.
 */
#define PS_VERDICT_KNOWN 0x20000000u
#define PS_VERDICT_EGRESS 0x10000000u
#define PS_VERDICT_GEN_SHIFT 24
#define PS_VERDICT_GEN_MASK 0x0f000000u

/* Map "ps_cold": one a slot. Written when a connection begins and when it reports. */
struct ps_conn_cold {
	__u64 id; /* unique while the maps live: the slot's previous id plus the number of slots */
	__u64 first_seen;
	__u32 addr6[2][4]; /* IPv6 addresses by side; zero for IPv4 */
	__u32 ifindex;
	__u32 dropped[2]; /* packets dropped by a rule */
	__u16 ip_id;      /* of the packet that made the last report, host byte order */
	__u8 packets_hi[2];
};

enum ps_tcp_state {
	PS_TCP_NONE = 0, /* not TCP */
	PS_TCP_SYN_SENT,
	PS_TCP_SYN_RECV,
	PS_TCP_ESTABLISHED,
	PS_TCP_FIN_WAIT,   /* one side has sent FIN */
	PS_TCP_CLOSE_WAIT, /* and it was acknowledged */
	PS_TCP_LAST_ACK,   /* both have sent FIN */
	PS_TCP_TIME_WAIT,  /* both FINs acknowledged */
	PS_TCP_CLOSE,      /* RST */
	PS_TCP_STATES,
};

/* Map "ps_tcp": one a slot; only TCP touches it. The first 64 bytes serve every segment, the rest anomalies. */
struct ps_conn_tcp {
	__u32 next_seq[2];      /* one past the highest sequence number seen (host order) */
	__u32 seq[2];           /* of the last segment */
	__u32 ack[2];           /* last acknowledgement */
	__u16 window[2];        /* as in the header of the last segment, unscaled */
	__u8 wscale[2];         /* from the SYN, 0 without the option on either side; 0xff = unknown */
	__u8 tcp_flags[2];      /* all flags seen, or'ed */
	__u32 hist_seen;        /* bit per history letter: low 16 for side 0, high 16 for side 1 */
	__u8 state;             /* enum ps_tcp_state */
	__u8 started;           /* bit per side: next_seq is valid; 4+side: its SYN offered scaling; 6+side: a hole */
	__u8 fin;               /* bit per side: FIN seen; bit 4+side: that FIN acknowledged */
	__u8 rtt_side;          /* side whose acknowledgement ends the running sample; 0xff = none */
	__u32 rtt_seq;          /* acknowledgement that ends the sample */
	__u32 rtt_start_us;     /* precise boot time, wraps */
	__u32 rtt_handshake_us; /* SYN to the ACK of the SYN+ACK; 0 = unknown */
	__u32 rtt_us;           /* smoothed, RFC 6298 with alpha 1/8; 0 = unknown */
	__u32 fin_seq[2];       /* acknowledgement that covers the FIN */

	__u64 retrans_bytes[2];
	__u64 gap_bytes[2];
	__u32 retrans_packets[2];
	__u32 out_of_order[2];
	__u32 dup_acks[2];
	__u32 zero_windows[2];
	__u32 small_windows[2];
	__u32 syn_us; /* precise time of the originator's last SYN, for rtt_handshake_us */
	__u8 hist_len;
	__u8 gaps[2]; /* holes that the other side acknowledged all the same, by side of the sender; stops at 255 */
	__u8 pad;
	/* The newest range that was skipped and not filled yet; what fills it is out of order, not sent again. Empty:
	 * equal. */
	__u32 hole_start[2];
	__u32 hole_end[2];
	char history[PS_HISTORY_MAX]; /* Zeek's letters, upper case = originator at the time; not terminated */
#if PS_ABI_TEST_SHIFT
	__u8 shift[PS_SHIFT_BYTES];
#endif
};

/* --- ICMP and fragments ------------------------------------------------------------------------ */

/* Map "ps_icmp": LRU hash, ps_icmp_key -> ps_icmp_entry. */
struct ps_icmp_key {
	__u32 saddr[4];
	__u32 daddr[4];
	__u16 vlan[2];
	__u8 family;
	__u8 type;
	__u8 code;
	__u8 pad;
};

struct ps_icmp_val {
	__u64 packets;
	__u64 bytes;
	__u64 dropped;
	__u64 first_seen;
	__u64 last_seen;
	__u64 conn_id; /* the connection the last quoted packet belongs to; 0 = none known */
	__u32 ifindex;
	__u16 ip_id;    /* last, host byte order */
	__u16 reported; /* as in ps_conn_hot */
	/* the packet quoted in the last ICMP error; family PS_FAMILY_NONE = not an error, or unreadable */
	__u32 inner_saddr[4];
	__u32 inner_daddr[4];
	__u16 inner_sport;
	__u16 inner_dport;
	__u8 inner_family;
	__u8 inner_proto;
	__u8 pad[2];
	/* of an echo request (type 8, ICMPv6 128, code 0): the replies to it that came back, and how long the last took
	 */
	__u32 rtt_us; /* 0 = unknown */
	__u64 answered;
};

/* The element: what is told of it, and, for echo requests, those that wait for their reply. */
struct ps_icmp_entry {
	struct ps_icmp_val val;         /* first_seen is 0 for the moment in which the element is being made */
	__u64 waiting[PS_ECHO_WAITING]; /* id << 48 | sequence number << 32 | precise time in us; 0 = free */
	__u32 forgotten; /* waited when their place was needed: a reply that fits none is to one of them */
	__u32 pad;
};

/* Map "ps_frags": LRU hash. Fragments without ports, counted by what they do carry. */
struct ps_frag_key {
	__u32 saddr[4];
	__u32 daddr[4];
	__u32 ip_id; /* host byte order; 32 bits in IPv6 */
	__u8 family;
	__u8 proto;
	__u8 pad[2];
};

struct ps_frag_val {
	__u64 packets;
	__u64 bytes;
};

/* --- Rules (see bpf/classify.h) ---------------------------------------------------------------- */

/*
 * What a rule may test of a packet. ICMP: type and code stand in sport and dport (network byte order, value in the low
 * byte).
 */
struct ps_rule_key {
	__u32 saddr[4];
	__u32 daddr[4];
	__u16 sport;
	__u16 dport;
	__u8 proto;
	__u8 family;
	__u8 tcp_flags;
	__u8 direction; /* enum ps_direction */
};

/* The packet quoted in an ICMP error. */
struct ps_rule_inner {
	__u32 saddr[4];
	__u32 daddr[4];
	__u16 sport;
	__u16 dport;
	__u8 proto;
	__u8 family;
	__u8 pad[2];
};

/*
 * What was read of a packet, so that a rule can't match on a zero that means "unknown": fragments have no ports, and a
 * header may be cut off.
 */
#define PS_KNOWN_PORTS 1u /* sport and dport: ports, or ICMP type and code */
#define PS_KNOWN_TCP_FLAGS 2u
#define PS_KNOWN_QUOTED 4u /* an ICMP error whose quoted IP header was readable */
#define PS_KNOWN_QUOTED_PORTS 8u
#define PS_KNOWN_ALL 15u

/*
 * One thing that a rule matches, with single ranges of ports: a rule with lists is several units. Addresses are in host
 * byte order, IPv4 in the upper half of the first word; bits behind the prefix are zero. Ports, ICMP type (sport) and
 * code (dport) are in host byte order, from [0] to [1], 0 to 65535 where there is no test.
 *
 * A unit with PS_UNIT_QUOTED has an even index, and the unit behind it says in addresses, ports, protocol and family
 * what the packet quoted in an ICMP error must be.
 */
struct ps_rule_unit {
	__u64 saddr[2];
	__u64 daddr[2];
	__u64 rank; /* priority << 24 | id: the lowest that matches decides */
	__u16 sport[2];
	__u16 dport[2];
	__u8 slen, dlen; /* bits of the addresses that count */
	__u8 proto;
	__u8 family;    /* enum ps_family; NONE = either */
	__u8 tcp_flags; /* under tcp_mask; mask 0 = no test */
	__u8 tcp_mask;
	__u8 direction; /* bits of enum ps_direction */
	__u8 pad;
	__u32 flags; /* PS_UNIT_* */
	__u32 next;  /* 1 + index of the next one behind the same place, in order of rank; 0 = last */
};

#define PS_RANK_ID 0xffffffull
#define PS_RANK_SHIFT 24

/* What else is tested. */
#define PS_UNIT_PROTO 0x001u  /* proto */
#define PS_UNIT_PORTS 0x002u  /* ports: only TCP and UDP have them */
#define PS_UNIT_ICMP 0x004u   /* type or code */
#define PS_UNIT_TYPE 0x008u   /* names the ICMP type: may match neighbour discovery */
#define PS_UNIT_QUOTED 0x010u /* the packet quoted in an ICMP error */
/* What the rule does. */
#define PS_UNIT_DROP 0x100u
#define PS_UNIT_SHADOW 0x200u /* decides nothing */
#define PS_UNIT_RATE 0x400u   /* ps_rule_row.rate_ns */
#define PS_UNIT_UNTIL 0x800u  /* ps_rule_row.until */

/* One combination of prefix lengths, as masks over the words of bpf/rule_match.h: units are found by their hash. */
struct ps_rule_tuple {
	__u64 saddr[2], daddr[2];
	__u64 word;
	__u64 best_rank; /* none of its units has a lower one */
	__u32 flags;     /* PS_TUPLE_* */
	__u32 units;
	__u64 pad;
	/* a line of its own, that only ICMP errors touch */
	__u64 inner_saddr[2], inner_daddr[2];
	__u64 inner_word;
	__u64 inner_pad[3];
};

#define PS_TUPLE_WIDE 1u   /* a second word of an address counts */
#define PS_TUPLE_QUOTED 2u /* its units have PS_UNIT_QUOTED */

/* Which tuples have a unit for addresses with this hash of their first bits: one bit each. See bpf/rule_match.h. */
struct ps_rule_index {
	__u64 coarse[1u << PS_INDEX_COARSE_BITS];
	__u64 middle[1u << PS_INDEX_MIDDLE_BITS];
	__u64 fine[1u << PS_INDEX_FINE_BITS];
};

/*
 * Map "ps_rule_heads": two, one of them in force (ps_runtime.rule_switch). In every version the generation is the first
 * word: connections keep verdicts under it, so that it must go on where the version before ended.
 */
struct ps_rule_head {
	__u32 generation; /* never 0 once written */
	__u32 tuples;     /* 0 = no rules */
	__u32 chunks;     /* of units and buckets, that this set uses */
	__u32 units;
	__u64 digest; /* of what the set says, whatever its layout */
	__u64 pad;
	__u64 tcp_flags_hit[4]; /* bit f: some rule tests TCP flags and a segment with flags f could match it */
	/* Bit t of each: tuple t may have a unit for such packets. */
	__u64 quoted; /* that quote another */
	__u64 family[3];
	__u64 direction[4];
	__u64 proto[256];
	__u64 sport[PS_INDEX_PORTS]; /* sixteen ports a row */
	__u64 dport[PS_INDEX_PORTS];
	struct ps_rule_index src, dst;
	struct ps_rule_tuple tuple[PS_RULE_TUPLES];
	__u64 bloom[1u << PS_BLOOM_BITS];
};

/* Eight places. Units of the same hash stand behind one. Empty places are behind the others of a bucket. */
struct ps_rule_bucket {
	__u32 print[8]; /* low half of the hash */
	__u32 first[8]; /* 1 + index of the first unit; 0 = empty; PS_BUCKET_DEAD = was in use */
};

#define PS_BUCKET_DEAD 0xffffffffu

/* Map "ps_rule_chunks": PS_UNIT_CHUNKS inner maps of set 0, then of set 1, each an array of one of these. */
struct ps_rule_chunk {
	struct ps_rule_bucket bucket[PS_CHUNK_BUCKETS];
	struct ps_rule_unit unit[PS_UNIT_CHUNK];
};

struct ps_rule_hits {
	__u64 packets;
	__u64 bytes;
	__u64 first_hit;
	__u64 last_hit;
};

/*
 * By rule id. What is told of set 0 and set 1 is only looked at where the unit's flags say so. In every version a row
 * begins with its hits, and a chunk has PS_ROW_CHUNK of them: an upgrade reads them.
 */
struct ps_rule_row {
	struct ps_rule_hits hits;
	__u64 until[2];   /* from this time on the rule matches nothing */
	__u64 told;       /* last drop event of a packet without a connection */
	__u32 rate_ns[2]; /* time between two packets of one source at the highest rate that passes */
#if PS_ABI_TEST_SHIFT
	__u8 shift[PS_SHIFT_BYTES];
#endif
};

/* Map "ps_rule_rows": PS_ROW_CHUNKS inner maps, each an array of one of these. */
struct ps_rule_rows {
	struct ps_rule_row row[PS_ROW_CHUNK];
};

/*
 * Names under which chunks are pinned: units by the half's number times PS_UNIT_CHUNKS plus the chunk's, rows by the
 * chunk's.
 */
#define PS_UNITS_PIN "rule-units-%u"
#define PS_ROWS_PIN "rule-rows-%u"
#define PS_CHUNK_PIN_SIZE 24

/* Map "ps_rates": LRU hash, ps_rate_key -> the time at which the source is back at rest (GCRA's TAT). */
struct ps_rate_key {
	__u32 saddr[4];
	__u32 rule_id;
	__u32 family;
};

/* --- Events ------------------------------------------------------------------------------------- */

enum ps_event_type {
	PS_EV_CONN_NEW = 1,
	PS_EV_CONN_UPDATE,
	PS_EV_CONN_END,
	PS_EV_ICMP,
	PS_EV_DROP,
	PS_EV_TYPES,
};

enum ps_end_reason {
	PS_END_NONE = 0,
	PS_END_FIN,
	PS_END_RST,
	PS_END_TIMEOUT,
	PS_END_EVICTED,
	PS_END_DETACHED,
};

struct ps_event_head {
	__u16 type; /* enum ps_event_type */
	__u16 size; /* of the whole event */
	__u32 cpu;
	__u64 time;
};

/*
 * A connection as one record: what conn.* events carry and what user space reads from the table. An event of a
 * connection without TCP analysis ends before tcp.
 */
struct ps_conn_raw {
	__u64 id;
	__u64 first_seen;
	__u64 last_seen;
	__u32 addr[2][4];
	__u16 port[2];
	__u16 vlan[2];
	__u8 proto;
	__u8 flags;
	__u8 end_reason; /* enum ps_end_reason */
	__u8 pad0;
	__u32 ifindex;
	__u64 packets[2];
	__u64 bytes[2];
	__u32 dropped[2];
	__u32 verdict[2];
	__u32 slot;
	__u16 ip_id;
	__u16 pad1;
	struct ps_conn_tcp tcp;
};

struct ps_event_conn {
	struct ps_event_head head;
	struct ps_conn_raw conn;
};

struct ps_event_icmp {
	struct ps_event_head head;
	struct ps_icmp_key key;
	__u32 pad[2];
	struct ps_icmp_val val;
};

/* A packet that a rule dropped, or would have. Counters are in ps_rule_row; this tells of one of them. */
struct ps_event_drop {
	struct ps_event_head head;
	__u64 conn_id;          /* 0 = no connection (ICMP, fragment, malformed, untracked) */
	struct ps_rule_key key; /* the packet as the classifier saw it */
	__u32 rule_id;
	__u32 generation;
	__u32 ifindex;
	__u32 bytes; /* IP bytes */
	__u16 ip_id;
	__u16 vlan[2];
	__u16 mode; /* enum ps_drop_mode */
};

enum ps_drop_mode {
	PS_DROP_ENFORCED = 0,
	PS_DROP_SHADOW, /* the rule is in shadow mode: the packet went its way */
};

/* --- One-row maps ------------------------------------------------------------------------------- */

/* Map "ps_stats": per CPU, one element. */
struct ps_stats {
#define PS_STAT(name, help) __u64 name;
#include "stats.def"
#undef PS_STAT
	__u64 icmp_types[256]; /* ICMP (IPv4) by type */
	__u64 icmp_codes[256];
	__u64 icmp6_types[256];
	__u64 icmp6_codes[256];
};

/*
 * Map "ps_runtime": one element. Written by user space while the programs run. The collector writes
 * clock_offset, replay_now, report_interval, any_l3 and what there is of chunks; the aggregator writes rule_switch and
 * what it wants of them.
 */
struct ps_runtime {
	__u64 clock_offset;    /* CLOCK_BOOTTIME - CLOCK_MONOTONIC: the kernel's cheap clock stands still in suspend */
	__u64 replay_now;      /* when the program was loaded for replay: the time, instead of any clock */
	__u64 report_interval; /* ns between two reports of one connection */
	/*
	 * Bit 0: the rule set in force. The rest: until when (boot time, ns); then the other set is, which so comes
	 * back by itself. 0 = for good.
	 */
	__u64 rule_switch;
	__u32 any_l3; /* some row of ps_ifaces has, or had, PS_IFACE_L3: without it none is looked up */
	/* Chunks of units (in each of the sets) and of rows: wanted, there, and why there are not more (errno). */
	__u16 unit_chunks_wanted, unit_chunks;
	__u16 row_chunks_wanted, row_chunks;
	__u32 room_error;
	__u64 pad[2];
};

/*
 * Map "ps_meta": one element, written by the collector when it creates the maps; a later load reads it back. These
 * words stand where they stand in every version, so that each can tell what another's maps are.
 */
struct ps_meta {
	__u32 abi; /* PS_ABI_VERSION */
	__u32 buckets;
	__u64 seed;            /* of the connection hash */
	__u64 id_base;         /* first id of slot s is id_base + s + 1 */
	__u64 created;         /* wall clock, ns since 1970 */
	__u32 cpus;            /* rings */
	__u32 ring_bytes;      /* of each */
	__u32 max_connections; /* as asked for */
	__u16 former;          /* version that these maps are taking over from; 0 = that is done, or there was none */
	__u16 swapped;         /* of a takeover: our programs are, or may be, on some interface already */
};

/*
 * Map "ps_ledger": one element of counters that must outlive the programs. Each block has one writer.
 * received/published speak of events by type (index enum ps_event_type).
 */
struct ps_ledger {
	/* collector */
	__u64 received[8];  /* taken from the rings */
	__u64 published[8]; /* records offered to the aggregator's feed; counted before they are sent */
	__u64 refused[8];   /* of those, what it would not take */
	/* aggregator */
	__u64 applied[8]; /* records folded into its tables */
	__u64 missed[8];  /* records that the feed took and that never came, by the header's `before` */
	__u64 resyncs;    /* times the tables were read again from the kernel */
	__u64 expired;    /* connections ended by time */
	/* collector */
	__u64 alive; /* boot time at which it last said that it works, once a second; 0 = it ended in order */
	__u64 pid;   /* as it sees itself */
	/* aggregator: thrown away before it looked at them */
	__u64 broken_messages; /* of the feed */
	__u64 broken_requests;
	__u64 late_requests; /* past their deadline */
	/* collector */
	__u64 abandoned[8]; /* received, and gone with a collector that was killed before it published them */
	/* the event that is being taken, so that it is counted once though the taker is killed: see publish.c */
	__u64 taking_at; /* its position in its ring + 1; 0 = none */
	__u64 taking_ring;
	__u64 taking_type;
	__u64 taking_count;  /* received[taking_type] with it */
	__u64 waiting_since; /* boot time since when our programs wait for the rules, and a former version's go on; 0 =
				they don't */
	__u64 pad[4];
};

/* Map "ps_ifaces": hash, ifindex -> this. */
struct ps_iface {
	__u32 flags;   /* PS_IFACE_* */
	__u32 mtu;     /* for super-packets in generic mode; 0 = unknown */
	char name[16]; /* for user space in other network namespaces; terminated; empty = unknown */
};

#define PS_IFACE_INGRESS_ONLY 1u
#define PS_IFACE_L3 2u /* frames begin with the IP header: tunnels, PPP */
/* For the aggregator: the hooks that our programs sit on now. No XDP: nothing is counted or filtered there. */
#define PS_IFACE_XDP_NATIVE 0x100u
#define PS_IFACE_XDP_GENERIC 0x200u
#define PS_IFACE_TCX 0x400u
#define PS_IFACE_CLSACT 0x800u
#define PS_IFACE_XDP (PS_IFACE_XDP_NATIVE | PS_IFACE_XDP_GENERIC)
#define PS_IFACE_HOOKS (PS_IFACE_XDP | PS_IFACE_TCX | PS_IFACE_CLSACT)

/* Rodata of the programs ("ps_const"), set before load. */
struct ps_const {
	__u64 seed;
	__u64 id_base;
	__u32 buckets;
	__u32 replay;     /* take the time from ps_runtime.replay_now */
	__u32 xdp_frags;  /* the XDP program was loaded with BPF_F_XDP_HAS_FRAGS: a frame may be longer than its head */
	__u32 weak_order; /* PS_WEAK_ORDER; 1 is right everywhere, and costs a usual packet a wait for its tag */
};

/* May loads of this processor come in another order than they stand (order.h)? For user space, which sets it. */
#ifdef __x86_64__
#define PS_WEAK_ORDER 0
#else
#define PS_WEAK_ORDER 1
#endif

#define PS_ASSERT_SIZE(type, bytes) _Static_assert(sizeof(type) == (bytes), #type " must be " #bytes " bytes")
PS_ASSERT_SIZE(struct ps_bucket_tags, 16);
PS_ASSERT_SIZE(struct ps_conn_hot, 64);
PS_ASSERT_SIZE(struct ps_conn_cold, 64);
PS_ASSERT_SIZE(struct ps_conn_tcp, 192 + PS_SHIFT_BYTES);
PS_ASSERT_SIZE(struct ps_icmp_key, 40);
PS_ASSERT_SIZE(struct ps_icmp_val, 112);
PS_ASSERT_SIZE(struct ps_icmp_entry, 248);
PS_ASSERT_SIZE(struct ps_frag_key, 40);
PS_ASSERT_SIZE(struct ps_rule_key, 40);
PS_ASSERT_SIZE(struct ps_rule_inner, 40);
PS_ASSERT_SIZE(struct ps_rule_unit, 64);
PS_ASSERT_SIZE(struct ps_rule_tuple, 128);
PS_ASSERT_SIZE(struct ps_rule_bucket, 64);
PS_ASSERT_SIZE(struct ps_rule_chunk, 64 * (PS_CHUNK_BUCKETS + PS_UNIT_CHUNK));
PS_ASSERT_SIZE(struct ps_rule_row, 64 + PS_SHIFT_BYTES);
PS_ASSERT_SIZE(struct ps_event_head, 16);
PS_ASSERT_SIZE(struct ps_conn_raw, 320 + PS_SHIFT_BYTES);
PS_ASSERT_SIZE(struct ps_event_icmp, 176);
PS_ASSERT_SIZE(struct ps_event_drop, 88);
PS_ASSERT_SIZE(struct ps_runtime, 64);
PS_ASSERT_SIZE(struct ps_meta, 48);
PS_ASSERT_SIZE(struct ps_ledger, 512);

#endif
