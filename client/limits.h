/*
 * Sizes and limits of a tap, each with its reason.
 */
#ifndef PS_CLIENT_LIMITS_H
#define PS_CLIENT_LIMITS_H

/* Bytes of messages that a tap keeps aside while it reads a snapshot: a million connections take some seconds, and full
 * rate is 40 MB/s. Beyond it, the socket's own bound holds, and another snapshot follows. */
#define PS_TAP_ASIDE_MAX (256u << 20)

/* An answer that takes longer than this does not come. */
#define PS_TAP_ANSWER_NS 2000000000ull
/* Between two tries to get a snapshot from an aggregator that does not answer. */
#define PS_TAP_AGAIN_NS 1000000000ull
/* Between two questions to one that has not come as far as we have; and how long this may last. */
#define PS_TAP_BEHIND_NS 50000000ull
#define PS_TAP_BEHIND_MAX_NS 10000000000ull
/* Within a second of a subscription a publisher says how far each topic has come: whoever was not heard by then is not
 * there. */
#define PS_TAP_JOIN_NS 2500000000ull

/* Living connections in a tap's table: what the kernel's can hold at most, by bpf/limits.h. */
#define PS_TAP_LIVE_MAX (64u << 20)

/* Conditions of a filter: nobody types more. */
#define PS_TAP_CONDITIONS_MAX 16

#endif
