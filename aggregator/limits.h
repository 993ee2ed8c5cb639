/*
 * Sizes and limits of the aggregator alone, each with its reason.
 */
#ifndef PS_AGG_LIMITS_H
#define PS_AGG_LIMITS_H

/* Entries of the kernel's ICMP map a system call: a bucket of the hash must fit, and 256 KiB are no burden. */
#define PS_ICMP_BATCH 1024u

/* The sweep: expiry, and the last packets of connections that fell silent. */
#define PS_SWEEP_NS 1000000000ull

/* A list is answered from tables that are at most this old: people can't see less, and a loop of requests stays cheap.
 */
#define PS_FRESH_NS 200000000ull

/*
 * A connection whose last packet is younger than this is looked at again: its TCP line may have been written after the
 * hot line was read. The kernel's coarse clock steps by up to 10 ms.
 */
#define PS_SETTLE_NS 50000000ull

/*
 * What the stream tells of times went over the wall clock, with offsets that two programs read up to two seconds apart:
 * as much as clocks are slewed meanwhile, and less than the coarse clock steps.
 */
#define PS_HEARD_NS 500000ull

/* Tries to change one tag byte of a word that others change at the same time. */
#define PS_SWEEP_CAS_TRIES 16

/* Between a new rule set and the reuse of the old one: no program invocation takes a thousandth of it. */
#define PS_RULE_GRACE_NS 2000000ull

/* Waiting for the collector to make room for rules: called, it takes some milliseconds; by itself it looks once a
 * second. */
#define PS_RULE_ROOM_WAIT_NS 2000000000ull
#define PS_RULE_ROOM_STEP_NS 5000000ull
#define PS_RULE_ROOM_CALL_NS 500000000ull /* a multiple of the step: until it is called again */

/* Units from which on a set's image stands in large pages: it takes that memory anyway. */
#define PS_IMAGE_LARGE 4096u

/* Times a set is laid out anew when too many units came to stand behind one place. */
#define PS_RULE_LAYOUTS 8

/* Shapes that are weighed each against each, at some 10 ns a pair: more are first rounded to a grid. */
#define PS_SHAPE_GROUPS 512u

/* Once tuples have to be shared, as many as this are kept free for rules to come. */
#define PS_RULE_TUPLES_FULL (PS_RULE_TUPLES - 8)

/* How much more a unit of a tuple that did not hold counts in the next layout. */
#define PS_SHAPE_SPARE 16u

/* Units taken out before the filters that only ever learn are made anew: so many, or half of the set. */
#define PS_RULE_STALE_MIN 1024u

/* Records decoded before they are applied: enough to hide the memory's latency, small enough for the stack. */
#define PS_FEED_BATCH 32u

/* Messages taken from the feed before requests and timers get their turn. */
#define PS_FEED_BURST 64

/* Long work lets the feed in after so many buckets (50 us if they are empty), silent connections (0.2 ms), records that
 * moved (0.5 ms), or rows (1 ms). */
#define PS_BREATH_BUCKETS 16384u
#define PS_BREATH_SLOTS 4096u
#define PS_BREATH_RECORDS 256u
#define PS_BREATH_ROWS 8192u

/* Connections in the snapshot that is published, and how often. */
#define PS_SNAPSHOT_RECORDS 1000u
#define PS_SNAPSHOT_NS 5000000000ull

/* What is wrong is logged when it has lasted this long: a start of all parts takes a second or two. */
#define PS_NOTICE_NS 3000000000ull

/* Warnings kept for `status`: more of them say nothing new. */
#define PS_WARNINGS_MAX 8

/*
 * Groups of each kind that a summary tells apart: 100 bytes each, given back when it is answered. 65,536 hosts or
 * services are more than anybody reads; what comes after them is in the sums.
 */
#define PS_TOP_GROUPS_MAX 65536u
#define PS_TOP_SLOTS_MIN 256u
#define PS_TOP_DEFAULT 20
#define PS_TOP_MAX 200
#define PS_TOP_ACTIVE_MAX_S 86400

/*
 * Lists that are read page by page while they move (conn_walk.h). A first page takes 800 bytes for 100 rows: 2 MB are
 * 2,600 of them, 20 s of as many different ones as can be answered. A list of a million takes 16 MB; it is kept as long
 * as a person reads a page, and one that was asked for a moment ago is not taken away from under its reader.
 */
#define PS_WALK_FIRST_BYTES (2u << 20)
#define PS_WALK_LIST_BYTES (40u << 20)
#define PS_WALK_LISTS 64
#define PS_WALK_NS 120000000000ull
#define PS_WALK_BUSY_NS 5000000000ull

/* Bytes of a free-text search. */
#define PS_QUERY_TEXT_MAX 128

/* Bytes of rules.json that are read: PS_RULES_MAX rules of 1 KiB. */
#define PS_RULES_FILE_MAX (128u << 20)
/* Up to this many rules the file is written as a whole with each change: under 10 ms, and it can be read by people. */
#define PS_RULES_SMALL 1000u
/* Bytes of rules.log that are folded into rules.json: some ten thousand changes; read in 100 ms at a start. */
#define PS_RULES_LOG_MAX (2u << 20)
/* Sets that are kept beside the audit. */
#define PS_AUDIT_SETS 8
/* Protected networks, of the configuration and of the interface each: every drop rule is compared with all of them. */
#define PS_PROTECTED_MAX 256
/* A rule whose time is up stays listed this long. */
#define PS_RULE_EXPIRED_NS (3600ull * 1000000000ull)

/* Rules that come in pieces are forgotten when none came for so long: a gateway hands on what it gets at once. */
#define PS_STAGE_SILENT_NS 30000000000ull

/* Rules in one page of a list: a kilobyte each, so that a page fits a message. */
#define PS_RULE_PAGE_MAX 4000
/* Warnings about a set: each kind once, so there are few. */
#define PS_BULK_WARNINGS_MAX 20
/* Packets that a preview looks up in a set by going through it, before it makes an index: each takes half a
 * millisecond of 100,000 rules, the index fifty. */
#define PS_PREVIEW_SCANS 24

/* The lock-out guard. */
#define PS_GUARD_REPORTS_MAX 20 /* things in one refusal: more of them persuade nobody */
/* Packets a second from one host with which a session and a resolver live; what limits less counts as a cut. */
#define PS_GUARD_RATE 100u
/* Percent of a resolver's ports that may be lost: with two tries one question of 400 fails. */
#define PS_GUARD_PORTS_CUT 5u
/* Sessions that are guarded one by one: of more, the most recent. */
#define PS_GUARD_FLOWS_MAX 256u

/* malloc: larger blocks are mapped and given back one by one (a message is at most 1024 records of 500 bytes). */
#define PS_MALLOC_MAP_BYTES 614400
/* And what is free at the end of the heap stays ours up to this much: two messages in flight. */
#define PS_MALLOC_KEEP_BYTES (1024 * 1024)

/* Holes in the heap are given back every so many ticks, while there are so few connections that it takes no time. */
#define PS_TRIM_TICKS 5
#define PS_TRIM_LIVE_MAX 65536u

#endif
