/*
 * Sizes and limits of the gateway alone, each with its reason. What it shares with others is in common/limits.h.
 */
#ifndef PS_GATEWAY_LIMITS_H
#define PS_GATEWAY_LIMITS_H

#define PS_TLS_FILE_MAX (256 << 10) /* bytes of a certificate with its chain, fifty times over */

/* Rules on their way in. */
#define PS_UPLOAD_PIECE (256 << 10) /* bytes handed on at once: 600 rules, 5 ms of the aggregator */

/* Packed answers. */
#define PS_GZIP_MIN 2048 /* bytes: below that a packet is a packet */
#define PS_GZIP_AT_ONCE \
	(256 << 10) /* up to here in one go, 3 ms; what is larger is packed piece by piece, so others get their turn \
		     */

/* Files: connections that are asked for at once. A client that does not read holds the text of as many, 0.7 MB, and a
 * page of half as many would cost a tenth more. */
#define PS_EXPORT_PAGE 500

/* Answers that are given again. */
#define PS_SHARE_AGE_MS 50 /* no eye sees it, and whoever asks twenty times a second measures nothing faster */
#define PS_SHARE_CROWD 8   /* waiting for one answer at once: no script that compares two of its answers */
#define PS_SHARE_KEEP_MAX (256 << 10) /* bytes of the longest that is kept: 150 connections */

/* Wrong tokens. */
#define PS_FAILURES_ALLOWED 10 /* of one address in a window: a person's slips; guessing 2^256 it does not help */
#define PS_FAILURES_WINDOW_NS 60000000000ull
#define PS_FAILURES_MAX 256 /* addresses that are remembered: 16 kB */

/* Event streams. */
#define PS_STREAMS_MAX 512 /* open at once: 500 pages on walls and desks, and some; they have places of their own */
#define PS_STREAMS_PER_IP \
	128 /* of one foreign address: a whole office behind one; this host itself has all of them \
	     */
#define PS_STREAM_SNDBUF (64 << 10)    /* the kernel takes twice that: 64 MB for all of them in the worst case */
#define PS_EVENTS_KEEP 8192            /* events that are remembered; as a list, 800 kB */
#define PS_EVENTS_BYTES (8 << 20)      /* and the bytes of their text: 6,000 connections */
#define PS_EVENT_MAX (256 << 10)       /* bytes of one event: a change of a whole rule set tells numbers, not rules */
#define PS_EVENTS_DELAY_NS 20000000ull /* events wait this long for company: 50 wake-ups a second, unseen by eyes */
#define PS_EVENTS_BUDGET 1000          /* events a delay: 50,000 a second, half a core; the rest is told as a gap */
#define PS_EVENTS_LINGER_NS 60000000000ull /* how long a topic is still remembered when nobody listens any more */
#define PS_EVENTS_ALIVE_NS \
	15000000000ull                   /* silence before a comment shows that the stream lives: proxies cut at 30 s */
#define PS_EVENTS_SLOW_NS 10000000000ull /* a stream that is behind must have taken in this time … */
#define PS_EVENTS_SLOW_BYTES (16 << 10)  /* … at least this, or it is cut */
#define PS_EVENTS_RETRY_MS 2000          /* when a browser shall come again */

#endif
