/*
 * Sizes and times of replay, each with its reason.
 */
#ifndef PS_REPLAY_LIMITS_H
#define PS_REPLAY_LIMITS_H

/* The largest frame that is given to the kernel: IP's 65,535 bytes behind an Ethernet header with two tags and room.
 * Longer ones, which captures of merged packets may hold, are left out and counted. */
#define PS_REPLAY_FRAME_MAX 65664u

/* Packets between two looks into the ring: each makes at most three events of some 340 bytes, so that not even the
 * smallest ring (PS_RING_MIN) is half full. */
#define PS_REPLAY_DRAIN_PACKETS 100u

/* Capture time between two sweeps: as live (PS_SWEEP_NS). */
#define PS_REPLAY_TICK_NS 1000000000ull

/* The index under which a test run's packets come in: loopback's, the same in every network namespace. */
#define PS_REPLAY_IFINDEX 1u
/* And the name that records carry instead of it. */
#define PS_REPLAY_IFACE "capture"

/* Networks of --local: more than any host has addresses in practice. */
#define PS_REPLAY_LOCAL_MAX 64u

/* Bytes of a --filters file, also what the JSON reader takes (PS_VALUE_BYTES_MAX). */
#define PS_REPLAY_FILTERS_BYTES (8u << 20)

/* The progress bar: how often it moves, and packets between two looks at the clock. */
#define PS_REPLAY_PROGRESS_NS 100000000ull
#define PS_REPLAY_PROGRESS_PACKETS 256u

#endif
