/*
 * Sizes and times of the collector alone, each with its reason. What the programs share is in common/limits.h, what the
 * kernel part must agree on in bpf/limits.h.
 */
#ifndef PS_COLLECTOR_LIMITS_H
#define PS_COLLECTOR_LIMITS_H

/* After a drain the rings rest this long: the producers need not wake anyone meanwhile, and a record still leaves
 * within this plus PS_BUS_DELAY_NS. */
#define PS_PACE_NS 1000000ull

/* Fewer events than this in a look are sent at once, updates apart, and the next look may be as late as a batch may be:
 * each message wakes three programs up. */
#define PS_PACE_FEW 256
/* ns between two events of one CPU at the worst: 500,000 a second. */
#define PS_PACE_EVENT_NS 2000ull

/* Events taken from one ring before the next one has its turn: 4096 of 336 bytes are 1.3 MiB, some 3 ms of work. */
#define PS_RING_BUDGET 4096

/* The collector's own tick: clock offset, losses, ledger, links. */
#define PS_TICK_NS 1000000000ull

/* Between the end of a janitor and its cleaning: a collector that is being restarted is back by then. */
#define PS_JANITOR_WAIT_NS 3000000000ull

/* A link that nobody reports about is looked at this often (in ticks): someone may have detached it by hand. */
#define PS_VERIFY_TICKS 10

/* Of free memory so much stays ours: two messages in the making. */
#define PS_KEEP_BYTES (1u << 20)

/* Bytes of libbpf's own messages that are kept: the end of a verifier log says what was wrong. */
#define PS_LIBBPF_LOG_BYTES 8192

/* Lines of it that are shown. */
#define PS_LIBBPF_LOG_LINES 24

/* One netlink datagram of a link dump: the kernel fills at most 32 KiB. */
#define PS_NETLINK_BYTES 32768

/* Interfaces that are gone and still have a name here: events in a ring may speak of them. */
#define PS_GONE_NAMES 64

/* Longest pin root; bpffs names stay below 255 bytes. */
#define PS_PIN_PATH 192

/* Versions of the maps that are looked at: what is there besides two of them was left by accidents. */
#define PS_PIN_VERSIONS 16

/* While an upgrade waits for the rules it is looked this often whether they have come, and hits are brought over. */
#define PS_TAKEOVER_NS 100000000ull

/* A packet that the former program began with is through after this: programs run for microseconds. */
#define PS_SWAP_GRACE_NS 5000000ull

/* An upgrade that has waited this long for the aggregator says so, and --health fails: both are started together. */
#define PS_TAKEOVER_PATIENCE_NS 30000000000ull

/* Value of a ps_meta of any version, at most: it is read before it is known. */
#define PS_META_MAX 4096

/* Entries of a hash that are carried over, at most: none of ours has more, but entries come while it is walked. */
#define PS_CARRY_ENTRIES 65536

/* Priority and handle of our filter where TCX is missing. Low priorities run first; others' rarely are this high. */
#define PS_CLSACT_PRIORITY 20563
#define PS_CLSACT_HANDLE 1

#endif
