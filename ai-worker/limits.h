/*
 * Sizes and thresholds of the AI worker, each with its reason.
 */
#ifndef PS_AI_LIMITS_H
#define PS_AI_LIMITS_H

/* Rows of each list of the figures: what a person reads at once. */
#define PS_AI_TOP 5

/* A snapshot comes every five seconds; without one for this long the picture is not of now. */
#define PS_AI_STALE_NS (15ull * 1000000000ull)

/* From here on a share is worth a sentence. Below so many connections or packets it is chance. */
#define PS_AI_HALF_OPEN_SHARE 0.3
#define PS_AI_HALF_OPEN_MIN 20
#define PS_AI_RETRANS_SHARE 0.02
#define PS_AI_RETRANS_MIN_PACKETS 100
#define PS_AI_TALKER_SHARE 0.5
#define PS_AI_TALKER_MIN_BYTES 1000000
#define PS_AI_TABLE_FILL 0.8
#define PS_AI_ICMP_ERRORS_SHARE 0.2
#define PS_AI_ICMP_MIN 100

/* Findings in an answer, if nobody says how many: a screen or two. */
#define PS_AI_FINDINGS_DEFAULT 100

/* Messages of the bus that are taken before requests have their turn: 16,384 records at most, some 30 ms. */
#define PS_AI_LOOKOUT_BURST 16

#endif
